/** Several workers on one machine, a process each: one that dies is replaced, because its tasks come again by themselves; many deaths are no accident. */
import type { ChildProcess } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { BrigadeError, type ErrorFacts, isKind } from '../../core/errors.ts';
import type { Clock } from '../../ports/clock.ts';
import type { Events, RunEvent } from '../../ports/events.ts';
import { forkCopier } from '../crew.ts';
import { countersOf, type Sample, summed } from '../../telemetry/meter.ts';
import type { Partition } from './partitions.ts';
import type { WorkerPlaces } from './worker.ts';

export type ToWorker = { readonly type: 'start'; readonly places: WorkerPlaces; readonly each: boolean } | { readonly type: 'stop'; readonly drainMs: number };
export type FromWorker =
  | { readonly type: 'ready' }
  | { readonly type: 'events'; readonly events: readonly RunEvent[] }
  /** All of one process until now. */
  | { readonly type: 'metrics'; readonly samples: readonly Sample[] }
  | { readonly type: 'failed'; readonly error: ErrorFacts };

export interface WorkersOptions {
  readonly places: WorkerPlaces;
  readonly processes: number;
  /** Where the queue is partitions: the seat of each process. One that takes the place of another takes its seat. */
  readonly seats?: readonly Partition[];
  readonly events: Events;
  readonly clock: Clock;
  /** All of them found what they need. */
  readonly ready?: () => void;
  /** Hears what all of them have counted together, whenever one of them says something. */
  readonly onMetrics?: (samples: readonly Sample[]) => void;
  /** Asked when the signal fires; absent: as the places say. */
  readonly drainMs?: () => number;
  /** The module of one process; for tests. */
  readonly module?: string;
}

const PROCESS = fileURLToPath(new URL(import.meta.url.endsWith('.ts') ? './worker-process.ts' : './worker-process.js', import.meta.url));
const MOST_DEATHS = 10;
const WITHIN_MS = 60_000;
/** Beyond the drain: for reports, and for leaving. */
const PATIENCE_MS = 30_000;

/** Until the signal fires and all have left. @throws what the first of them found wrong; internal E_WORKERS after more than 10 deaths within a minute */
export async function workInProcesses(options: WorkersOptions, signal: AbortSignal): Promise<void> {
  const workers = new Workers(options);
  await workers.run(signal);
}

class Workers {
  readonly #options: WorkersOptions;
  readonly #living = new Map<ChildProcess, number>();
  readonly #ready = new Set<ChildProcess>();
  readonly #samples = new Map<ChildProcess, readonly Sample[]>();
  /** Of those that are gone: what was counted stays counted. */
  #past: readonly Sample[] = [];
  #deaths: number[] = [];
  #failure: BrigadeError | undefined;
  #stopping = false;
  #allGone: () => void = () => undefined;
  #wasReady = false;

  constructor(options: WorkersOptions) {
    this.#options = options;
  }

  async run(signal: AbortSignal): Promise<void> {
    const gone = new Promise<void>((resolve) => { this.#allGone = resolve; });
    const stop = (): void => this.#stop();
    signal.addEventListener('abort', stop, { once: true });
    for (let i = 0; i < this.#options.processes && !signal.aborted; i++) this.#start(i);
    if (signal.aborted) this.#stop();
    await gone;
    signal.removeEventListener('abort', stop);
    if (this.#failure !== undefined) throw this.#failure;
  }

  #start(nth: number): void {
    const { places, seats, events, module = PROCESS } = this.#options;
    const child = forkCopier(module);
    const partition = seats?.[nth];
    this.#living.set(child, nth);
    child.on('message', (message: FromWorker) => this.#hear(child, message));
    child.once('exit', (code, by) => this.#ended(child, by ?? `exit ${code}`));
    child.once('error', (error) => this.#ended(child, error.message));
    this.#say(child, { type: 'start', places: partition === undefined ? places : { ...places, partition }, each: events.each === true });
  }

  #hear(child: ChildProcess, message: FromWorker): void {
    switch (message.type) {
      case 'ready': return this.#isReady(child);
      case 'events':
        for (const event of message.events) this.#options.events.emit(event);
        return;
      case 'metrics':
        this.#samples.set(child, message.samples);
        return this.#measure();
      case 'failed': return this.#failed(new BrigadeError(message.error));
    }
  }

  #measure(): void {
    this.#options.onMetrics?.([...summed([...this.#past, ...[...this.#samples.values()].flat()]), { name: 'brigade_worker_processes', labels: {}, value: this.#living.size }]);
  }

  #isReady(child: ChildProcess): void {
    this.#ready.add(child);
    if (this.#wasReady || this.#ready.size < this.#options.processes) return;
    this.#wasReady = true;
    this.#options.ready?.();
  }

  /** What is wrong from the beginning is wrong for all of them; what happens to one later, the next one may be spared. */
  #failed(error: BrigadeError): void {
    if (this.#wasReady && !isKind(error, 'usage')) {
      this.#note(`a worker met an error: ${error.message} [${error.code}]`);
      return;
    }
    this.#failure ??= error;
    this.#stop();
  }

  #ended(child: ChildProcess, how: string): void {
    const nth = this.#living.get(child);
    if (nth === undefined) return;
    this.#living.delete(child);
    this.#ready.delete(child);
    this.#past = summed([...this.#past, ...countersOf(this.#samples.get(child) ?? [])]);
    this.#samples.delete(child);
    this.#measure();
    if (!this.#stopping) this.#replace(nth, how);
    if (this.#living.size === 0) this.#allGone();
  }

  #replace(nth: number, how: string): void {
    const now = this.#options.clock.monotonic();
    this.#deaths = [...this.#deaths.filter((at) => now - at < WITHIN_MS), now];
    this.#note(`a worker ended (${how}); its tasks come again, and another one takes its place`);
    if (this.#deaths.length <= MOST_DEATHS) return this.#start(nth);
    this.#failure = new BrigadeError({ code: 'E_WORKERS', kind: 'internal', op: 'worker', message: `workers died ${this.#deaths.length} times within a minute`, hint: 'look at the log for memory limits or crashes' });
    this.#stop();
  }

  #stop(): void {
    if (this.#stopping) return;
    this.#stopping = true;
    if (this.#living.size === 0) this.#allGone();
    const drainMs = this.#options.drainMs?.() ?? this.#options.places.drainMs;
    for (const child of this.#living.keys()) this.#say(child, { type: 'stop', drainMs });
    const timer = setTimeout(() => { for (const child of this.#living.keys()) child.kill('SIGKILL'); }, drainMs + PATIENCE_MS);
    timer.unref();
  }

  /** One that is gone hears nothing: its end is told by itself. */
  #say(child: ChildProcess, message: ToWorker): void {
    if (child.connected) child.send(message, () => undefined);
  }

  #note(text: string): void {
    this.#options.events.emit({ type: 'note', level: 'warn', text });
  }
}
