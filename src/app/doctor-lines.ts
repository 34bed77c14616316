/** How doctor's findings become lines. One place, so that every WARN and FAIL has a fix. */
import type { Migration } from '../config/index.ts';
import { asBrigadeError, BrigadeError, isKind, oneLine } from '../core/errors.ts';
import type { Clock } from '../ports/clock.ts';
import type { DoctorAround, DoctorLine } from './doctor-types.ts';

export type Side = 'source' | 'destination';

/** Lines of one examination; its value is what the next one builds on, `undefined` when that cannot go on. */
export type Findings<T = void> = AsyncGenerator<DoctorLine, T, undefined>;

export interface Examination {
  readonly migration: Migration;
  readonly around: DoctorAround;
}

export function ok(name: string, message: string): DoctorLine {
  return { name, status: 'OK', message: oneLine(message) };
}

export function warn(name: string, message: string, fix: string): DoctorLine {
  return { name, status: 'WARN', message: oneLine(message), fix: oneLine(fix) };
}

export function fail(name: string, message: string, fix: string): DoctorLine {
  return { name, status: 'FAIL', message: oneLine(message), fix: oneLine(fix) };
}

/** The error as a FAIL; a defect of ours and a stop by the operator stay errors. */
export function failure(name: string, thrown: unknown, fix = 'put right what the message names, then run doctor again'): DoctorLine {
  const error = expected(thrown);
  return fail(name, error.message, error.hint ?? fix);
}

/** What a store or a file system may well answer, as an error to look at. Anything else is thrown on. */
export function expected(thrown: unknown): BrigadeError {
  const error = asBrigadeError(thrown, 'doctor');
  if (isKind(error, 'cancelled', 'internal')) throw thrown;
  return error;
}

/** The value, or the error that a store may well answer. */
export async function settle<T>(work: Promise<T>): Promise<{ readonly value: T; readonly error?: undefined } | { readonly value?: undefined; readonly error: BrigadeError }> {
  try {
    return { value: await work };
  } catch (thrown) {
    return { error: expected(thrown) };
  }
}

const TRIES = 3;
const FIRST_WAIT_MS = 250;

/** Answers that were no good, or broke off. */
const PASSING: ReadonlySet<string> = new Set(['E_LIST_INVALID', 'E_SHORT_READ', 'E_STALLED', 'E_UNEXPECTED_ANSWER', 'E_NETWORK']);

/** Doctor asks raw stores, which never retry: an answer that asks for patience, or a connection that breaks once, is no finding yet. */
export async function patiently<T>(clock: Clock, signal: AbortSignal, work: () => Promise<T>): Promise<T> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await work();
    } catch (thrown) {
      const passing = thrown instanceof BrigadeError && isKind(thrown, 'transient', 'throttled') && (thrown.status !== undefined || PASSING.has(thrown.code));
      if (!passing || attempt >= TRIES) throw thrown;
      await clock.sleep(FIRST_WAIT_MS * 2 ** (attempt - 1), signal);
    }
  }
}

/** Permissions that were tried on a side. What is missing comes in one line, so that it is asked for once (F066). */
export class Permissions {
  readonly #granted = new Set<string>();
  readonly #missing = new Map<string, string>();
  #before: Promise<unknown> = Promise.resolve();

  /** Undefined when the store denied it. `purpose` says what needs it. Other errors are thrown. Those tried side by side are told in the order of the calls. */
  async use<T>(permission: string, purpose: string, work: () => Promise<T>): Promise<{ readonly value: T } | undefined> {
    const before = this.#before;
    const working = work();
    this.#before = Promise.allSettled([before, working]);
    try {
      const value = await working;
      await before;
      this.#granted.add(permission);
      return { value };
    } catch (thrown) {
      await before;
      if (!(thrown instanceof BrigadeError) || !isDenied(thrown)) throw thrown;
      this.#missing.set(/kms/i.test(thrown.message) ? permission === 's3:PutObject' ? 'kms:GenerateDataKey' : 'kms:Decrypt' : permission, purpose);
      return undefined;
    }
  }

  /** Takes over what another trial found. */
  add(other: Permissions): void {
    for (const permission of other.#granted) this.#granted.add(permission);
    for (const [permission, purpose] of other.#missing) this.#missing.set(permission, purpose);
  }

  get someDenied(): boolean {
    return this.#missing.size > 0;
  }

  missing(permission: string): boolean {
    return this.#missing.has(permission);
  }

  line(name: string, where: string): DoctorLine {
    if (this.#missing.size === 0) return ok(name, `${[...this.#granted].join(', ')}: each was used`);
    const names = [...this.#missing.keys()];
    const on = (prefix: string, place: string): string => {
      const some = names.filter((permission) => permission.startsWith(prefix));
      return some.length === 0 ? '' : `${some.join(', ')} on ${place}`;
    };
    const fix = [on('s3:', where), on('kms:', 'the KMS key')].filter((part) => part !== '').join(', and ');
    return fail(name, `denied: ${[...this.#missing].map(([permission, purpose]) => `${permission} (${purpose})`).join(', ')}`, `grant ${fix}`);
  }
}

export function isDenied({ code }: BrigadeError): boolean {
  return code === 'E_ACCESS_DENIED' || code === 'E_ACCES';
}
