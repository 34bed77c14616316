/**
 * What carries messages between a fleet's coordinator and its workers: an existing engine (SQS, NATS JetStream) behind one face. Messages are
 * opaque text. A queue is a hint (design truth 8): a message may come twice, late, out of order or never, and whoever uses this port must be
 * right all the same. Nothing that `ack` answers may decide anything (F099).
 *
 * Errors are BrigadeErrors: `throttled`, `transient` (network, 5xx, no answer in time), `premise` (no such queue E_QUEUE_MISSING, refused
 * E_ACCESS_DENIED, refused or expired credentials E_CREDENTIALS, wrongly set up E_QUEUE_CONFIG), `conflict` (the lease is lost: E_LEASE_LOST,
 * E_LEASE_CEILING), `object` (this one message cannot be sent: E_MESSAGE_TOO_LARGE, E_MESSAGE_TEXT), `usage`, `cancelled` on a signal.
 */
import type { BrigadeError } from '../core/errors.ts';

export interface OutgoingMessage {
  /**
   * Of this sending, not of the task: 1–128 of `A–Z a–z 0–9 _ -`. A queue that can (NATS, within its duplicate window) stores the same id once,
   * so that a send that is tried again after a lost answer makes no second message. To send a task again on purpose, take another id.
   */
  readonly id: string;
  /** Not empty; at most `limits.largestMessageBytes` in UTF-8; only characters that XML 1.0 allows (SQS takes no others; the codec sees to it). */
  readonly body: string;
  /** What partitions are taken of, where the queue has any: the same for every sending of a task. Absent: the id. */
  readonly affinity?: string;
}

/** One per message, in the order in which they were given. */
export interface SendResult {
  readonly id: string;
  /** Absent: the queue has it, durably as far as that queue goes. */
  readonly error?: BrigadeError;
}

/** `late`: the lease had ended before, so that somebody else may have the message, too. */
export type AckResult = 'acknowledged' | 'late';

export interface MessageDelivery {
  /** The queue's own name for the message: the same at each delivery, and of no other message that it ever had. */
  readonly id: string;
  readonly body: string;
  /** How often it was delivered, this time included; approximate. Deliveries are not attempts (truth 10). */
  readonly receives: number;
  /** Milliseconds of lease that are left; 0 when it is lost. By this process's monotonic clock. */
  leaseLeftMs(): number;
  /**
   * Heartbeat: the lease ends `leaseMs` from now. Answers how long it really is, in ms: NATS has one length for all, SQS ends every lease 12 h
   * after the delivery. @throws E_LEASE_LOST once the lease has ended (the message may be with somebody else: it is not taken from them),
   * E_LEASE_CEILING when the queue allows no more; the message then comes again when this lease ends.
   */
  extend(leaseMs: number): Promise<number>;
  /** The outcome is durable (truth 9): the queue may forget the message. A late ack is sent all the same and does no harm. */
  ack(): Promise<AckResult>;
  /** Not done here: it comes again after about `delayMs` (cut to `limits.longestDelayMs`; SQS counts whole seconds, upwards). Late: does nothing. */
  release(delayMs: number): Promise<void>;
  /** To the dead letters, byte for byte, with one line of reason; then it is acknowledged. A crash in between leaves it in both places. */
  park(reason: string): Promise<void>;
}

/** Approximate, and never a measure of the backlog (that is the ledger's). A delayed message may be counted as in flight. */
export interface MessageCounts {
  readonly waiting: number;
  readonly inFlight: number;
  readonly delayed: number;
  readonly dead: number;
}

export interface DeadLetter {
  readonly id: string;
  readonly body: string;
  /** What `park` was told; the queue's own limit says so in its own words. */
  readonly reason: string;
  /** Deliveries before it was parked, where that is known. */
  readonly receives?: number;
  /** Back to the queue, byte for byte, then out of the dead letters: a crash in between leaves it in both. */
  redrive(): Promise<void>;
  /** Gone for good. */
  discard(): Promise<void>;
}

export interface MessageLimits {
  /** Of one body, UTF-8. */
  readonly largestMessageBytes: number;
  /** Of `release`. */
  readonly longestDelayMs: number;
  /** From delivery to the end of the last extension; Infinity where the queue sets none. */
  readonly longestLeaseMs: number;
  /** Of a fresh delivery. */
  readonly leaseMs: number;
  /** Whether `extend` gives another length than that. */
  readonly leasesVary: boolean;
  /** Deliveries after which the queue parks a message unasked: a far net (truth 10). */
  readonly mostReceives: number;
  /** Whether `receives` leaves out no delivery, also when its holder was killed: so that each has a number that no other one has. */
  readonly countsAll: boolean;
  /** Of one `receive`. */
  readonly mostPerReceive: number;
}

export interface MessageQueue {
  /** `sqs:https://…/brigade`, `nats:brigade`. No secrets. */
  readonly describe: string;
  readonly limits: MessageLimits;
  /** What is not as it should be but does not stop anybody, one line each: for doctor. */
  readonly notes: readonly string[];
  /** All of them are tried; a failure is told per message. Rejects only on the signal. */
  send(messages: readonly OutgoingMessage[], signal?: AbortSignal): Promise<readonly SendResult[]>;
  /**
   * Up to `most` messages as soon as there is one; none after about `waitMs`. Rejects as `cancelled` on the signal, at once; what the queue
   * handed out in that moment comes again when its lease ends.
   */
  receive(most: number, waitMs: number, signal: AbortSignal): Promise<readonly MessageDelivery[]>;
  counts(signal?: AbortSignal): Promise<MessageCounts>;
  /**
   * A letter of our own to the dead letters, with one line of reason: it was never a message of the queue. A queue that can stores the same id once. Where
   * the answer was lost it may stand twice. @throws as `send` tells, and object E_MESSAGE_TOO_LARGE, E_MESSAGE_TEXT
   */
  bury(letter: OutgoingMessage, reason: string): Promise<void>;
  /** Looks at up to `most` dead letters, which stay where they are. SQS hides those that were looked at for 30 s, and looks at a sample. */
  deadLetters(most: number, signal?: AbortSignal): Promise<readonly DeadLetter[]>;
  /**
   * Answers that were begun (ack, release, park) are waited for, for some seconds at most. Leases that are still held run out by themselves: release first what
   * should come again soon.
   */
  close(): Promise<void>;
}
