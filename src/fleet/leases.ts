/**
 * How long a worker asks to hold a message (S1.11): a little longer than most tasks of its size class take, so that few of them need a heartbeat at all, which
 * is a request each. Never shorter than the queue's own lease, never longer than four of them: for so long the tasks of a worker that died are nobody's.
 */
import { Latest } from '../core/latest.ts';
import type { SizeClass } from '../core/pack.ts';
import type { MessageLimits } from '../ports/message-queue.ts';

const SHARE_OF_P95 = 1.5;
const MOST_LEASES = 4;

type Limits = Pick<MessageLimits, 'leaseMs' | 'leasesVary'>;

/** What anybody may hold at most without a heartbeat. */
export function mostLeaseMs({ leaseMs, leasesVary }: Limits): number {
  return leasesVary ? MOST_LEASES * leaseMs : leaseMs;
}

/** For tasks of which nearly all take no longer than this. */
export function leaseFor(limits: Limits, p95Ms: number | undefined): number {
  return Math.min(mostLeaseMs(limits), Math.max(limits.leaseMs, (p95Ms ?? 0) * SHARE_OF_P95));
}

/** Of one migration at one worker: from the message in hand to the report that stands. */
export class Leases {
  readonly #limits: Limits;
  readonly #took: Readonly<Record<SizeClass, Latest>> = { small: new Latest(), large: new Latest() };

  constructor(limits: Limits) {
    this.#limits = limits;
  }

  took(size: SizeClass, ms: number): void {
    this.#took[size].add(ms);
  }

  /** To ask for now. */
  wantedMs(size: SizeClass): number {
    return leaseFor(this.#limits, this.#took[size].p95());
  }
}
