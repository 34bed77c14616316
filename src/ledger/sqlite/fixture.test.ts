/** What the ledger's tests share: a temporary folder, a real clock, items. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { openLedger } from './open.ts';
import type { TestContext } from 'node:test';
import type { Item, Outcome } from '../../core/item.ts';
import type { Clock } from '../../ports/clock.ts';
import type { PlannedTask } from '../../ports/ledger.ts';
import type { OpenOptions } from './open.ts';
import type { SqliteLedger } from './ledger.ts';

export const clock: Clock = {
  now: () => Date.now(),
  monotonic: () => performance.now(),
  sleep: async (ms, signal) => { await setTimeout(ms, undefined, signal === undefined ? {} : { signal }); },
};

export const BINDING = { migration: 'photos', specHash: 'a1', source: 's3://source', destination: 's3://destination' };

export function folder(t: TestContext): string {
  const dir = mkdtempSync(join(tmpdir(), 'brigade-ledger-'));
  t.after(() => rmSync(dir, { recursive: true, force: true }));
  return dir;
}

export async function open(path: string, more: Partial<OpenOptions> = {}): Promise<SqliteLedger> {
  return openLedger({ path, binding: BINDING, clock, mode: 'create', holder: { pid: process.pid, host: 'here' }, groupMs: 1, ...more });
}

export const pendingItem = (key: string, size = 1): Item => ({ key, kind: 'object', size, state: 'pending', source: { token: `token of ${key}` }, evidence: 'none', attempts: 0 });

export const keyNumber = (n: number): string => `dir/${String(n).padStart(6, '0')}`;

/** `count` pending items from `first`, in tasks of `perTask`. */
export function plannedTasks(first: number, count: number, perTask: number): PlannedTask[] {
  const tasks: PlannedTask[] = [];
  for (let from = first; from < first + count; from += perTask) {
    const items = Array.from({ length: Math.min(perTask, first + count - from) }, (_, i) => pendingItem(keyNumber(from + i), from + i));
    tasks.push({ items, problems: new Map() });
  }
  return tasks;
}

export const listing = (objects: number, sealed = true) => ({ sealed, sourceObjects: objects, sourceBytes: objects, destinationObjects: 0 });

export const copied = (key: string): Outcome => ({ key, state: 'copied', destination: `copy of ${key}`, evidence: 'in flight', attempts: 0, bytesSent: 10, ms: 1 });
export const failed = (key: string, code = 'E_DENIED'): Outcome => ({ key, state: 'failed', evidence: 'none', attempts: 3, bytesSent: 0, ms: 1, problem: { code, kind: 'object', message: 'no', hint: 'yes' } });
