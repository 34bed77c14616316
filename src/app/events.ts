/** Passing events around: to several listeners, and in portions across processes. */
import type { Outcome } from '../core/item.ts';
import type { ChecksumAlgorithm } from '../core/object.ts';
import type { Events, RunEvent } from '../ports/events.ts';
import type { RunTotals } from '../ports/ledger.ts';

export function fanOut(listeners: readonly Events[]): Events {
  return { emit: (event) => { for (const listener of listeners) listener.emit(event); }, each: listeners.some(({ each }) => each === true) };
}

const FLUSH_MS = 200;
const MOST = 2000;

/**
 * Gathers events for another process: bytes of one object are summed, the rest keeps its order; requests are counted, not sent one by one.
 * Of small objects most begin and end between two flushes: unless each is asked for, of those that ended well only the number goes.
 */
export class EventBatcher implements Events {
  readonly #send: (events: readonly RunEvent[]) => void;
  readonly #bytes = new Map<string, number>();
  readonly #requests = { source: new Map<string, number>(), destination: new Map<string, number>() };
  /** Began since the last flush. */
  readonly #begun = new Map<string, RunEvent>();
  #landed = newLanded();
  #waiting: RunEvent[] = [];
  #timer: NodeJS.Timeout | undefined;
  each = false;

  constructor(send: (events: readonly RunEvent[]) => void) {
    this.#send = send;
  }

  emit(event: RunEvent): void {
    if (event.type === 'request') count(this.#requests[event.side], event.op);
    else if (event.type === 'bytes') this.#bytes.set(event.key, (this.#bytes.get(event.key) ?? 0) + event.bytes);
    else if (event.type === 'started') this.#begun.set(event.key, event);
    else if (event.type !== 'ended' || !this.#land(event.outcome)) this.#waiting.push(event);
    if (this.#waiting.length >= MOST) this.flush();
    else this.#timer ??= setTimeout(() => this.flush(), FLUSH_MS);
  }

  /** Whether it is told as one of many. */
  #land({ key, state, problem, checksum }: Outcome): boolean {
    if (this.each || problem !== undefined || state === 'failed' || state === 'pending' || !this.#begun.delete(key)) return false;
    this.#landed.objects++;
    this.#landed.bytes += this.#bytes.get(key) ?? 0;
    this.#bytes.delete(key);
    if (state === 'copied' && checksum !== undefined) this.#landed.checksums[checksum.algorithm] = (this.#landed.checksums[checksum.algorithm] ?? 0) + 1;
    return true;
  }

  flush(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    // What began, and bytes, first: an object that ended must not be counted as going on.
    const bytes = [...this.#bytes].map(([key, count]): RunEvent => ({ type: 'bytes', key, bytes: count }));
    const landed: RunEvent[] = this.#landed.objects === 0 ? [] : [{ type: 'landed', ...this.#landed }];
    const events = [...this.#begun.values(), ...bytes, ...landed, ...this.#requestCounts(), ...this.#waiting];
    this.#begun.clear();
    this.#bytes.clear();
    this.#landed = newLanded();
    this.#waiting = [];
    if (events.length > 0) this.#send(events);
  }

  #requestCounts(): RunEvent[] {
    const events: RunEvent[] = [];
    for (const side of ['source', 'destination'] as const) {
      if (this.#requests[side].size > 0) events.push({ type: 'requests', side, counts: Object.fromEntries(this.#requests[side]) });
      this.#requests[side].clear();
    }
    return events;
  }
}

function newLanded(): { objects: number; bytes: number; checksums: Partial<Record<ChecksumAlgorithm, number>> } {
  return { objects: 0, bytes: 0, checksums: {} };
}

function count(counts: Map<string, number>, name: string, by = 1): void {
  counts.set(name, (counts.get(name) ?? 0) + by);
}

const SAVE_MS = 2000;

/** Keeps the run's sums that no item row holds: requests by operation, retries by cause, stalls, hedges. */
export class TotalsKeeper implements Events {
  readonly #save: (totals: Pick<RunTotals, 'requests' | 'retries' | 'stalls' | 'hedges'>) => void;
  readonly #requests = new Map<string, number>();
  readonly #retries = new Map<string, number>();
  #stalls = 0;
  #hedges = { sent: 0, won: 0 };
  #timer: NodeJS.Timeout | undefined;
  #closed = false;

  constructor(save: (totals: Pick<RunTotals, 'requests' | 'retries' | 'stalls' | 'hedges'>) => void) {
    this.#save = save;
  }

  emit(event: RunEvent): void {
    if (this.#closed) return;
    if (event.type === 'request') count(this.#requests, `${event.side} ${event.op}`);
    else if (event.type === 'requests') for (const [op, by] of Object.entries(event.counts)) count(this.#requests, `${event.side} ${op}`, by);
    else if (event.type === 'retry') count(this.#retries, event.problem.code);
    else if (event.type === 'stalled') this.#stalls++;
    else if (event.type === 'hedged') this.#hedges = { sent: this.#hedges.sent + 1, won: this.#hedges.won + (event.won ? 1 : 0) };
    else return;
    this.#timer ??= setTimeout(() => this.flush(), SAVE_MS);
  }

  /** The last sums are saved. Requests that end later, of work that was given up, count no more: there may be no ledger to take them. */
  close(): void {
    this.#closed = true;
    this.flush();
  }

  /** What was summed up so far is in the ledger. */
  flush(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#save({ requests: Object.fromEntries(this.#requests), retries: Object.fromEntries(this.#retries), stalls: this.#stalls, hedges: this.#hedges });
    this.#requests.clear();
    this.#retries.clear();
    this.#stalls = 0;
    this.#hedges = { sent: 0, won: 0 };
  }
}
