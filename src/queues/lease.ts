/** The end of a lease as this process sees it: no request is needed to know that it is over, and a late heartbeat takes nothing from anybody. */
import { BrigadeError } from '../core/errors.ts';
import type { Clock } from '../ports/clock.ts';
import type { AckResult } from '../ports/message-queue.ts';

export class Lease {
  readonly #clock: Clock;
  readonly #begun: number;
  readonly #longestMs: number;
  #endsAt: number;
  /** Of what was granted last. */
  #asked: number;

  /** `since`: a moment not later than the delivery (when the request was sent), so that we never believe in a lease that the queue has ended. */
  constructor(clock: Clock, since: number, leaseMs: number, longestMs = Number.POSITIVE_INFINITY) {
    this.#clock = clock;
    this.#begun = since;
    this.#longestMs = longestMs;
    this.#asked = since;
    this.#endsAt = since + leaseMs;
  }

  /** By the clock that it was made with. */
  get endsAt(): number {
    return this.#endsAt;
  }

  leftMs(): number {
    return Math.max(0, this.#endsAt - this.#clock.monotonic());
  }

  /** What an ack or a release that is sent now is worth. */
  standing(): AckResult {
    return this.leftMs() > 0 ? 'acknowledged' : 'late';
  }

  /** The length to ask for: what is wanted, or what the ceiling leaves. @throws E_LEASE_LOST, E_LEASE_CEILING */
  grant(wantedMs: number, location: string): number {
    if (this.leftMs() <= 0) throw leaseLost(location);
    const ceiling = this.#begun + this.#longestMs - this.#clock.monotonic();
    if (ceiling < Math.min(wantedMs, 1000)) throw leaseCeiling(location, this.#longestMs);
    return Math.min(wantedMs, ceiling);
  }

  /** Granted by the queue, asked for at `since`. An answer that was overtaken by a later one says nothing any more; what was given back stays so. */
  prolong(since: number, leaseMs: number): void {
    if (since < this.#asked) return;
    this.#asked = since;
    this.#endsAt = since + leaseMs;
  }

  end(): void {
    this.#asked = Number.POSITIVE_INFINITY;
    this.#endsAt = Number.NEGATIVE_INFINITY;
  }
}

export function leaseLost(location: string, cause?: unknown): BrigadeError {
  return new BrigadeError({
    code: 'E_LEASE_LOST', kind: 'conflict', op: 'extend', location, message: 'the lease of this message has ended; somebody else may have it',
    hint: 'stop writing; its next holder looks at the destination first', cause,
  });
}

function leaseCeiling(location: string, longestMs: number): BrigadeError {
  return new BrigadeError({
    code: 'E_LEASE_CEILING', kind: 'conflict', op: 'extend', location, message: `the queue lets nobody hold a message longer than ${longestMs / 3_600_000} h`,
    hint: 'record what is done and send the rest as a new message',
  });
}
