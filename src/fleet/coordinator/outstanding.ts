/**
 * Tasks that were sent and are not done, and which of them are sent again (design §5): those older than twice a lease and thrice the 95th percentile
 * of what tasks of their size take from sending to report, as many as the queue holds fewer than are outstanding. A queue's counts are approximate, and
 * others may use it: what is ten times as old is sent again whatever they say, so that nothing ever waits for good; each time it waits twice as long, so
 * that a queue whose workers are away does not fill with copies. Age counts from when somebody was last heard to work on it, and not while nobody may.
 */
import { Latest } from '../../core/latest.ts';
import type { SizeClass } from '../../core/pack.ts';
import type { TaskName } from '../../ports/journal.ts';

export interface Sent {
  readonly task: number;
  readonly name: TaskName;
  readonly size: SizeClass;
  /** By the coordinator's monotonic clock. */
  readonly atMs: number;
  /** 0 the first time. */
  readonly sending: number;
  /** It was sent again because it was missing: so many of its sendings may not have been needed. */
  readonly again?: number;
}

const LEASES = 2;
const SOJOURNS = 3;
/** Before anything is known of how long tasks take. */
const UNKNOWN_MS = 60_000;
const FAR_NET = 10;
const MOST_DOUBLINGS = 8;

export class Outstanding {
  readonly #sent = new Map<number, Sent>();
  /** Of those that somebody reported on without ending them. */
  readonly #heard = new Map<number, number>();
  #restedMs = Number.NEGATIVE_INFINITY;
  readonly #sojourns: Readonly<Record<SizeClass, Latest>> = { small: new Latest(), large: new Latest() };
  /** Messages, each sending of a task counted. */
  sent = 0;
  /** Of these: sendings of tasks that had been sent before. */
  resent = 0;
  /** Sent again for being missing, and an earlier sending ended the task all the same: it was in somebody's hand, or still in the queue. After a purge none is. */
  spurious = 0;

  get size(): number {
    return this.#sent.size;
  }

  add(sent: Sent): void {
    // In the order of sending: what was sent again comes to the end.
    this.#sent.delete(sent.task);
    this.#heard.delete(sent.task);
    this.#sent.set(sent.task, sent);
    this.sent++;
    if (sent.sending > 0) this.resent++;
  }

  has(task: number): boolean {
    return this.#sent.has(task);
  }

  /** `sending`: the one that was answered, where anybody answered. */
  done(task: number, nowMs: number, sending?: number): void {
    const sent = this.#sent.get(task);
    if (sent === undefined) return;
    if (sending !== undefined) this.spurious += Math.min(sent.again ?? 0, Math.max(0, sent.sending - sending));
    this.#sent.delete(task);
    this.#heard.delete(task);
    this.#sojourns[sent.size].add(nowMs - sent.atMs);
  }

  /** Somebody is at work on it. */
  heard(task: number, nowMs: number): void {
    if (this.#sent.has(task)) this.#heard.set(task, nowMs);
  }

  /** Until now nobody was to work. */
  rested(nowMs: number): void {
    this.#restedMs = nowMs;
  }

  /** `held`: messages in the queue, as it says. Oldest first. */
  due(nowMs: number, leaseMs: number, held: number): readonly Sent[] {
    const missing = Math.max(0, this.#sent.size - held);
    const due: Sent[] = [];
    for (const sent of this.#sent.values()) {
      const patience = this.patienceMs(sent.size, leaseMs);
      const age = nowMs - Math.max(sent.atMs, this.#restedMs, this.#heard.get(sent.task) ?? sent.atMs);
      if (age > patience * FAR_NET * 2 ** Math.min(sent.sending, MOST_DOUBLINGS) || (age > patience && due.length < missing)) due.push(sent);
    }
    return due;
  }

  patienceMs(size: SizeClass, leaseMs: number): number {
    return Math.max(LEASES * leaseMs, SOJOURNS * (this.#sojourns[size].p95() ?? UNKNOWN_MS));
  }
}
