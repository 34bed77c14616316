/** The local crew: executors as forked processes, or none (the coordinator copies itself). */
import { type ChildProcess, fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import type { Migration } from '../config/index.ts';
import { asBrigadeError, BrigadeError, errorLine, isKind } from '../core/errors.ts';
import type { InForce, Rates } from '../core/timetable.ts';
import type { Crew } from '../engine/coordinator.ts';
import { Trouble } from '../engine/trouble.ts';
import type { Clock } from '../ports/clock.ts';
import type { Events } from '../ports/events.ts';
import { type Order, type Report, serveExecutor, type Wire } from '../queues/local/channel.ts';
import type { LocalQueue } from '../queues/local/local-queue.ts';
import { copyTasks, type CopyingOptions } from './copying.ts';
import { keepOldGenerationSmall, YOUNG_GENERATION_FLAG } from './heap.ts';
import { Standing } from './standing.ts';

/** What a forked executor needs to build the same stores: no secrets, references only. */
export interface ExecutorSpec {
  readonly migration: Migration;
  readonly share: number;
  readonly ledger: string;
  readonly facts: unknown;
  /** An executor that says nothing for this long is frozen: it is ended, its tasks go back. It beats twelve times as often. */
  readonly silenceMs: number;
  /** Somebody wants to be told of each object. */
  readonly each?: boolean;
}

export interface ManagedCrew extends Crew {
  /** What all executors together must stay below from now on; `paused`: they lay down what they have. */
  limit(now: Rates & Pick<InForce, 'paused'>): void;
  /** Nothing more of the run is begun, by anybody, and what is in work ends at the next part boundary: it was cancelled. */
  giveUp(): Promise<void>;
  /** Drains for at most `drainMs`, then ends all executors. */
  close(drainMs: number): Promise<void>;
}

/**
 * glibc raises its threshold for memory of its own with each large buffer that is freed, until the buffers of parts come from the heap, which
 * has holes and does not shrink: 255 MiB against 223 while large objects are copied. A threshold that is set stays. Other C libraries ignore it.
 * https://man7.org/linux/man-pages/man3/mallopt.3.html (M_MMAP_THRESHOLD)
 */
const BUFFERS_APART = { MALLOC_MMAP_THRESHOLD_: '131072' };

/** Copies in the coordinator's own process (`executors: 0`). */
export class InProcessCrew implements ManagedCrew {
  readonly #options: Omit<CopyingOptions, 'queue' | 'recorder'>;
  readonly #queue: LocalQueue;
  readonly #trouble = new Trouble();
  readonly #standing = new Standing(async (going) => {
    if (going) return this.#begin();
    this.#stop.abort();
    await this.#working;
  });
  #stop = new AbortController();
  #working: Promise<void> = Promise.resolve();

  constructor(queue: LocalQueue, options: Omit<CopyingOptions, 'queue' | 'recorder'>) {
    this.#queue = queue;
    this.#options = options;
    this.#begin();
  }

  get trouble(): Promise<never> {
    return this.#trouble.promise;
  }

  wake(): void {
    this.#queue.wake();
  }

  idle(): boolean {
    return this.#queue.open === 0;
  }

  hold(): Promise<void> {
    return this.#standing.hold();
  }

  go(): void {
    this.#trouble.reset();
    this.#standing.go();
  }

  /** The coordinator's stores, which are limited already, are what it copies with. */
  limit({ paused }: Pick<InForce, 'paused'>): void {
    this.#standing.pause(paused === true);
  }

  giveUp(): Promise<void> {
    return this.hold();
  }

  async close(drainMs: number): Promise<void> {
    this.#queue.hold(true);
    await waitUntil(() => this.idle(), drainMs, this.#options.clock);
    await this.hold();
  }

  #begin(): void {
    this.#stop = new AbortController();
    const queue = this.#queue.queue('coordinator');
    this.#working = copyTasks({ ...this.#options, queue, recorder: this.#queue.recorder() }, this.#stop.signal)
      .catch((error: unknown) => this.#trouble.raise(asBrigadeError(error, 'copy')));
  }
}

async function waitUntil(done: () => boolean, ms: number, clock: Clock): Promise<void> {
  const end = clock.monotonic() + ms;
  while (!done() && clock.monotonic() < end) await clock.sleep(50);
}

const EXECUTOR = fileURLToPath(new URL(import.meta.url.endsWith('.ts') ? './executor.ts' : './executor.js', import.meta.url));
export const SILENCE_MS = 60_000;
/** How long a drain waits for executors to say that they hold still. */
const HOLD_MS = 60_000;
/** More deaths than this within a minute are no accident. */
const MOST_DEATHS = 10;

interface Executor {
  readonly child: ChildProcess;
  readonly holder: string;
  readonly order: (order: Order<ExecutorSpec>) => void;
  heardMs: number;
  held: boolean;
}

const LATER_MS = 150;

const forkExecutor = (): ChildProcess => forkCopier(EXECUTOR);

/** A process that copies. */
export function forkCopier(module: string): ChildProcess {
  return fork(module, [], { env: { ...process.env, ...BUFFERS_APART }, serialization: 'advanced', execArgv: [...process.execArgv, YOUNG_GENERATION_FLAG], stdio: ['ignore', 'inherit', 'inherit', 'ipc'] });
}

/**
 * Processes of executors that start while the stores are still looked at. They do nothing before a crew takes them, and what nobody takes is
 * ended: the first object need not wait for them.
 */
export class Spares implements Disposable {
  #children: ChildProcess[] = [];
  readonly #timer: NodeJS.Timeout;

  /** Not at once: until its first requests are out, this process has enough to load itself. */
  constructor(count: number) {
    this.#timer = setTimeout(() => {
      this.#children = Array.from({ length: count }, forkExecutor);
      // One that cannot even start is missed when it is taken.
      for (const child of this.#children) child.on('error', () => undefined);
    }, LATER_MS);
  }

  take(): ChildProcess | undefined {
    clearTimeout(this.#timer);
    for (let child = this.#children.shift(); child !== undefined; child = this.#children.shift()) {
      if (child.connected && child.exitCode === null && child.signalCode === null) return child;
    }
    return undefined;
  }

  [Symbol.dispose](): void {
    clearTimeout(this.#timer);
    for (const child of this.#children.splice(0)) child.kill('SIGKILL');
  }
}

/** One forked process per executor; a dead one is replaced, its tasks go back in doubt. */
export class ForkedCrew implements ManagedCrew {
  readonly #queue: LocalQueue;
  readonly #spec: ExecutorSpec;
  readonly #events: Events;
  readonly #clock: Clock;
  readonly #trouble = new Trouble();
  readonly #executors = new Map<string, Executor>();
  readonly #spares: Spares | undefined;
  readonly #watch: NodeJS.Timeout;
  #deaths: number[] = [];
  #diedMs: number | undefined;
  #lookedMs: number;
  #serial = 0;
  #closing = false;
  readonly #standing = new Standing((going) => this.#change(going));
  #rates: Rates | undefined;

  constructor(queue: LocalQueue, spec: ExecutorSpec, events: Events, clock: Clock, spares?: Spares) {
    this.#queue = queue;
    this.#spares = spares;
    this.#spec = { ...spec, each: events.each === true };
    this.#events = events;
    this.#clock = clock;
    keepOldGenerationSmall();
    queue.onBusy = (share) => { for (const executor of this.#executors.values()) executor.order({ type: 'share', share }); };
    for (let i = 0; i < spec.share; i++) this.#start();
    this.#lookedMs = clock.monotonic();
    this.#watch = setInterval(() => this.#endSilent(), spec.silenceMs / 4);
    this.#watch.unref();
  }

  get trouble(): Promise<never> {
    return this.#trouble.promise;
  }

  wake(): void {
    this.#queue.wake();
  }

  idle(): boolean {
    return this.#queue.open === 0;
  }

  diedMs(): number | undefined {
    return this.#diedMs;
  }

  /** Process ids of the living executors, for tests and `status`. */
  pids(): readonly number[] {
    return [...this.#executors.values()].map(({ child }) => child.pid ?? 0);
  }

  hold(): Promise<void> {
    return this.#standing.hold();
  }

  go(): void {
    this.#trouble.reset();
    this.#standing.go();
  }

  limit({ paused, ...rates }: Rates & Pick<InForce, 'paused'>): void {
    this.#rates = rates;
    for (const executor of this.#executors.values()) executor.order({ type: 'limits', rates });
    this.#standing.pause(paused === true);
  }

  giveUp(): Promise<void> {
    return this.close(0);
  }

  async #change(going: boolean): Promise<void> {
    this.#queue.hold(!going);
    for (const executor of this.#executors.values()) {
      executor.held = false;
      executor.order({ type: going ? 'go' : 'hold' });
    }
    if (!going) await waitUntil(() => [...this.#executors.values()].every(({ held }) => held), HOLD_MS, this.#clock);
  }

  async close(drainMs: number): Promise<void> {
    this.#closing = true;
    clearInterval(this.#watch);
    this.#queue.hold(true);
    await waitUntil(() => this.idle(), drainMs, this.#clock);
    for (const executor of this.#executors.values()) executor.order({ type: 'stop' });
    await waitUntil(() => this.#executors.size === 0, 5_000, this.#clock);
    for (const { child } of this.#executors.values()) child.kill('SIGKILL');
    await waitUntil(() => this.#executors.size === 0, 5_000, this.#clock);
  }

  #start(): void {
    const holder = `executor-${process.pid}-${++this.#serial}`;
    const child = this.#spares?.take() ?? forkExecutor();
    const order = serveExecutor<ExecutorSpec>(wireOf(child), this.#queue, holder, (report) => this.#hear(holder, report));
    this.#executors.set(holder, { child, holder, order, heardMs: this.#clock.monotonic(), held: false });
    child.once('exit', (code, signal) => this.#ended(holder, code, signal));
    order({ type: 'start', spec: this.#spec });
    if (this.#rates !== undefined) order({ type: 'limits', rates: this.#rates });
    if (!this.#standing.going) order({ type: 'hold' });
  }

  #hear(holder: string, report: Report): void {
    const executor = this.#executors.get(holder);
    if (executor === undefined) return;
    executor.heardMs = this.#clock.monotonic();
    if (report.type === 'events') for (const event of report.events) this.#events.emit(event);
    if (report.type === 'held') executor.held = true;
    if (report.type !== 'trouble') return;
    executor.held = true;
    const error = new BrigadeError(report.error);
    this.#trouble.raise(error);
    if (!isKind(error, 'premise', 'throttled')) this.#note(`an executor met an error: ${errorLine(error)}`);
  }

  #ended(holder: string, code: number | null, signal: string | null): void {
    this.#executors.delete(holder);
    this.#queue.leave(holder);
    if (this.#closing) return;
    this.#diedMs = this.#clock.now();
    const now = this.#clock.monotonic();
    this.#deaths = [...this.#deaths.filter((at) => now - at < 60_000), now];
    this.#note(`an executor ended (${signal ?? `exit ${code}`}); its tasks go to another one`);
    if (this.#deaths.length <= MOST_DEATHS) this.#start();
    else this.#trouble.raise(new BrigadeError({ code: 'E_EXECUTORS', kind: 'internal', message: `executors died ${this.#deaths.length} times within a minute`, hint: 'look at the log for memory limits or crashes' }));
  }

  #endSilent(): void {
    const { silenceMs } = this.#spec;
    const now = this.#clock.monotonic();
    // A coordinator that was frozen itself has heard nobody: what they said meanwhile is still to be read.
    const frozen = now - this.#lookedMs > silenceMs / 2;
    this.#lookedMs = now;
    for (const executor of this.#executors.values()) {
      if (frozen) executor.heardMs = now;
      else if (now - executor.heardMs > silenceMs) executor.child.kill('SIGKILL');
    }
  }

  #note(text: string): void {
    this.#events.emit({ type: 'note', level: 'warn', text });
  }
}

function wireOf(child: ChildProcess): Wire {
  return {
    // A message to an executor that just ended is lost with it: 'exit' sees to its tasks.
    send: (message) => { if (child.connected) child.send(message as never, () => undefined); },
    onMessage: (listener) => { child.on('message', listener); },
    onClose: (listener) => { child.once('disconnect', listener); },
  };
}
