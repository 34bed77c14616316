/** What nats-server and its client say, as kinds of error. Codes of the JetStream API: nats-server, server/errors.json. */
import { BrigadeError, cancelled, type ErrorKind, oneLine } from '../../core/errors.ts';

interface Meaning {
  readonly kind: ErrorKind;
  readonly code: string;
  readonly hint?: string;
}

const CREDENTIALS: Meaning = { kind: 'premise', code: 'E_CREDENTIALS', hint: 'check user, token or creds file of the queue' };
const TRANSIENT: Meaning = { kind: 'transient', code: 'E_NETWORK' };
const CONFIG: Meaning = { kind: 'premise', code: 'E_QUEUE_CONFIG' };

const BY_NAME: Readonly<Record<string, Meaning>> = {
  AuthorizationError: CREDENTIALS,
  UserAuthenticationExpiredError: CREDENTIALS,
  PermissionViolationError: { kind: 'premise', code: 'E_ACCESS_DENIED', hint: 'allow publish and subscribe on $JS.API.>, $JS.ACK.>, _INBOX.> and the subjects of the queue' },
  JetStreamNotEnabled: { ...CONFIG, hint: 'start nats-server with JetStream, and enable it for this account' },
  InvalidArgumentError: { kind: 'internal', code: 'E_INTERNAL' },
  InvalidSubjectError: { kind: 'internal', code: 'E_INTERNAL' },
};

const FULL: Meaning = { kind: 'premise', code: 'E_QUEUE_FULL', hint: 'give JetStream more storage, or delete what is not needed' };
const BY_API_CODE: Readonly<Record<number, Meaning>> = {
  10014: { kind: 'premise', code: 'E_QUEUE_MISSING', hint: 'let the queue be created, or check its name and account' },
  10059: { kind: 'premise', code: 'E_QUEUE_MISSING', hint: 'let the queue be created, or check its name and account' },
  10039: { ...CONFIG, hint: 'enable JetStream for this account' },
  10076: { ...CONFIG, hint: 'start nats-server with JetStream' },
  10023: FULL,
  10028: FULL,
  10047: FULL,
  10077: FULL,
  10008: TRANSIENT,
  10074: { ...CONFIG, hint: 'JetStream keeps several replicas only in a cluster of as many servers' },
};

interface ClientError {
  readonly name?: string;
  readonly message?: string;
  readonly code?: unknown;
  readonly status?: unknown;
  readonly cause?: unknown;
}

export function natsError(thrown: unknown, op: string, location: string, signal?: AbortSignal): BrigadeError {
  if (thrown instanceof BrigadeError) return thrown;
  if (signal?.aborted === true) return cancelled(op);
  const { kind, code, hint } = meaningOf(thrown);
  const { name = 'Error', message = String(thrown) } = thrown as ClientError;
  const text = oneLine(`NATS: ${name}: ${message}`, 300);
  return new BrigadeError({ code, kind, op, location, message: text, cause: thrown, ...(hint === undefined ? {} : { hint }) });
}

/** The client wraps: a refused request carries the reason as its cause. */
function meaningOf(thrown: unknown): Meaning {
  for (let error = thrown as ClientError | undefined, depth = 0; typeof error === 'object' && depth < 5; error = error.cause as ClientError | undefined, depth++) {
    const meaning = BY_NAME[error.name ?? ''] ?? (typeof error.code === 'number' ? byApiCode(error.code, error) : undefined);
    if (meaning !== undefined) return meaning;
  }
  return TRANSIENT;
}

/** Another refusal of the JetStream API: below 500 our request does not fit how things are set up. */
function byApiCode(code: number, error: ClientError): Meaning {
  const status = typeof error.status === 'number' ? error.status : 500;
  return BY_API_CODE[code] ?? (status < 500 && code >= 10_000 ? CONFIG : TRANSIENT);
}

/** Whether the JetStream API says that there is no such stream, consumer or message. */
export function isMissing(thrown: unknown): boolean {
  const code = (thrown as ClientError | undefined)?.code;
  return code === 10014 || code === 10059 || code === 10037;
}
