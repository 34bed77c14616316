/**
 * Parts that wait for a lane of this process: of objects whose task is here first, then of those that it helps with. Of each of these one is on its way all
 * the same: its span is claimed, so that its owner waits for it.
 */
import { type BrigadeError, cancelled, isKind } from '../../core/errors.ts';
import type { Clock } from '../../ports/clock.ts';
import type { PartRange } from '../../ports/queue.ts';

export interface DealOptions extends Omit<PartRange, 'id'> {
  /** In flight here, of one upload. */
  readonly perHolder: number;
  readonly own: boolean;
}

interface Deal {
  readonly options: DealOptions;
  ready: number[];
  running: number;
  failed: BrigadeError | undefined;
  resolve: () => void;
  reject: (error: BrigadeError) => void;
}

export class Deals {
  readonly #clock: Clock;
  readonly #open = new Set<Deal>();
  readonly #running = new Map<number, Deal>();
  readonly #listeners = new Set<() => void>();
  #serial = 0;
  #idle = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Lanes that have nothing to do. */
  get idleLanes(): number {
    return this.#idle - [...this.#open].reduce((sum, { ready }) => sum + ready.length, 0);
  }

  /** Parts of this upload that wait for a lane. */
  ready(upload: string): number {
    return this.#of(upload).reduce((sum, { ready }) => sum + ready.length, 0);
  }

  /** Resolves once all are sent and recorded; rejects with the first error, or as `cancelled` on the signal, when none of them is on its way any more. */
  deal(options: DealOptions, signal: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      const withdraw = (): void => this.#fail(deal, cancelled('spread'));
      const over = (end: () => void): void => {
        signal.removeEventListener('abort', withdraw);
        this.#open.delete(deal);
        end();
        this.news();
      };
      const deal: Deal = { options, ready: [...options.numbers], running: 0, failed: undefined, resolve: () => over(resolve), reject: (error) => over(() => reject(error)) };
      this.#open.add(deal);
      signal.addEventListener('abort', withdraw, { once: true });
      if (signal.aborted) withdraw();
      this.#settle(deal);
      this.news();
    });
  }

  async receive(most: number, signal: AbortSignal): Promise<readonly PartRange[]> {
    for (;;) {
      if (signal.aborted) throw cancelled('receive');
      const taken = this.#take(most);
      if (taken.length > 0) return taken;
      this.#idle += most;
      try {
        await this.until(() => this.#dealable() !== undefined, undefined, signal);
      } finally {
        this.#idle -= most;
      }
    }
  }

  end({ id }: PartRange, error?: BrigadeError): void {
    const deal = this.#running.get(id);
    if (deal === undefined) return;
    this.#running.delete(id);
    deal.running--;
    if (error === undefined) this.#settle(deal);
    else this.#fail(deal, error);
    this.news();
  }

  /** Something may have changed for who waits with `until`. */
  news(): void {
    for (const look of [...this.#listeners]) look();
  }

  /** Until it is so, or the time is over, or the signal fires. */
  async until(what: () => boolean, ms: number | undefined, signal: AbortSignal): Promise<void> {
    if (signal.aborted || what()) return;
    const over = new AbortController();
    const look = (): void => { if (what()) stop(); };
    const stop = (): void => over.abort();
    this.#listeners.add(look);
    signal.addEventListener('abort', stop, { once: true });
    try {
      if (ms === undefined) await new Promise<void>((resolve) => { over.signal.addEventListener('abort', () => resolve(), { once: true }); });
      else await this.#clock.sleep(ms, over.signal).catch(() => undefined);
    } finally {
      this.#listeners.delete(look);
      signal.removeEventListener('abort', stop);
    }
  }

  #of(upload: string): Deal[] {
    return [...this.#open].filter(({ options }) => options.upload.id === upload);
  }

  #take(most: number): readonly PartRange[] {
    const ranges: PartRange[] = [];
    for (let deal = this.#dealable(); deal !== undefined && ranges.length < most; deal = this.#dealable()) {
      const { task, upload, pin, algorithm } = deal.options;
      const range: PartRange = { id: ++this.#serial, task, upload, pin, algorithm, numbers: deal.ready.splice(0, 1) };
      deal.running++;
      this.#running.set(range.id, deal);
      ranges.push(range);
    }
    if (ranges.length > 0) this.news();
    return ranges;
  }

  #dealable(): Deal | undefined {
    const may = (deal: Deal): boolean => deal.ready.length > 0 && this.#of(deal.options.upload.id).reduce((sum, { running }) => sum + running, 0) < deal.options.perHolder;
    const all = [...this.#open].filter(may);
    return all.find(({ options, running }) => !options.own && running === 0) ?? all.find(({ options }) => options.own) ?? all[0];
  }

  #fail(deal: Deal, error: BrigadeError): void {
    // What stopped it says less than what was wrong.
    if (deal.failed === undefined || isKind(deal.failed, 'cancelled')) deal.failed = error;
    deal.ready = [];
    this.#settle(deal);
  }

  #settle(deal: Deal): void {
    if (deal.running > 0 || deal.ready.length > 0 || !this.#open.has(deal)) return;
    if (deal.failed === undefined) deal.resolve();
    else deal.reject(deal.failed);
  }
}
