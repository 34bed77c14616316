/** What the processes of a simulated fleet share: a clock, two stores, a journal's store, a queue; and those who look at what lands there. */
import { createHash, type Hash } from 'node:crypto';
import { migrationFromFlags, type Migration } from '../../src/config/index.ts';
import { BrigadeError } from '../../src/core/errors.ts';
import { Secret } from '../../src/core/secret.ts';
import { messageCodec } from '../../src/fleet/messages.ts';
import { looksPlain, plainName } from '../../src/fleet/plain-message.ts';
import { asWork, FLEET_CHECKS, type FleetBodies, type TaskCodec, taskNamed } from '../../src/fleet/task-message.ts';
import { openJournal } from '../../src/journal/index.ts';
import type { Random } from '../../src/ports/clock.ts';
import type { Journal, TaskName } from '../../src/ports/journal.ts';
import type { MessageDelivery, MessageQueue } from '../../src/ports/message-queue.ts';
import type { Store, WriteRequest } from '../../src/ports/storage.ts';
import { MemoryBroker, openMemoryQueue } from '../../src/queues/memory/index.ts';
import { faulty, type Fault } from '../../src/stores/decorators/faulty.ts';
import { createMemoryStore, type MemoryStore } from '../../src/stores/memory/index.ts';
import { simulatedClock, type SimulatedClock } from '../../src/telemetry/clock.ts';
import { seededRandom } from '../../src/telemetry/random.ts';
import { NO_BUG, type Bug } from './bugs.ts';
import { Objects } from './objects.ts';
import { SimulatedProcess } from './process.ts';
import type { Scenario } from './scenario.ts';

export const NAME = 'simulated';
const MOST_VIOLATIONS = 20;
const LINES_KEPT = 20_000;

export class World {
  readonly scenario: Scenario;
  readonly bug: Bug;
  readonly clock: SimulatedClock;
  readonly random: Random;
  readonly objects: Objects;
  readonly journalStore: MemoryStore;
  /** Past all faults. */
  readonly journal: Journal;
  readonly broker: MemoryBroker;
  readonly codec: TaskCodec;
  readonly migration: Migration;
  readonly violations: string[] = [];
  readonly processes: SimulatedProcess[] = [];
  /** The latest of what happened, where somebody wants to read it. */
  readonly lines: string[] = [];
  readonly #hash: Hash = createHash('sha256');
  readonly #stores: Readonly<Record<'source' | 'destination' | 'journal', Store>>;
  readonly #keepLines: boolean;
  /** Resolves with the first violation. */
  readonly violated: Promise<void>;
  #violated: () => void = () => undefined;
  happened = 0;
  /** What each crew says of its messages, also one that was killed. */
  readonly crews: (() => { readonly sent: number; readonly spurious: number })[] = [];
  /** A worker died of what it read. */
  poisoned: () => void = () => undefined;
  /** Plain messages that somebody got, by what the queue calls them. */
  readonly plainBodies = new Map<string, string>();
  /** The run that is wanted now. */
  run = 1;
  /** Somebody has paused it. */
  paused = false;

  constructor(scenario: Scenario, bug: Bug = NO_BUG, keepLines = false) {
    this.scenario = scenario;
    this.bug = bug;
    this.#keepLines = keepLines;
    this.violated = new Promise((resolve) => { this.#violated = resolve; });
    this.clock = simulatedClock();
    this.random = seededRandom(`world ${scenario.seed}`);
    this.objects = new Objects(scenario, this.clock, (what) => this.violate(what));
    this.journalStore = createMemoryStore({ name: 'journal', clock: this.clock });
    this.journal = openJournal({ store: this.journalStore, clock: this.clock, random: seededRandom('judge') });
    this.broker = new MemoryBroker({ clock: this.clock, random: seededRandom(`broker ${scenario.seed}`), leaseMs: scenario.leaseMs, faults: scenario.messages });
    this.codec = messageCodec<FleetBodies>({ current: new Secret('k'.repeat(32)) }, FLEET_CHECKS);
    this.migration = migrationOf(scenario);
    this.#stores = {
      source: this.#faulty('source', bug.source(this.objects.source)), destination: this.#faulty('destination', bug.destination(this.objects.witnessed())), journal: this.#faulty('journal', this.journalStore),
    };
  }

  process(name: string): SimulatedProcess {
    const { clock, scenario } = this;
    const process = new SimulatedProcess({ name, clock, seed: String(scenario.seed), latencyMs: scenario.latencyMs, trace: (line) => this.trace(line) });
    this.processes.push(process);
    return process;
  }

  /** A store as the driver of this process has it. */
  store(process: SimulatedProcess, place: 'source' | 'destination' | 'journal'): Store {
    const isPen = place === 'journal' && process.name.startsWith('c');
    return process.store(place, isPen ? this.bug.coordinatorStore(this.#stores.journal) : this.#stores[place], place === 'journal' ? (write) => this.#tear(write) : undefined);
  }

  queue(process: SimulatedProcess): MessageQueue {
    return process.queue(this.#watched(openMemoryQueue(this.broker), process.name));
  }

  trace(line: string): void {
    const text = `${this.clock.monotonic()} ${line}`;
    this.happened++;
    this.#hash.update(text);
    if (!this.#keepLines) return;
    this.lines.push(text);
    if (this.lines.length > LINES_KEPT) this.lines.shift();
  }

  traceHash(): string {
    return this.#hash.copy().digest('hex').slice(0, 16);
  }

  violate(what: string): void {
    this.trace(`VIOLATION ${what}`);
    this.#violated();
    if (this.violations.length < MOST_VIOLATIONS && !this.violations.includes(what)) this.violations.push(what);
  }

  /** Whether a report has the last word on this task, not counting the first ones; and how many of all are this worker's. */
  async reportsOn(work: TaskName, after: number, who: string): Promise<{ readonly closed: boolean; readonly own: number }> {
    let [closed, own] = [false, 0];
    for (let nth = 0; ; nth++) {
      const read = await this.journal.readReport({ work, nth });
      if (read === undefined) return { closed, own };
      if (read.report?.worker === who && read.report.told !== true) own++;
      closed ||= nth >= after && read.report?.close === true;
    }
  }

  #faulty(place: string, store: Store): Store {
    const { faults: { error, throttle, lost, cut }, stormMs, seed } = this.scenario;
    const during = [0, stormMs] as const;
    const faults: Fault[] = [
      { probability: error, during, effect: { kind: 'throw', error: 'transient', code: 'E_SERVER', status: 500 } },
      { probability: throttle, during, effect: { kind: 'throw', error: 'throttled', code: 'E_THROTTLED', status: 503 } },
      { ops: ['write', 'complete', 'create', 'putPart', 'abort', 'remove'], probability: lost, during, effect: { kind: 'drop-answer' } },
      { ops: ['read'], probability: cut, during, effect: { kind: 'cut', after: 300 } },
      { ops: ['read'], probability: cut / 4, during, effect: { kind: 'surplus', bytes: 3 } },
      { ops: ['read'], probability: cut / 4, during, effect: { kind: 'stall', after: 100 } },
    ];
    return faulty(store, { faults, random: seededRandom(`${place} ${seed}`), clock: this.clock });
  }

  /** What a writer leaves in a shared directory whose machine stops in the middle: of a name that was free, the beginning of its bytes. */
  #tear({ key, body, guard }: WriteRequest): void {
    if (guard.kind !== 'absent' || !/^(plan|control|reports|plain)\//.test(key) || body.bytes === undefined || this.journalStore.bytes(key) !== undefined) return;
    this.trace(`torn ${key}`);
    this.journalStore.put(key, body.bytes.subarray(0, Math.floor(body.bytes.length * this.random.next())));
  }

  #watched(queue: MessageQueue, who: string): MessageQueue {
    return { ...queue, receive: async (...given) => Promise.all((await queue.receive(...given)).map((delivery) => this.#watchedDelivery(delivery, who))) };
  }

  /** Truth 9: what is acknowledged was reported before. Truth 8: what came again and was done is not done once more. */
  async #watchedDelivery(delivery: MessageDelivery, who: string): Promise<MessageDelivery> {
    if (looksPlain(delivery.body)) return this.#watchedPlain(delivery, who);
    const envelope = asWork(this.codec.open(delivery.body));
    if (envelope.kind !== 'task') return { ...delivery, park: (reason) => this.#parked(delivery, reason) };
    const { id, body } = envelope;
    const look = (): ReturnType<World['reportsOn']> => this.reportsOn(taskNamed(id), body.after ?? 0, who);
    const before = delivery.receives > 1 || body.sending > 0 ? await look() : undefined;
    return {
      ...delivery,
      ack: async () => {
        const now = await look();
        // What a run has left that was given up is over.
        if (!now.closed && body.run >= this.run) this.violate(`truth 9: task ${id} was acknowledged before a report closed it`);
        if (before?.closed === true && now.own > before.own) this.violate(`truth 8: task ${id} was done when ${who} got it again, and it did it once more`);
        return delivery.ack();
      },
      park: (reason) => this.#parked(delivery, reason),
    };
  }

  /** Truths 9 and 8 of what no coordinator planned. */
  async #watchedPlain(delivery: MessageDelivery, who: string): Promise<MessageDelivery> {
    this.plainBodies.set(delivery.id, delivery.body);
    const look = (): ReturnType<World['reportsOn']> => this.reportsOn(plainName(openMemoryQueue(this.broker).describe, delivery.id, delivery.body), 0, who);
    const before = delivery.receives > 1 ? await look() : undefined;
    return {
      ...delivery,
      ack: async () => {
        const now = await look();
        if (!now.closed) this.violate(`truth 9: plain message ${delivery.id} was acknowledged before a report closed it`);
        if (before?.closed === true && now.own > before.own) this.violate(`truth 8: plain message ${delivery.id} was done when ${who} got it again, and it did it once more`);
        return delivery.ack();
      },
      park: (reason) => this.#parked(delivery, reason),
    };
  }

  #parked(delivery: MessageDelivery, reason: string): Promise<void> {
    this.violate(`a message of ours was parked: ${reason}`);
    return delivery.park(reason);
  }
}

function migrationOf({ perTask, partSize, spanBytes, inPartsFrom, verify, compare, atOnce }: Scenario): Migration {
  const migration = migrationFromFlags('/from', '/to', { name: NAME, options: { batch: { objects: perTask }, compare } }, { env: {}, cwd: '/' });
  return { ...migration, verify, batch: { ...migration.batch, span: spanBytes }, limits: { ...migration.limits, concurrency: atOnce }, transfer: { ...migration.transfer, multipartThreshold: inPartsFrom, partSize } };
}

/** Of somebody else's doing, or of ours told in one line. */
export function codeOf(thrown: unknown): string {
  return thrown instanceof BrigadeError ? `${thrown.kind} ${thrown.code}: ${thrown.message}` : thrown instanceof Error ? `${thrown.message} ${thrown.stack?.split('\n')[1]?.trim() ?? ''}` : String(thrown);
}
