/** What SQS and its client say, as kinds of error. Codes: Amazon SQS API Reference, "Common Errors" and the errors of each action. */
import { BrigadeError, cancelled, type ErrorKind, oneLine } from '../../core/errors.ts';
import { leaseLost } from '../lease.ts';

interface Meaning {
  readonly kind: ErrorKind;
  readonly code: string;
  readonly hint?: string;
}

const CREDENTIALS: Meaning = { kind: 'premise', code: 'E_CREDENTIALS', hint: 'check the credentials of the queue' };
const SKEWED: Meaning = { kind: 'premise', code: 'E_CLOCK_SKEW', hint: 'set this machine\'s clock' };
const DENIED: Meaning = { kind: 'premise', code: 'E_ACCESS_DENIED', hint: 'allow sqs:SendMessage, ReceiveMessage, DeleteMessage, ChangeMessageVisibility, GetQueueUrl, GetQueueAttributes, and the use of its KMS key' };
const MISSING: Meaning = { kind: 'premise', code: 'E_QUEUE_MISSING', hint: 'check name, region and account, or let it be created' };
const THROTTLED: Meaning = { kind: 'throttled', code: 'E_THROTTLED' };
const TRANSIENT: Meaning = { kind: 'transient', code: 'E_NETWORK' };

const MEANINGS: readonly (readonly [RegExp, Meaning])[] = [
  [/^(AWS\.SimpleQueueService\.NonExistentQueue|QueueDoesNotExist|QueueDeletedRecently)$/, MISSING],
  [/^(Expired|InvalidClientTokenId|UnrecognizedClient|SignatureDoesNotMatch|InvalidSecurity|MissingAuthentication|CredentialsProvider|IncompleteSignature|NotAuthorized$|InvalidAccessKeyId)/, CREDENTIALS],
  [/^RequestTimeTooSkewed/, SKEWED],
  [/^Kms(Throttled|\.ThrottlingException)/, THROTTLED],
  [/^(AccessDenied|AuthorizationError|OptInRequired|Kms)/, DENIED],
  [/^(Throttl|RequestThrottled|TooManyRequests|RequestLimitExceeded|OverLimit|SlowDown)/, THROTTLED],
];

const LOST = /(ReceiptHandleIsInvalid|MessageNotInflight)$/;
/** Of the BatchResultErrorEntry or the exception, whatever prefix it has. */
const bare = (name: string): string => name.replace(/^AWS\.SimpleQueueService\.(?!NonExistentQueue)/, '').replace(/^com\.amazonaws\.sqs#/, '');

/** `undefined`: nothing we know by name. */
function named(name: string): Meaning | undefined {
  return MEANINGS.find(([pattern]) => pattern.test(bare(name)))?.[1];
}

interface SdkError {
  readonly name?: string;
  readonly message?: string;
  readonly $metadata?: { readonly httpStatusCode?: number };
  readonly $fault?: 'client' | 'server';
}

export function sqsError(thrown: unknown, op: string, location: string, signal?: AbortSignal): BrigadeError {
  if (thrown instanceof BrigadeError) return thrown;
  const { name = 'Error', message = '', $metadata, $fault } = thrown as SdkError;
  if (signal?.aborted === true || name === 'AbortError') return cancelled(op);
  if (LOST.test(name)) return leaseLost(location, thrown);
  const status = $metadata?.httpStatusCode;
  const meaning = named(name) ?? byStatus(status, $fault);
  return told(meaning, { op, location, name, message, status, cause: thrown });
}

/** One entry of a batch that failed while others succeeded. */
export function entryError(entry: { readonly Code?: string | undefined; readonly Message?: string | undefined; readonly SenderFault?: boolean | undefined }, op: string, location: string): BrigadeError {
  const { Code: name = 'unknown', Message: message = '', SenderFault: fault = false } = entry;
  if (LOST.test(name)) return leaseLost(location);
  const meaning = named(name) ?? (fault ? { kind: 'object' as const, code: 'E_QUEUE_REFUSED' } : TRANSIENT);
  return told(meaning, { op, location, name, message });
}

/** No status at all: the network. Our requests are well-formed, so a refusal without a known name is about how the queue is set up. */
function byStatus(status: number | undefined, fault: 'client' | 'server' | undefined): Meaning {
  if (status === 401) return CREDENTIALS;
  if (status === 403) return DENIED;
  if (status === 429) return THROTTLED;
  if (status === undefined || status >= 500 || fault === undefined) return TRANSIENT;
  return { kind: 'premise', code: 'E_QUEUE_CONFIG', hint: 'is this the address of an SQS queue?' };
}

interface Told {
  readonly op: string;
  readonly location: string;
  readonly name: string;
  readonly message: string;
  readonly status?: number | undefined;
  readonly cause?: unknown;
}

function told({ kind, code, hint }: Meaning, { op, location, name, message, status, cause }: Told): BrigadeError {
  const optional = { ...(hint === undefined ? {} : { hint }), ...(status === undefined ? {} : { status }) };
  return new BrigadeError({ code, kind, op, location, message: oneLine(`SQS: ${bare(name)}: ${message}`, 300), cause, ...optional });
}
