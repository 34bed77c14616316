/** The journal of a fleet: what other layers may use of it. */
export { differences, rebuild } from './check.ts';
export { fold } from './fold.ts';
export { openJournal } from './journal.ts';
export { openShelf } from './open-shelf.ts';
export { proveConditionalWrites, refuseUnguarded } from './prove.ts';
export type { Difference } from './check.ts';
export type { Folded, FoldOptions } from './fold.ts';
export type { JournalOptions } from './journal.ts';
