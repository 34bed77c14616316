/** What the journal's tests stand on: each kind of store it may lie in, real ledgers, seeded chance. */
/* eslint-disable import-x/no-restricted-paths -- only tests come here: a journal knows no driver and no ledger */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { startEndpoint } from '../agent/endpoint.ts';
import { memoryLayout } from '../agent/memory.ts';
import { Secret } from '../core/secret.ts';
import { openLedger, type SqliteLedger } from '../ledger/sqlite/index.ts';
import type { Clock } from '../ports/clock.ts';
import type { Store } from '../ports/storage.ts';
import { createFilesystemStore } from '../stores/filesystem/index.ts';
import { createMemoryStore } from '../stores/memory/index.ts';
import { applyProbed, controlOf, createS3Store, findProfile, probeStore } from '../stores/s3/index.ts';
import { systemClock } from '../telemetry/clock.ts';
import { seededRandom } from '../telemetry/random.ts';

export { faulty, type Fault } from '../stores/decorators/faulty.ts';
export { createMemoryStore } from '../stores/memory/index.ts';
export { simulatedClock } from '../telemetry/clock.ts';
export { seededRandom } from '../telemetry/random.ts';

/** Real time for what waits, and a wall clock that stands: what is written at two times is the same. */
export const NOW = Date.UTC(2026, 0, 2);
export const clock: Clock = { ...systemClock(), now: () => NOW };

export function folder(t: TestContext): string {
  const dir = mkdtempSync(join(tmpdir(), 'brigade-journal-'));
  t.after(() => rmSync(dir, { recursive: true, force: true }));
  return dir;
}

export const BINDING = { migration: 'photos', specHash: 'a1', source: 's3://source', destination: 's3://destination' };

export async function ledger(t: TestContext, name = 'ledger'): Promise<SqliteLedger> {
  return ledgerAt(join(folder(t), `${name}.db`), t);
}

export async function ledgerAt(path: string, t: TestContext): Promise<SqliteLedger> {
  const opened = await openLedger({ path, binding: BINDING, clock, mode: 'create', holder: { pid: process.pid, host: 'here' }, groupMs: 1 });
  t.after(() => opened.close());
  return opened;
}

export interface Ground {
  readonly store: Store;
  /** The same place as another process sees it. */
  readonly another: () => Store;
}

/** Where a journal may lie. */
export const GROUNDS: Readonly<Record<string, (t: TestContext) => Promise<Ground>>> = {
  memory: async () => {
    const store = createMemoryStore({ pageSize: 7 });
    return { store, another: () => store };
  },
  directory: async (t) => {
    const root = folder(t);
    let seed = 1;
    const open = (): Store => {
      const store = createFilesystemStore({ root, names: 'verbatim', random: seededRandom(seed++), durability: 'none', pageSize: 7 });
      t.after(() => store.close());
      return store;
    };
    return { store: open(), another: open };
  },
  s3: async (t) => {
    const key = { id: 'AKIATEST', secret: 'a secret' };
    const endpoint = await startEndpoint({ storage: memoryLayout(), accessKeys: [key] });
    t.after(() => endpoint.close());
    const credentials = { describe: 'test', resolve: async () => ({ accessKeyId: key.id, secretAccessKey: new Secret(key.secret) }), invalidate: () => undefined };
    const options = { endpoint: endpoint.url, bucket: 'journal', prefix: 'photos/', credentials, clock };
    const profile = await findProfile(options);
    const open = (): Store => {
      const store = createS3Store({ ...options, profile });
      t.after(() => store.close());
      return store;
    };
    const store = open();
    await controlOf(store)?.createBucket();
    const measured = await probeStore(store, seededRandom(5));
    const another = (): Store => {
      const other = open();
      if (measured !== undefined) applyProbed(other, measured);
      return other;
    };
    return { store, another };
  },
};
