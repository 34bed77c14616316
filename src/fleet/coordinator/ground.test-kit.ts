/** What the tests of a coordinator stand on: a real ledger, a journal, a queue in memory, and workers who say what they are told to. */
/* eslint-disable import-x/no-restricted-paths -- only tests come here: the fleet knows no driver */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import type { BrigadeError } from '../../core/errors.ts';
import type { Item, Outcome } from '../../core/item.ts';
import { Secret } from '../../core/secret.ts';
import { fold, openJournal, rebuild } from '../../journal/index.ts';
import { openLedger, type SqliteLedger } from '../../ledger/sqlite/index.ts';
import type { Clock } from '../../ports/clock.ts';
import type { RunEvent } from '../../ports/events.ts';
import type { CoordinatorJournal, Journal } from '../../ports/journal.ts';
import type { PlannedPage } from '../../ports/ledger.ts';
import type { MessageDelivery, MessageQueue } from '../../ports/message-queue.ts';
import type { Store } from '../../ports/storage.ts';
import { MemoryBroker, openMemoryQueue } from '../../queues/memory/index.ts';
import { createMemoryStore } from '../../stores/memory/index.ts';
import { systemClock } from '../../telemetry/clock.ts';
import { seededRandom } from '../../telemetry/random.ts';
import { messageCodec } from '../messages.ts';
import { FLEET_CHECKS, type FleetBodies, type FleetTask, type TaskCodec, taskOf } from '../task-message.ts';
import { FleetCrew } from './crew.ts';
import type { FleetCrewOptions } from './crew-options.ts';
import { JournalledLedger } from './journalled-ledger.ts';

export { faulty, type Fault } from '../../stores/decorators/faulty.ts';
export { createMemoryStore } from '../../stores/memory/index.ts';
export { differences } from '../../journal/index.ts';
export { simulatedClock } from '../../telemetry/clock.ts';
export { seededRandom } from '../../telemetry/random.ts';

/** The system's clock, on which everything happens so much sooner. */
export function hurried(times: number): Clock {
  const real = systemClock();
  return { now: () => real.now() * times, monotonic: () => real.monotonic() * times, sleep: (ms, signal) => real.sleep(ms / times, signal) };
}

export const key = (n: number): string => `dir/${String(n).padStart(6, '0')}`;
export const pending = (n: number): Item => ({ key: key(n), kind: 'object', size: n, state: 'pending', source: { token: `s${n}` }, evidence: 'none', attempts: 0 });
export const copied = (item: Item): Outcome => ({ key: item.key, state: 'copied', destination: `d-${item.key}`, evidence: 'in flight', attempts: 1, bytesSent: item.size, ms: 1 });

export function pageOf(from: number, count: number, perTask: number): PlannedPage {
  const tasks = [];
  for (let at = from; at < from + count; at += perTask) tasks.push({ items: Array.from({ length: Math.min(perTask, from + count - at) }, (_, i) => pending(at + i)), problems: new Map() });
  return { tasks, shards: [], listing: { sealed: false, sourceObjects: from + count, sourceBytes: 7, destinationObjects: 0 } };
}

export async function ledgerIn(t: TestContext, name = 'ledger'): Promise<SqliteLedger> {
  const dir = mkdtempSync(join(tmpdir(), 'brigade-fleet-'));
  const opened = await openLedger({ path: join(dir, `${name}.db`), binding: { migration: 'photos', specHash: 'a1', source: 's3://source', destination: 's3://destination' }, clock: systemClock(), mode: 'create', holder: { pid: process.pid, host: 'here' }, groupMs: 1 });
  ending(t, async () => {
    await opened.close();
    rmSync(dir, { recursive: true, force: true });
  });
  return opened;
}

const endings = new WeakMap<TestContext, (() => Promise<void>)[]>();

/** What was opened last is closed first. */
export function ending(t: TestContext, close: () => Promise<void>): void {
  const known = endings.get(t);
  if (known !== undefined) {
    known.push(close);
    return;
  }
  const all = [close];
  endings.set(t, all);
  t.after(async () => { for (const one of all.reverse()) await one(); });
}

export interface Ground {
  readonly clock: Clock;
  readonly broker: MemoryBroker;
  readonly queue: MessageQueue;
  readonly codec: TaskCodec;
  readonly store: Store;
  readonly journal: Journal;
  readonly index: SqliteLedger;
  readonly pen: CoordinatorJournal;
  readonly ledger: JournalledLedger;
  readonly events: RunEvent[];
  readonly failures: BrigadeError[];
  crew(over?: Partial<FleetCrewOptions>): FleetCrew;
}

export async function groundFor(t: TestContext, { store = createMemoryStore({}), times = 50, leaseMs = 2000, clock = hurried(times) }: { readonly store?: Store; readonly times?: number; readonly leaseMs?: number; readonly clock?: Clock } = {}): Promise<Ground> {
  const broker = new MemoryBroker({ clock, random: seededRandom(3), leaseMs });
  const codec = messageCodec<FleetBodies>({ current: new Secret('k'.repeat(32)) }, FLEET_CHECKS);
  const journal = openJournal({ store, clock, random: seededRandom(4) });
  const index = await ledgerIn(t);
  const pen = await journal.claim({ holder: 'one', over: await journal.current() });
  const events: RunEvent[] = [];
  const failures: BrigadeError[] = [];
  const stop = new AbortController();
  const sink = { emit: (event: RunEvent) => { events.push(event); } };
  const ledger = new JournalledLedger({ ledger: index, pen, clock, events: sink, onFailure: (error) => { failures.push(error); }, signal: stop.signal });
  const queue = openMemoryQueue(broker);
  ending(t, async () => {
    stop.abort();
    await ledger.close();
  });
  return {
    clock, broker, queue, codec, store, journal, index, pen, ledger, events, failures,
    crew(over = {}) {
      const crew = new FleetCrew({
        run: 1, ledger: index, journalled: ledger, journal, pen, queue, codec: () => codec, spec: { id: 'photos', sha256: 'a'.repeat(64) }, window: 'auto', events: sink, clock,
        fold: (into, all = false) => fold(journal, into, { all, reportsOnly: true }), ...over,
      });
      ending(t, () => crew.close());
      return crew;
    },
  };
}

/** Takes messages and reports on them; what `work` answers is done, nothing: the message is dropped as if its worker had died. */
export async function workerOn({ queue, codec, journal }: Pick<Ground, 'queue' | 'codec' | 'journal'>, work: (task: FleetTask, delivery: MessageDelivery) => readonly Outcome[] | undefined, signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    for (const delivery of await queue.receive(10, 5000, signal).catch(() => [])) {
      const envelope = codec.open(delivery.body);
      const task = await taskOf(envelope, (sha256) => journal.document(sha256));
      const outcomes = work(task, delivery);
      if (outcomes === undefined) continue;
      await journal.report(task.name, { worker: 'w', outcomes, close: true, parts: [], sending: task.sending });
      await delivery.ack();
    }
  }
}

export async function until(what: () => boolean, ms = 120_000): Promise<void> {
  const end = performance.now() + ms;
  while (!what()) {
    if (performance.now() > end) throw new Error(`not within ${ms} ms: ${what.toString()}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

/** What the journal alone says. */
export async function rebuilt(t: TestContext, journal: Journal): Promise<SqliteLedger> {
  const made = await ledgerIn(t, 'rebuilt');
  await rebuild(journal, made);
  return made;
}
