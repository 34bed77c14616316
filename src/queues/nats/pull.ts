/** One pull request to a durable consumer, by the protocol itself (NATS docs, "JetStream wire API", CONSUMER.MSG.NEXT): it can be left at once. */
import type { Msg } from '@nats-io/transport-node';
import { cancelled } from '../../core/errors.ts';
import type { Clock } from '../../ports/clock.ts';
import type { Link } from './link.ts';
import { NANOS_PER_MS } from './streams.ts';

export interface PullRequest {
  readonly subject: string;
  readonly batch: number;
  /** 0: what is there now. */
  readonly waitMs: number;
}

export interface Pulled {
  readonly messages: readonly Msg[];
  /** `gone`: no such consumer, or nobody answers for it. `broken`: the connection; whoever asked must ask again. */
  readonly end: 'enough' | 'empty' | 'gone' | 'broken';
}

/** An answer that is this late does not come: the request went to a server that is no more. */
const GRACE_MS = 5_000;

/** @throws what the client says of a refused subscription; cancelled when the signal has fired before */
export async function pull({ nc, newInbox, onBreak }: Link, clock: Clock, { subject, batch, waitMs }: PullRequest, signal: AbortSignal): Promise<Pulled> {
  if (signal.aborted) throw cancelled('receive');
  const messages: Msg[] = [];
  const late = new AbortController();
  const inbox = newInbox();
  const body = waitMs > 0 ? { batch, expires: Math.ceil(waitMs * NANOS_PER_MS) } : { batch, no_wait: true };
  const { promise: over, resolve: finish, reject: fail } = Promise.withResolvers<Pulled['end']>();
  const subscription = nc.subscribe(inbox, {
    callback: (error, message) => {
      if (error !== null) return fail(error);
      const end = statusOf(message);
      if (end !== undefined) return finish(end);
      messages.push(message);
      if (messages.length === batch) finish('enough');
    },
  });
  const stopWatching = onBreak(() => finish('broken'));
  const stop = () => finish('empty');
  signal.addEventListener('abort', stop, { once: true });
  // Rejects only when it is no longer needed.
  clock.sleep(waitMs + GRACE_MS, late.signal).then(() => finish('broken'), () => undefined);
  try {
    nc.publish(subject, JSON.stringify(body), { reply: inbox });
    return { end: await over, messages };
  } finally {
    late.abort();
    stopWatching();
    signal.removeEventListener('abort', stop);
    subscription.unsubscribe();
  }
}

/** A message of the server's own has no body and a status: 404 nothing there, 408 time is over, 409 consumer deleted and others, 503 nobody there. */
function statusOf(message: Msg): Pulled['end'] | undefined {
  const code = message.headers?.code ?? 0;
  if (code === 0 || message.data.length > 0) return undefined;
  if (code === 503) return 'gone';
  if (code === 409) return /deleted|not found|push based/i.test(message.headers?.description ?? '') ? 'gone' : 'empty';
  return 'empty';
}
