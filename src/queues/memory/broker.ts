/**
 * A queue in one process, for simulation: everything a real one may do to a message (deliver it twice, out of order, never) happens here by a
 * seed, and time is the clock's. One broker is the engine; each participant opens a queue on it.
 */
import { BrigadeError, cancelled } from '../../core/errors.ts';
import type { Clock, Random } from '../../ports/clock.ts';
import { overReceived } from '../outgoing.ts';

export interface MemoryFaults {
  /** Chance that a sent message is stored twice. */
  readonly duplicate?: number;
  /** Chance that a message is put at a random place instead of the end. */
  readonly reorder?: number;
  /** Chance that a message is accepted and never seen again. */
  readonly lose?: number;
}

export interface BrokerOptions {
  readonly clock: Clock;
  readonly random: Random;
  readonly leaseMs?: number;
  /** Default 100 (design §4.10). */
  readonly mostReceives?: number;
  readonly faults?: MemoryFaults;
}

export interface Stored {
  readonly id: string;
  readonly body: string;
  receives: number;
  /** Monotonic; before it nobody gets the message. */
  visibleAt: number;
  /** Which delivery holds it; 0: nobody. */
  holder: number;
}

export interface Dead {
  readonly id: string;
  readonly body: string;
  readonly reason: string;
  readonly receives: number;
}

export class MemoryBroker {
  readonly clock: Clock;
  readonly leaseMs: number;
  readonly mostReceives: number;
  readonly #random: Random;
  #faults: MemoryFaults;
  #stored: Stored[] = [];
  #dead: Dead[] = [];
  #down = false;
  #sequence = 0;
  readonly #waiting = new Set<() => void>();

  constructor({ clock, random, leaseMs = 30_000, mostReceives = 100, faults = {} }: BrokerOptions) {
    this.clock = clock;
    this.#random = random;
    this.leaseMs = leaseMs;
    this.mostReceives = mostReceives;
    this.#faults = faults;
  }

  /** The weather may change in the middle of a run. */
  setFaults(faults: MemoryFaults): void {
    this.#faults = faults;
  }

  /** Nobody reaches the broker (`false`: again). What it holds stays. */
  setDown(down: boolean): void {
    this.#down = down;
    this.#wake();
  }

  purge(): void {
    this.#stored = [];
  }

  put(body: string): void {
    this.#reachable('send');
    if (this.#happens(this.#faults.lose)) return;
    const copies = this.#happens(this.#faults.duplicate) ? 2 : 1;
    for (let i = 0; i < copies; i++) this.#insert(body);
    this.#wake();
  }

  /** What can be delivered now. */
  take(most: number): readonly Stored[] {
    this.#reachable('receive');
    this.#parkOverdelivered();
    const now = this.clock.monotonic();
    const taken = this.#stored.filter(({ visibleAt }) => visibleAt <= now).slice(0, most);
    for (const message of taken) {
      message.receives += 1;
      message.visibleAt = now + this.leaseMs;
      message.holder = ++this.#sequence;
    }
    return taken;
  }

  /** Waits until something may have become visible, at most `ms`. @throws cancelled */
  async arrival(ms: number, signal: AbortSignal): Promise<void> {
    if (signal.aborted) throw cancelled('receive');
    const now = this.clock.monotonic();
    const next = this.#stored.reduce((earliest, { visibleAt }) => Math.min(earliest, visibleAt), Number.POSITIVE_INFINITY);
    const over = new AbortController();
    const woken = new Promise<void>((resolve) => {
      this.#waiting.add(resolve);
      over.signal.addEventListener('abort', () => this.#waiting.delete(resolve), { once: true });
    });
    const asleep = this.clock.sleep(Math.max(0, Math.min(ms, this.#down ? ms : next - now)), AbortSignal.any([signal, over.signal]));
    try {
      await Promise.race([woken, asleep]);
    } finally {
      // The loser of the race ends here, and that it does is no error.
      asleep.catch(() => undefined);
      over.abort();
    }
    if (signal.aborted) throw cancelled('receive');
  }

  /** The message, if this delivery still holds it. */
  held(holder: number, op: string): Stored | undefined {
    this.#reachable(op);
    const now = this.clock.monotonic();
    return this.#stored.find((message) => message.holder === holder && message.visibleAt > now);
  }

  hideFor(message: Stored, ms: number): void {
    message.visibleAt = this.clock.monotonic() + ms;
    this.#wake();
  }

  /** By id, not by delivery: a late ack removes what somebody else holds, as real queues do (F099). */
  remove(id: string, op: string): void {
    this.#reachable(op);
    this.#stored = this.#stored.filter((message) => message.id !== id);
  }

  bury(dead: Dead): void {
    this.#reachable('park');
    this.#dead.push(dead);
  }

  /** A letter that was no message: the same one, as long as it lies there, is there once. */
  buryOnce(dead: Dead): void {
    this.#reachable('bury');
    if (!this.#dead.some(({ id }) => id === dead.id)) this.#dead.push(dead);
  }

  dead(most: number): readonly Dead[] {
    this.#reachable('deadLetters');
    this.#parkOverdelivered();
    return this.#dead.slice(0, most);
  }

  unbury(dead: Dead): void {
    this.#reachable('deadLetters');
    this.#dead = this.#dead.filter((other) => other !== dead);
  }

  counts(): { waiting: number; inFlight: number; delayed: number; dead: number } {
    this.#reachable('counts');
    const now = this.clock.monotonic();
    const hidden = this.#stored.filter(({ visibleAt }) => visibleAt > now);
    const inFlight = hidden.filter(({ holder }) => holder > 0).length;
    return { waiting: this.#stored.length - hidden.length, inFlight, delayed: hidden.length - inFlight, dead: this.#dead.length };
  }

  #insert(body: string): void {
    const at = this.#happens(this.#faults.reorder) ? Math.floor(this.#random.next() * (this.#stored.length + 1)) : this.#stored.length;
    this.#stored.splice(at, 0, { id: `m${++this.#sequence}`, body, receives: 0, visibleAt: this.clock.monotonic(), holder: 0 });
  }

  #parkOverdelivered(): void {
    const now = this.clock.monotonic();
    const over = this.#stored.filter(({ receives, visibleAt }) => receives >= this.mostReceives && visibleAt <= now);
    if (over.length === 0) return;
    this.#dead.push(...over.map(({ id, body, receives }) => ({ id, body, receives, reason: overReceived(this.mostReceives) })));
    this.#stored = this.#stored.filter((message) => !over.includes(message));
  }

  #happens(chance = 0): boolean {
    return chance > 0 && this.#random.next() < chance;
  }

  #reachable(op: string): void {
    if (this.#down) throw new BrigadeError({ code: 'E_NETWORK', kind: 'transient', op, location: 'memory', message: 'the queue does not answer' });
  }

  #wake(): void {
    for (const wake of [...this.#waiting]) wake();
  }
}
