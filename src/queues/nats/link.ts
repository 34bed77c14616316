/** One connection to NATS that comes back by itself, and tells those who wait when it broke. Loaded only when a queue is opened. */
import type * as Nats from '@nats-io/transport-node';
import type { ConnectionOptions, MsgHdrs, NatsConnection } from '@nats-io/transport-node';
import { BrigadeError, cancelled } from '../../core/errors.ts';
import type { Secret } from '../../core/secret.ts';
import type { Clock } from '../../ports/clock.ts';
import { natsError } from './errors.ts';

export type NatsAuth =
  | { readonly kind: 'token'; readonly token: Secret }
  | { readonly kind: 'user'; readonly user: string; readonly password: Secret }
  | { readonly kind: 'creds'; readonly creds: Secret }
  | { readonly kind: 'nkey'; readonly seed: Secret };

export interface NatsAccess {
  /** `nats://host:4222`, `tls://…`; several of one cluster. */
  readonly servers: readonly string[];
  /** Asked at every connect, so that a rotated secret is taken up (D7). */
  readonly auth?: () => NatsAuth;
  /** PEM of the authority to trust. */
  readonly ca?: string;
}

const CONNECT_MS = 5_000;
const RECONNECT_MS = 250;
/** A dead peer is noticed after three of them without an answer. */
const PING_MS = 10_000;

export interface Link {
  readonly nc: NatsConnection;
  /** A subject of our own for answers. */
  newInbox(): string;
  newHeaders(): MsgHdrs;
  /** Calls back when the connection breaks; answers how to stop that. */
  onBreak(told: () => void): () => void;
  /** Waits, at most `ms`, until there is a connection. False: still none. @throws premise when the client has given up (credentials) */
  connected(ms: number, signal: AbortSignal): Promise<boolean>;
  close(): Promise<void>;
}

export async function openLink({ servers, auth, ca }: NatsAccess, clock: Clock, location: string): Promise<Link> {
  const lib = await import('@nats-io/transport-node');
  const authenticator = auth === undefined ? {} : { authenticator: authenticate(lib, auth) };
  try {
    const nc = await lib.connect({
      servers: [...servers], name: 'brigade', timeout: CONNECT_MS, pingInterval: PING_MS, maxPingOut: 3,
      maxReconnectAttempts: -1, reconnectTimeWait: RECONNECT_MS,
      // Else it gives up for good at the second refusal: a secret that is rotated may take longer to arrive (D7). Whoever waits is told.
      ignoreAuthErrorAbort: true,
      ...authenticator, ...(ca === undefined ? {} : { tls: { ca } }),
    });
    return { ...follow(nc, clock, location), newInbox: () => lib.createInbox(), newHeaders: () => lib.headers() };
  } catch (thrown) {
    throw natsError(thrown, 'connect', location);
  }
}

type Library = Pick<typeof Nats, 'tokenAuthenticator' | 'usernamePasswordAuthenticator' | 'credsAuthenticator' | 'nkeyAuthenticator'>;
type Authenticator = Extract<NonNullable<ConnectionOptions['authenticator']>, (...args: never[]) => unknown>;

function authenticate(lib: Library, auth: () => NatsAuth): Authenticator {
  const now = (): Authenticator => {
    const current = auth();
    switch (current.kind) {
      case 'token': return lib.tokenAuthenticator(current.token.reveal());
      case 'user': return lib.usernamePasswordAuthenticator(current.user, current.password.reveal());
      case 'creds': return lib.credsAuthenticator(new TextEncoder().encode(current.creds.reveal()));
      case 'nkey': return lib.nkeyAuthenticator(new TextEncoder().encode(current.seed.reveal()));
    }
  };
  return (nonce) => now()(nonce);
}

function follow(nc: NatsConnection, clock: Clock, location: string): Omit<Link, 'newInbox' | 'newHeaders'> {
  const watchers = new Set<() => void>();
  let up = true;
  let gaveUp: unknown;
  let denied: unknown;
  const tellAll = () => { for (const told of [...watchers]) told(); };
  const watch = async (): Promise<void> => {
    for await (const status of nc.status()) {
      if (status.type === 'disconnect') up = false;
      if (status.type === 'reconnect') {
        up = true;
        // What was refused on the way here is settled.
        denied = undefined;
      }
      // A publish that the server refuses is answered to nobody: this is the only place that says so.
      if (status.type === 'error') denied = status.error;
      if (['disconnect', 'reconnect', 'error'].includes(status.type)) tellAll();
    }
  };
  void watch();
  void nc.closed().then((error) => {
    up = false;
    gaveUp = error ?? new BrigadeError({ code: 'E_QUEUE_CLOSED', kind: 'internal', op: 'receive', location, message: 'the queue was closed' });
    tellAll();
  });
  const onBreak = (told: () => void) => {
    watchers.add(told);
    return () => void watchers.delete(told);
  };
  return {
    nc, onBreak,
    connected: async (ms, signal) => {
      const until = clock.monotonic() + ms;
      if (denied !== undefined) {
        const error = natsError(denied, 'receive', location);
        denied = undefined;
        if (error.kind === 'premise') throw error;
      }
      while (!up) {
        if (gaveUp !== undefined) throw natsError(gaveUp, 'connect', location);
        const left = until - clock.monotonic();
        if (left <= 0) return false;
        await change(clock, onBreak, left, signal);
      }
      return true;
    },
    close: () => nc.close(),
  };
}

/** Until told, or `ms`. @throws cancelled */
async function change(clock: Clock, onBreak: Link['onBreak'], ms: number, signal: AbortSignal): Promise<void> {
  const over = new AbortController();
  const asleep = clock.sleep(ms, AbortSignal.any([signal, over.signal]));
  // Ended below when the other one was first; that is no error.
  asleep.catch(() => undefined);
  let stop = (): void => undefined;
  const told = new Promise<void>((resolve) => { stop = onBreak(resolve); });
  try {
    await Promise.race([told, asleep]);
  } finally {
    stop();
    over.abort();
  }
  if (signal.aborted) throw cancelled('receive');
}
