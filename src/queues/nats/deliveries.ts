/** One message that this process holds. Every answer to it is a request: the server says that it has heard (NATS docs, ADR-15: ack protocol). */
import type { Msg } from '@nats-io/transport-node';
import type { Clock } from '../../ports/clock.ts';
import type { AckResult, MessageDelivery, MessageLimits } from '../../ports/message-queue.ts';
import { Lease } from '../lease.ts';
import { reasonLine } from '../outgoing.ts';
import { natsError } from './errors.ts';
import type { Link } from './link.ts';
import { deadSubject, NANOS_PER_MS, type Streams } from './streams.ts';

export interface NatsContext {
  readonly link: Link;
  readonly clock: Clock;
  readonly queue: string;
  /** For messages. */
  readonly where: string;
  readonly limits: MessageLimits;
  readonly streams: Streams;
}

export const REASON = 'Brigade-Reason';
export const RECEIVES = 'Brigade-Receives';
const CONFIRM_MS = 5_000;
/** An answer may have been on its way for this long, so the lease is taken to have begun that much earlier. */
const TRANSIT_MS = 1000;

/** `asked`: when the pull left; the lease began between that and now. */
export function delivery(context: NatsContext, message: Msg, asked: number): MessageDelivery {
  const { clock, limits, where } = context;
  const since = Math.max(asked, clock.monotonic() - Math.min(TRANSIT_MS, limits.leaseMs / 10));
  const lease = new Lease(clock, since, limits.leaseMs);
  const { sequence, receives, storedNs } = place(message.reply ?? '');
  const body = message.string();
  const ack = () => acknowledge(context, message, lease);
  return {
    // A stream that is made anew counts from 1 again.
    id: `${sequence}@${storedNs}`, body, receives, ack,
    leaseLeftMs: () => lease.leftMs(),
    extend: async (leaseMs) => {
      lease.grant(leaseMs, where);
      const moment = clock.monotonic();
      await confirmed(context, message, '+WPI', 'extend');
      lease.prolong(moment, limits.leaseMs);
      return limits.leaseMs;
    },
    release: async (delayMs) => {
      if (lease.standing() === 'late') return;
      lease.end();
      const delay = Math.round(Math.min(delayMs, limits.longestDelayMs) * NANOS_PER_MS);
      await confirmed(context, message, delay > 0 ? `-NAK {"delay": ${delay}}` : '-NAK', 'release');
    },
    park: async (reason) => {
      await bury(context, body, { id: `parked-${sequence}`, receives, reason: reasonLine(reason) });
      await ack();
    },
  };
}

/** A late one is not waited for: the server may have nothing left to answer about. */
async function acknowledge(context: NatsContext, message: Msg, lease: Lease): Promise<AckResult> {
  const standing = lease.standing();
  if (standing === 'late') message.respond('+ACK');
  else await confirmed(context, message, '+ACK', 'ack');
  lease.end();
  return standing;
}

async function confirmed({ link, where }: NatsContext, message: Msg, payload: string, op: string): Promise<void> {
  try {
    await link.nc.request(message.reply ?? '', payload, { timeout: CONFIRM_MS });
  } catch (thrown) {
    throw natsError(thrown, op, where);
  }
}

interface Burial {
  /** Within the duplicate window the same one is stored once. */
  readonly id: string;
  /** 0 of a letter that was no message. */
  readonly receives: number;
  readonly reason: string;
}

export async function bury({ link, streams, queue, where }: NatsContext, body: string, { id, receives, reason }: Burial): Promise<void> {
  const about = link.newHeaders();
  // Header values are bytes without a character set (RFC 9110 § 5.5): percent-encoded they survive every client.
  about.set(REASON, encodeURIComponent(reason));
  about.set(RECEIVES, String(receives));
  try {
    await streams.js.publish(deadSubject(queue), body, { msgID: id, headers: about });
  } catch (thrown) {
    throw natsError(thrown, 'park', where);
  }
}

/**
 * `$JS.ACK.<stream>.<consumer>.<deliveries>.<sequence>.…`, or since 2.11 `$JS.ACK.<domain>.<account>.<stream>.…` with at least eleven tokens
 * (NATS ADR-15).
 */
export function place(reply: string): { readonly sequence: number; readonly receives: number; readonly storedNs: string } {
  const tokens = reply.split('.');
  const at = tokens.length >= 11 ? 6 : 4;
  return { receives: Number(tokens[at]), sequence: Number(tokens[at + 1]), storedNs: tokens[at + 3] ?? '' };
}
