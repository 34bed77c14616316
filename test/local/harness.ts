/** A whole run in this process over any two stores and a real ledger: what engine tests start from. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { isUnfinished } from '../../src/app/unfinished.ts';
import { isKind } from '../../src/core/errors.ts';
import type { Tally } from '../../src/core/item.ts';
import { MiB } from '../../src/core/units.ts';
import { Budget } from '../../src/engine/budget.ts';
import { coordinate, type Crew, type RunEnd } from '../../src/engine/coordinator.ts';
import { copyItem } from '../../src/engine/copier.ts';
import type { CopyOptions, PlanOptions, VerifyLevel } from '../../src/engine/options.ts';
import { runWorker } from '../../src/engine/worker.ts';
import { createEntrySorter, openLedger, type SqliteLedger } from '../../src/ledger/sqlite/index.ts';
import type { RunEvent } from '../../src/ports/events.ts';
import type { Clock } from '../../src/ports/clock.ts';
import type { Store } from '../../src/ports/storage.ts';
import { LocalQueue } from '../../src/queues/local/local-queue.ts';
import { systemClock } from '../../src/telemetry/clock.ts';
import { seededRandom } from '../../src/telemetry/random.ts';

export const COPY: CopyOptions = {
  cut: { bufferUpTo: 8 * MiB, streamUpTo: 64 * MiB }, partConcurrency: 4, serverSideCopy: 'auto', singleCopyLimit: 1024 * MiB,
  verify: 'inline', compare: 'auto', onConflict: 'overwrite', sourceGone: 'skip',
  fidelity: { contentHeaders: 'report', userMetadata: 'report', tags: 'report', storageClass: 'report', mtime: 'report', mode: 'report' },
  tags: { copy: true, set: {} }, metadata: {},
};

export const PLAN: PlanOptions = {
  selection: { include: [], exclude: [] }, batch: { objects: 100, bytes: 1024 * MiB, seconds: 60 }, compare: 'auto', onConflict: 'overwrite', mtimeStepMs: 0,
};

export interface Options {
  readonly copy?: Partial<CopyOptions>;
  readonly plan?: Partial<PlanOptions>;
  readonly verify?: VerifyLevel;
  readonly onPause?: 'exit' | 'wait' | 'auto';
  readonly signal?: AbortSignal;
  readonly onEvent?: (event: RunEvent) => void;
  readonly clock?: Clock;
}

export class Bench {
  readonly dir = mkdtempSync(join(tmpdir(), 'brigade-engine-'));
  readonly source: Store;
  readonly destination: Store;
  ledger!: SqliteLedger;

  constructor(source: Store, destination: Store) {
    this.source = source;
    this.destination = destination;
  }

  async open(): Promise<SqliteLedger> {
    this.ledger = await openLedger({
      path: join(this.dir, 'ledger.db'), mode: 'create', clock: systemClock(), holder: { pid: process.pid, host: 'test' }, groupMs: 1,
      binding: { migration: 'test', specHash: 'x', source: await this.source.identity(), destination: await this.destination.identity() },
    });
    return this.ledger;
  }

  /** Resumes the unfinished run or begins one, as the product does, and runs it to its end. */
  async run(options: Options = {}): Promise<RunEnd & { readonly tally: Tally }> {
    const ledger = this.ledger ?? (await this.open());
    const last = ledger.run();
    const unfinished = last !== undefined && isUnfinished(last);
    if (unfinished) ledger.updateRun(last.number, { state: 'active', pause: null, resumed: true });
    const run = unfinished ? ledger.run(last.number) ?? last : ledger.beginRun(last === undefined ? 'initial' : 'delta');
    ledger.releaseTasks(run.number);
    const queue = new LocalQueue(ledger, run.number);
    const clock = options.clock ?? systemClock();
    const shared = { clock, random: seededRandom(1), events: { emit: (event: RunEvent) => options.onEvent?.(event) }, ledger, source: this.source, destination: this.destination };
    const probe = (signal: AbortSignal): Promise<void> => this.#probe(signal);
    const crew = new TestCrew(queue, (stop) => {
      const context = { ...shared, options: { ...COPY, ...options.copy }, recorder: queue.recorder(), memory: new Budget(64 * MiB) };
      return runWorker({ ...shared, queue: queue.queue('test'), recorder: queue.recorder(), probe, concurrency: 8, large: 2, tasks: 2, heartbeatMs: 1000, copy: (task, item, signal) => copyItem(context, task, item, signal) }, stop);
    });
    try {
      return await coordinate({
        ...shared, run, crew, probe, plan: { ...PLAN, ...options.plan }, verify: options.verify ?? 'inline', verifyConcurrency: 8, lanes: 8, onPause: options.onPause ?? 'exit',
        sorter: () => createEntrySorter({ dir: this.dir }),
      }, options.signal ?? new AbortController().signal);
    } finally {
      await crew.hold();
      await ledger.flush();
    }
  }

  async close(): Promise<void> {
    await this.ledger?.close();
    await Promise.all([this.source.close(), this.destination.close()]);
    rmSync(this.dir, { recursive: true, force: true });
  }

  async #probe(signal: AbortSignal): Promise<void> {
    for (const store of [this.source, this.destination]) {
      await store.head('.probe', { signal }).catch((error: unknown) => { if (!isKind(error, 'gone')) throw error; });
    }
  }
}

class TestCrew implements Crew {
  readonly #queue: LocalQueue;
  readonly #work: (stop: AbortSignal) => Promise<void>;
  #stop = new AbortController();
  #working: Promise<void> = Promise.resolve();
  trouble!: Promise<never>;

  constructor(queue: LocalQueue, work: (stop: AbortSignal) => Promise<void>) {
    this.#queue = queue;
    this.#work = work;
    this.go();
  }

  wake(): void { this.#queue.wake(); }

  idle(): boolean { return this.#queue.open === 0; }

  async hold(): Promise<void> {
    this.#stop.abort();
    await this.#working;
  }

  go(): void {
    this.#stop = new AbortController();
    const running = this.#work(this.#stop.signal);
    this.#working = running.catch(() => undefined);
    this.trouble = new Promise((_, reject) => { running.catch(reject); });
    this.trouble.catch(() => undefined);
  }
}
