/**
 * Errors as facts. A driver says what went wrong (`kind`) and where; the engine alone decides what follows:
 *
 * | kind         | meaning                                                     | the engine's answer                            |
 * |--------------|-------------------------------------------------------------|------------------------------------------------|
 * | `throttled`  | the store asks for patience (503 SlowDown, 429)             | slow down, try again, no attempt counted       |
 * | `transient`  | network, 5xx, short or stalled body                         | request retries, then one attempt of the object|
 * | `gone`       | a *definitive* "no such key" (F028, F029)                   | `skipped:source_gone` at a source              |
 * | `changed`    | the pinned source version is no longer there (truth 3)      | replan the object                              |
 * | `conflict`   | a guard refused the write (truth 4)                         | in-doubt check, never a blind overwrite        |
 * | `premise`    | credentials, bucket, disk, ledger: nothing can succeed      | pause the run, burn no attempts                |
 * | `object`     | this object cannot be done, whoever tries                   | `failed:<code>`, the others go on              |
 * | `unsupported`| the store lacks the ability                                 | another way, or `failed`                       |
 * | `usage`      | the operator's input is wrong                               | one line, exit 2                               |
 * | `cancelled`  | we were asked to stop                                       | the task goes back                             |
 * | `internal`   | a defect of ours                                            | exit 70                                        |
 */
export type ErrorKind =
  | 'throttled' | 'transient' | 'gone' | 'changed' | 'conflict' | 'premise'
  | 'object' | 'unsupported' | 'usage' | 'cancelled' | 'internal';

export interface ErrorFacts {
  /** Stable, documented: `E_SHORT_READ`. */
  readonly code: string;
  readonly kind: ErrorKind;
  /** One sentence without secrets, newlines or stack. */
  readonly message: string;
  /** What was attempted: `GetObject`, `ListObjectsV2`, `rename`. */
  readonly op?: string;
  /** Where: a store's address, a key, `file:line:col`. Never with a query string (F115). */
  readonly location?: string;
  /** What the operator can do about it. */
  readonly hint?: string;
  /** HTTP status, where there was one. */
  readonly status?: number;
  /** Earliest moment to try again, in milliseconds from now (Retry-After). */
  readonly retryAfterMs?: number;
  readonly cause?: unknown;
}

export class BrigadeError extends Error {
  override readonly name = 'BrigadeError';
  readonly code: string;
  readonly kind: ErrorKind;
  readonly op: string | undefined;
  readonly location: string | undefined;
  readonly hint: string | undefined;
  readonly status: number | undefined;
  readonly retryAfterMs: number | undefined;

  constructor(facts: ErrorFacts) {
    super(facts.message, facts.cause === undefined ? undefined : { cause: facts.cause });
    this.code = facts.code;
    this.kind = facts.kind;
    this.op = facts.op;
    this.location = facts.location;
    this.hint = facts.hint;
    this.status = facts.status;
    this.retryAfterMs = facts.retryAfterMs;
  }
}

/** The error as facts, fit for another process or a file; causes are kept as their one-line text. */
export function errorFacts(error: BrigadeError): ErrorFacts {
  const optional = { op: error.op, location: error.location, hint: error.hint, status: error.status, retryAfterMs: error.retryAfterMs };
  const present = Object.fromEntries(Object.entries(optional).filter(([, value]) => value !== undefined));
  return { code: error.code, kind: error.kind, message: error.message, ...present };
}

/** Anything thrown, as a BrigadeError. What is not ours is a defect of ours until a driver classifies it. */
export function asBrigadeError(thrown: unknown, op?: string): BrigadeError {
  if (thrown instanceof BrigadeError) return thrown;
  if (isAbort(thrown)) return cancelled(op);
  const message = thrown instanceof Error ? `${thrown.name}: ${thrown.message}` : String(thrown);
  return new BrigadeError({ code: 'E_INTERNAL', kind: 'internal', message: oneLine(message), ...(op === undefined ? {} : { op }), cause: thrown });
}

export function cancelled(op?: string): BrigadeError {
  return new BrigadeError({ code: 'E_CANCELLED', kind: 'cancelled', message: 'stopped before it was done', ...(op === undefined ? {} : { op }) });
}

export function usageError(code: string, message: string, hint?: string, location?: string): BrigadeError {
  return new BrigadeError({ code, kind: 'usage', message, ...(hint === undefined ? {} : { hint }), ...(location === undefined ? {} : { location }) });
}

export function isKind(error: BrigadeError, ...kinds: readonly ErrorKind[]): boolean;
export function isKind(thrown: unknown, ...kinds: readonly ErrorKind[]): thrown is BrigadeError;
export function isKind(thrown: unknown, ...kinds: readonly ErrorKind[]): thrown is BrigadeError {
  return thrown instanceof BrigadeError && kinds.includes(thrown.kind);
}

function isAbort(thrown: unknown): boolean {
  return thrown instanceof Error && (thrown.name === 'AbortError' || (thrown as NodeJS.ErrnoException).code === 'ABORT_ERR');
}

/** One printable line: control characters become spaces, so that a key or a server's text cannot move the cursor (F118). */
export function oneLine(text: string, most = 500): string {
   
  const flat = text.replace(/[\u0000-\u001f\u007f-\u009f\u2028\u2029]+/g, ' ').trim();
  return flat.length > most ? `${flat.slice(0, most - 1)}…` : flat;
}

/** `where: what; fix`: how every error is shown to a person (I7). */
export function errorLine(error: BrigadeError): string {
  const where = error.location === undefined ? '' : `${error.location}: `;
  const fix = error.hint === undefined ? '' : `; ${error.hint}`;
  return oneLine(`${where}${error.message}${fix} [${error.code}]`, 1000);
}
