/** Workers of a fleet in this process: a queue that may do what queues do, a journal, real stores, and whoever plans and sends in a coordinator's place. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { copying } from '../../src/app/fleet/open-migration.ts';
import { readSpec, specDocument } from '../../src/app/fleet/spec.ts';
import { migrationFromFlags, type Migration } from '../../src/config/index.ts';
import type { Item } from '../../src/core/item.ts';
import { sizeClass } from '../../src/core/pack.ts';
import { Secret } from '../../src/core/secret.ts';
import type { Rates } from '../../src/core/timetable.ts';
import { messageCodec, type SpecReference } from '../../src/fleet/messages.ts';
import { FLEET_CHECKS, type FleetBodies, sealTask, sendingId } from '../../src/fleet/task-message.ts';
import { type FleetWorkerOptions, runFleetWorker } from '../../src/fleet/worker/worker.ts';
import { openJournal, rebuild } from '../../src/journal/index.ts';
import { openLedger, type SqliteLedger } from '../../src/ledger/sqlite/index.ts';
import type { Clock } from '../../src/ports/clock.ts';
import type { RunEvent } from '../../src/ports/events.ts';
import type { CoordinatorJournal, Journal, TaskName } from '../../src/ports/journal.ts';
import type { MessageDelivery, MessageQueue } from '../../src/ports/message-queue.ts';
import type { Store } from '../../src/ports/storage.ts';
import { MemoryBroker, openMemoryQueue } from '../../src/queues/memory/index.ts';
import { createMemoryStore } from '../../src/stores/memory/index.ts';
import { simulatedClock, systemClock } from '../../src/telemetry/clock.ts';
import { seededRandom } from '../../src/telemetry/random.ts';

export const KEY = new Secret('k'.repeat(32));
export const codec = messageCodec<FleetBodies>({ current: KEY }, FLEET_CHECKS);

export interface Planned {
  readonly name: TaskName;
  readonly items: readonly Item[];
}

export interface FleetWorker {
  readonly name: string;
  /** As SIGTERM: drains. */
  stop(): Promise<void>;
  /** As SIGKILL: from now on nothing of it reaches queue, journal or stores. */
  kill(): void;
  /** As SIGSTOP and SIGCONT, as far as others can see. */
  freeze(): void;
  thaw(): void;
  readonly done: Promise<void>;
  /** Calls of `receive` so far. */
  readonly receives: number;
  /** Tasks' documents and reports asked of the journal. */
  readonly journalReads: number;
}

interface GroundOptions {
  readonly leaseMs?: number;
  readonly mostReceives?: number;
  readonly source?: Store;
  readonly destination?: Store;
  readonly options?: Readonly<Record<string, unknown>>;
  /** Objects larger than two such parts go in parts, and are shared in spans of so many bytes. */
  readonly parts?: { readonly partSize: number; readonly span: number };
}

export class FleetGround {
  /** Stands still but while the test waits. */
  readonly clock = simulatedClock();
  readonly broker: MemoryBroker;
  readonly queue: MessageQueue;
  readonly journalStore = createMemoryStore();
  readonly journal: Journal;
  readonly source: Store;
  readonly destination: Store;
  readonly migration: Migration;
  readonly events: RunEvent[] = [];
  /** Rates and shares as the workers were told. */
  readonly told: { readonly worker: string; readonly share?: number; readonly rates?: Rates }[] = [];
  readonly workers: FleetWorker[] = [];
  /** What opening the migration does first, at each worker. */
  onOpen: (worker: string) => Promise<void> | void = () => undefined;
  spec!: SpecReference;
  pen!: CoordinatorJournal;
  readonly #t: TestContext;
  #stores: { readonly wrap: (store: Store, worker: string) => Store };

  private constructor(t: TestContext, options: GroundOptions) {
    this.#t = t;
    this.broker = new MemoryBroker({ clock: this.clock, random: seededRandom(3), leaseMs: options.leaseMs ?? 30_000, ...(options.mostReceives === undefined ? {} : { mostReceives: options.mostReceives }) });
    this.queue = openMemoryQueue(this.broker);
    this.journal = openJournal({ store: this.journalStore, clock: this.clock, random: seededRandom(4) });
    this.source = options.source ?? createMemoryStore({ name: 'source' });
    this.destination = options.destination ?? createMemoryStore({ name: 'destination' });
    const migration = migrationFromFlags('/from', '/to', { name: 'photos', ...(options.options === undefined ? {} : { options: options.options }) }, { env: {}, cwd: '/' });
    const { parts } = options;
    this.migration = parts === undefined ? migration : { ...migration, batch: { ...migration.batch, span: parts.span }, transfer: { ...migration.transfer, multipartThreshold: 2 * parts.partSize, partSize: parts.partSize } };
    this.#stores = { wrap: (store) => store };
  }

  static async open(t: TestContext, options: GroundOptions = {}): Promise<FleetGround> {
    const ground = new FleetGround(t, options);
    ground.pen = await ground.journal.claim({ holder: 'test', over: undefined });
    ground.spec = { id: 'photos', sha256: await ground.journal.keep(specDocument(ground.migration, { mtimeStepMs: 0 })) };
    t.after(async () => {
      for (const worker of ground.workers) worker.thaw();
      for (const worker of ground.workers) await worker.stop();
    });
    return ground;
  }

  /** Lets time pass until it is so. */
  async until(what: () => boolean | Promise<boolean>, mostMs = 3_600_000, everyMs = 100): Promise<void> {
    const end = this.clock.monotonic() + mostMs;
    await this.clock.run((async () => {
      while (!await what()) {
        if (this.clock.monotonic() > end) throw new Error(`not within ${mostMs} ms: ${what.toString()}`);
        await this.clock.sleep(everyMs);
      }
    })());
  }

  async pass(ms: number): Promise<void> {
    await this.clock.run(this.clock.sleep(ms));
  }

  /** Puts something between each worker and the stores. */
  between(wrap: (store: Store, worker: string) => Store): void {
    this.#stores = { wrap };
  }

  /** Everything that the source lists, so many to a task. */
  async plan(perTask: number): Promise<readonly Planned[]> {
    const items: Item[] = [];
    for await (const { entries } of this.source.list({})) {
      for (const { key, size, token } of entries) items.push({ key, kind: 'object', size, state: 'pending', source: { token }, evidence: 'none', attempts: 0 });
    }
    const tasks = Array.from({ length: Math.ceil(items.length / perTask) }, (_, i) => items.slice(i * perTask, (i + 1) * perTask));
    const page = { tasks: tasks.map((of) => ({ items: of, problems: new Map() })), shards: [], listing: { sealed: false, sourceObjects: items.length, sourceBytes: 0, destinationObjects: 0 } };
    const place = await this.pen.append([{ type: 'run', number: 1, kind: 'initial', startedMs: this.clock.now() }, { type: 'plan', run: 1, page }]);
    return tasks.map((of, task) => ({ name: { ...place, task }, items: of }));
  }

  async send(tasks: readonly Planned[], sending = 0, more: { readonly after?: number; readonly largestBytes?: number } = {}): Promise<void> {
    const { largestBytes = this.queue.limits.largestMessageBytes, ...rest } = more;
    await this.queue.send(await Promise.all(tasks.map(async ({ name, items }) => ({
      id: sendingId(name, sending),
      body: await sealTask(codec, { name, spec: this.spec, run: 1, size: sizeClass(items[0]?.size ?? 0), sending, ...rest }, { items }, largestBytes, (document) => this.journal.keep(document)),
    }))));
  }

  worker(name: string, more: Partial<FleetWorkerOptions> = {}): FleetWorker {
    const stop = new AbortController();
    const gate = new Gate();
    const counts = { receives: 0, journalReads: 0 };
    const journal = gate.guard(openJournal({ store: this.journalStore, clock: this.clock, random: seededRandom(name) }), (call) => { if (call === 'readReport' || call === 'hasReport') counts.journalReads++; });
    const events = { emit: (event: RunEvent) => { this.events.push(event); } };
    const clock = gate.clock(this.clock);
    const done = runFleetWorker({
      queue: gate.queue(openMemoryQueue(this.broker), () => { counts.receives++; }), codec, journals: async () => journal, worker: name, host: 'here', version: '1', drainMs: 60_000,
      clock, random: seededRandom(name), events,
      open: async (document) => {
        await this.onOpen(name);
        const stores = {
          source: gate.guard(this.#stores.wrap(this.source, name)), destination: gate.guard(this.#stores.wrap(this.destination, name)), close: async () => {},
          setShare: (share: number) => { this.told.push({ worker: name, share }); }, setRates: (rates: Rates) => { this.told.push({ worker: name, rates }); },
        };
        return copying(readSpec(document), stores, { clock, random: seededRandom(name), events });
      },
      ...more,
    }, stop.signal);
    done.catch(() => undefined); // whoever awaits it hears of it
    const worker: FleetWorker = {
      name, done,
      get receives() { return counts.receives; },
      get journalReads() { return counts.journalReads; },
      stop: async () => {
        stop.abort();
        if (!gate.dead) await this.clock.run(done);
      },
      kill: () => gate.kill(),
      freeze: () => gate.freeze(),
      thaw: () => gate.thaw(),
    };
    this.workers.push(worker);
    return worker;
  }

  /** What the journal alone says. */
  async ledger(): Promise<SqliteLedger> {
    const dir = mkdtempSync(join(tmpdir(), 'brigade-fleet-'));
    const made = await openLedger({ path: join(dir, 'ledger.db'), binding: { migration: 'photos', specHash: 'x', source: 's', destination: 'd' }, clock: systemClock(), mode: 'create', holder: { pid: process.pid, host: 'test' }, groupMs: 1 });
    this.#t.after(async () => {
      await made.close();
      rmSync(dir, { recursive: true, force: true });
    });
    await rebuild(this.journal, made);
    return made;
  }

  /** Which tasks have a report that closes them, and how many. */
  async closes(tasks: readonly Planned[]): Promise<readonly number[]> {
    return Promise.all(tasks.map(async ({ name }) => {
      let count = 0;
      for (let nth = 0; ; nth++) {
        const read = await this.journal.readReport({ work: name, nth });
        if (read === undefined) return count;
        if (read.report?.close === true) count++;
      }
    }));
  }

  async closed(tasks: readonly Planned[]): Promise<boolean> {
    return (await this.closes(tasks)).every((count) => count > 0);
  }

  notes(): readonly string[] {
    return this.events.flatMap((event) => (event.type === 'note' ? [event.text] : []));
  }

  /** Messages the queue still has. */
  left(): number {
    const { waiting, inFlight, delayed } = this.broker.counts();
    return waiting + inFlight + delayed;
  }
}

/** Between one worker and the world. */
class Gate {
  #open: Promise<void> = Promise.resolve();
  #thaw: () => void = () => undefined;
  readonly #killed = new AbortController();

  get dead(): boolean {
    return this.#killed.signal.aborted;
  }

  freeze(): void {
    this.#open = new Promise((resolve) => { this.#thaw = resolve; });
  }

  thaw(): void {
    this.#thaw();
  }

  kill(): void {
    this.#open = new Promise(() => undefined);
    this.#killed.abort();
  }

  /** Nobody who is dead wakes. */
  clock({ now, monotonic, sleep }: Clock): Clock {
    const killed = this.#killed.signal;
    return {
      now, monotonic,
      sleep: async (ms, signal) => {
        try {
          await sleep(ms, signal === undefined ? killed : AbortSignal.any([signal, killed]));
        } finally {
          if (killed.aborted) await new Promise(() => undefined);
        }
      },
    };
  }

  guard<T extends object>(target: T, called: (name: string) => void = () => undefined): T {
    return new Proxy(target, {
      get: (of, name) => {
        const member: unknown = Reflect.get(of, name);
        if (name === 'multipart' && typeof member === 'object' && member !== null) return this.guard(member);
        if (typeof member !== 'function') return member;
        return (...given: unknown[]): unknown => {
          called(String(name));
          // Listings are iterated; but for the journal's reports of spans nothing that a worker does is one.
          if (name === 'list') return Reflect.apply(member, of, given) as unknown;
          if (name === 'spanReports') return this.#iterated(() => Reflect.apply(member, of, given) as AsyncIterable<unknown>);
          return this.#open.then(() => Reflect.apply(member, of, given) as unknown).then((value) => this.#open.then(() => value));
        };
      },
    });
  }

  async *#iterated<T>(begin: () => AsyncIterable<T>): AsyncGenerator<T> {
    await this.#open;
    for await (const one of begin()) {
      await this.#open;
      yield one;
    }
    await this.#open;
  }

  queue(queue: MessageQueue, received: () => void): MessageQueue {
    return {
      ...queue,
      receive: async (most, waitMs, signal) => {
        received();
        await this.#open;
        const deliveries = await queue.receive(most, waitMs, signal);
        await this.#open;
        return deliveries.map((delivery): MessageDelivery => {
          const { leaseLeftMs } = delivery;
          return { ...this.#pass(delivery), id: delivery.id, body: delivery.body, receives: delivery.receives, leaseLeftMs };
        });
      },
    };
  }

  #pass({ extend, ack, release, park }: MessageDelivery): Pick<MessageDelivery, 'extend' | 'ack' | 'release' | 'park'> {
    const after = async <T>(work: () => Promise<T>): Promise<T> => {
      await this.#open;
      return work();
    };
    return { extend: (ms) => after(() => extend(ms)), ack: () => after(ack), release: (ms) => after(() => release(ms)), park: (reason) => after(() => park(reason)) };
  }
}

/** What is asked of a store, told before it is: `before` may count, wait or throw. Calls of `multipart` have their own names. */
export function tapped<T extends object>(store: T, before: (call: string, argument: unknown) => Promise<void> | void): T {
  return new Proxy(store, {
    get: (of, name) => {
      const member: unknown = Reflect.get(of, name);
      if (name === 'multipart' && typeof member === 'object' && member !== null) return tapped(member, before);
      if (typeof member !== 'function' || name === 'list' || name === 'close') return typeof member === 'function' ? member.bind(of) as unknown : member;
      return async (...given: unknown[]): Promise<unknown> => {
        await before(String(name), given.length > 1 && name === 'putPart' ? given[1] : given[0]);
        return Reflect.apply(member, of, given) as unknown;
      };
    },
  });
}
