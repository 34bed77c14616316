/** A journal in a directory as a coordinator and a worker would have written it, for tests of the commands that read one. */
import { openJournals } from '../app/fleet/journal.ts';
import { newShard, SetDigest } from '../core/shard.ts';
import type { Item, Outcome } from '../core/item.ts';
import { messageCodec } from '../fleet/messages.ts';
import { callBody } from '../fleet/call-message.ts';
import { FLEET_CHECKS, type FleetBodies, sealTask, taskId } from '../fleet/task-message.ts';
import type { CoordinatorJournal, Journal, PlanRecord, TaskName } from '../ports/journal.ts';
import { Secret } from '../core/secret.ts';
import { systemClock } from '../telemetry/clock.ts';
import { seededRandom } from '../telemetry/random.ts';

export const BINDING = { migration: 'photos', specHash: 'a1', source: 's3://source', destination: 's3://destination' };
export const KEY = 'k'.repeat(32);

export const key = (n: number): string => `dir/${String(n).padStart(5, '0')}`;
export const item = (n: number): Item => ({ key: key(n), kind: 'object', size: n, state: 'pending', source: { token: `s${n}` }, evidence: 'none', attempts: 0 });
export const copied = (n: number): Outcome => ({ key: key(n), state: 'copied', destination: `d${n}`, evidence: 'in flight', attempts: 0, bytesSent: n, ms: 1 });
export const failed = (n: number): Outcome => ({ key: key(n), state: 'failed', evidence: 'none', attempts: 5, bytesSent: 0, ms: 1, problem: { code: 'E_ACCESS_DENIED', kind: 'object', message: 'denied' } });
export const task = (number: number): TaskName => ({ epoch: 1, seq: 0, task: number });

export interface Written {
  readonly journal: Journal;
  readonly pen: CoordinatorJournal;
  close(): Promise<void>;
}

/** One run of ten objects, two to a task; tasks 0 to `done` - 1 are reported, the second object of each as failed. */
export async function writeJournal(root: string, done: number): Promise<Written> {
  const journals = openJournals(root, { env: {}, cwd: '/', clock: systemClock(), random: seededRandom(1) });
  const journal = await journals.open('photos');
  await journal.bind(BINDING);
  const pen = await journal.claim({ holder: 'one', over: undefined });
  const shard = { ...newShard(0, {}), firstKey: key(0), lastKey: key(9), items: 10, source: { objects: 10, bytes: 45, digest: new SetDigest().hex }, sealed: true };
  const tasks = Array.from({ length: 5 }, (_, i) => ({ items: [item(2 * i), item(2 * i + 1)], problems: new Map() }));
  const records: PlanRecord[] = [
    { type: 'run', number: 1, kind: 'initial', startedMs: Date.UTC(2026, 0, 2) },
    { type: 'plan', run: 1, page: { tasks, shards: [shard], listing: { sealed: true, sourceObjects: 10, sourceBytes: 45, destinationObjects: 0 } } },
  ];
  await pen.append(records);
  for (let i = 0; i < done; i++) await journal.report(task(i), { worker: 'w', outcomes: [copied(2 * i), failed(2 * i + 1)], close: true, parts: [] });
  return { journal, pen, close: () => journals.close() };
}

/** As a coordinator sends it. */
export function message(number: number, { key: sealing = KEY, sending = 0, after = 0, largest = 256 * 1024, spec = 'photos' } = {}, keep: Journal['keep'] = () => Promise.reject(new Error('too large'))): Promise<string> {
  const codec = messageCodec<FleetBodies>({ current: new Secret(sealing) }, FLEET_CHECKS);
  return sealTask(codec, { name: task(number), spec: { id: spec, sha256: 'a'.repeat(64) }, run: 1, size: 'small', sending, after }, { items: [item(2 * number), item(2 * number + 1)] }, largest, keep);
}

/** As the owner of a large object sends it. */
export function calling(number: number): string {
  const codec = messageCodec<FleetBodies>({ current: new Secret(KEY) }, FLEET_CHECKS);
  const body = callBody({ upload: 'u', hand: 1, pin: { token: 't' }, algorithm: 'crc32', spanBytes: 8, perHolder: 4, after: 0 });
  return codec.seal({ kind: 'call', id: taskId(task(number)), spec: { id: 'photos', sha256: 'a'.repeat(64) }, body });
}
