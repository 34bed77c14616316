import { cancelled } from '../core/errors.ts';
import type { Clock } from '../ports/clock.ts';
import type { Credentials, CredentialSource } from '../ports/credentials.ts';
import { credentialError } from './credential-values.ts';

const MINUTE = 60e3;
/** S3.8: a session is renewed this long before its end … */
const MARGIN_MS = 15 * MINUTE;
/** … or, if it is shorter than an hour, a third of its life before. */
const SHORT_SESSION_MS = 60 * MINUTE;
/** Credentials without an end are looked up again this often, so that a rotated secret is noticed before the old one is revoked (D7). */
const RECHECK_MS = 15 * MINUTE;
/** After a fetch that changed nothing, or failed while the old ones still work. */
const PAUSE_MS = 30e3;
const DEADLINE_MS = 60e3;

/**
 * Keeps one set of credentials fresh: cached, fetched again by margin and when refused, once for all who wait. While the old ones are still
 * good, a failing fetch is nobody's error.
 */
export class RefreshingSource implements CredentialSource {
  readonly describe: string;
  readonly #fetch: () => Promise<Credentials>;
  readonly #clock: Clock;
  #current: Credentials | undefined;
  #staleAt = 0;
  #refused = false;
  /** No renewal by time before this moment … */
  #notBefore = Number.NEGATIVE_INFINITY;
  /** … and none by refusal, since the last fetch brought the same again. */
  #sameUntil = Number.NEGATIVE_INFINITY;
  #inFlight: Promise<Credentials> | undefined;

  constructor(describe: string, fetch: () => Promise<Credentials>, clock: Clock) {
    this.describe = describe;
    this.#fetch = fetch;
    this.#clock = clock;
  }

  current(): Credentials | undefined {
    return this.#current !== undefined && !this.#due() ? this.#current : undefined;
  }

  async resolve(signal?: AbortSignal): Promise<Credentials> {
    const current = this.current();
    if (current !== undefined) return current;
    this.#inFlight ??= this.#refresh().finally(() => {
      this.#inFlight = undefined;
    });
    return signal === undefined ? this.#inFlight : unlessAborted(this.#inFlight, signal);
  }

  invalidate(used: Credentials): void {
    if (used === this.#current) this.#refused = true;
  }

  #due(): boolean {
    const moment = this.#clock.monotonic();
    return this.#refused ? moment >= this.#sameUntil : moment >= this.#notBefore && this.#clock.now() >= this.#staleAt;
  }

  async #refresh(): Promise<Credentials> {
    try {
      const fetched = await withDeadline(this.#fetch, this.describe, this.#clock);
      return this.#keep(fetched);
    } catch (thrown) {
      const current = this.#current;
      const left = (current?.expiresAtMs ?? Number.POSITIVE_INFINITY) - this.#clock.now();
      if (current === undefined || this.#refused || left <= 0) throw thrown;
      this.#notBefore = this.#clock.monotonic() + Math.min(PAUSE_MS, left);
      return current;
    }
  }

  #keep(fetched: Credentials): Credentials {
    const now = this.#clock.now();
    const unchanged = this.#current !== undefined && sameCredentials(this.#current, fetched);
    if (!unchanged) this.#current = fetched;
    this.#refused = false;
    this.#staleAt = staleAt(fetched, now);
    // The same again, or something that is due already: do not ask on every request.
    const pause = this.#clock.monotonic() + PAUSE_MS;
    this.#notBefore = unchanged || this.#staleAt <= now ? pause : Number.NEGATIVE_INFINITY;
    this.#sameUntil = unchanged ? pause : Number.NEGATIVE_INFINITY;
    return this.#current ?? fetched;
  }
}

/** When to renew what was fetched `now`. */
export function staleAt(fetched: Credentials, now: number): number {
  if (fetched.expiresAtMs === undefined) return now + RECHECK_MS;
  const life = fetched.expiresAtMs - now;
  return fetched.expiresAtMs - (life < SHORT_SESSION_MS ? life / 3 : MARGIN_MS);
}

function sameCredentials(a: Credentials, b: Credentials): boolean {
  return a.accessKeyId === b.accessKeyId && a.expiresAtMs === b.expiresAtMs
    && a.secretAccessKey.reveal() === b.secretAccessKey.reveal() && a.sessionToken?.reveal() === b.sessionToken?.reveal();
}

async function withDeadline<T>(work: () => Promise<T>, describe: string, clock: Clock): Promise<T> {
  const done = new AbortController();
  const late = clock.sleep(DEADLINE_MS, done.signal).then(() => {
    throw credentialError(`${describe} did not answer within 60 s`, 'check the network between here and where the credentials are kept');
  });
  // Cancelled in `finally`, or already told to the caller: either way nobody else waits for it.
  late.catch(() => undefined);
  try {
    return await Promise.race([work(), late]);
  } finally {
    done.abort();
  }
}

/** One caller may leave; the refresh goes on for the others. */
function unlessAborted<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const leave = () => reject(cancelled('credentials'));
    if (signal.aborted) leave();
    signal.addEventListener('abort', leave, { once: true });
    work.then(resolve, reject).finally(() => signal.removeEventListener('abort', leave));
  });
}
