/** The SQLite ledger: what other layers may use of it. */
export { backupLedger } from './upkeep.ts';
export { createEntrySorter } from './sorter.ts';
export { inspectLedger, ledgerExists, openLedger } from './open.ts';
export { replaceLedger } from './replace.ts';
export { holderOf, isCoordinated, lockExecutor } from './lock.ts';
export type { Holder, Lock } from './lock.ts';
export type { EntrySorter } from './sorter.ts';
export type { SqliteLedger } from './ledger.ts';
export type { LedgerView } from './reader.ts';
export type { OpenOptions } from './open.ts';
