/**
 * Makes a body whole or an error: every byte is counted against the size of the listing, and a body that breaks or stalls goes on from its
 * next byte, nailed to the same version (design truths 3 and 5).
 */
import { asBrigadeError, BrigadeError, isKind } from '../../core/errors.ts';
import { showKey } from '../../core/key.ts';
import type { Pin } from '../../core/object.ts';
import type { Clock, Random } from '../../ports/clock.ts';
import type { Events } from '../../ports/events.ts';
import type { ObjectRead, ReadRequest, Store } from '../../ports/storage.ts';
import { layer } from './layer.ts';
import type { RetryBudget } from './retrying.ts';

export interface ResumeOptions {
  readonly side: 'source' | 'destination';
  readonly clock: Clock;
  readonly random: Random;
  readonly events: Events;
  readonly budget: RetryBudget;
  /** Resumes in a row that bring nothing. Default 5. */
  readonly resumes?: number;
  readonly baseMs?: number;
  readonly capMs?: number;
}

/** Less than this between two breaks is no progress: else one byte per resume would go on for ever. */
const PROGRESS_BYTES = 64 * 1024;

/** An open body: so many of its bytes were delivered before, and it may go on beyond what is owed (`whole`). */
interface Source {
  readonly read: ObjectRead;
  readonly skip: number;
  readonly whole: boolean;
}

type Open = (request: ReadRequest) => Promise<ObjectRead>;

export function resuming(store: Store, options: ResumeOptions): Store {
  return layer(store, {
    call: (_, run) => run(),
    async read(request, open) {
      const first = await open(request);
      return isWhole(first, request) ? first : resumable(store.address, request, first, open, options);
    },
  });
}

/** Nothing is left that could break; a length that is wrong all the same is met on the other path. */
export function isWhole({ bytes }: ObjectRead, { range, expectedSize }: ReadRequest): boolean {
  return bytes?.length === (range?.length ?? expectedSize);
}

/** `open`: how the rest is asked for, retried as all requests are. */
export function resumable(address: string, request: ReadRequest, first: ObjectRead, open: Open, options: ResumeOptions): ObjectRead {
  return new ResumableRead(address, request, first, open, options);
}

class ResumableRead implements ObjectRead {
  readonly info: ObjectRead['info'];
  readonly chunks: AsyncIterable<Uint8Array>;
  readonly #address: string;
  readonly #request: ReadRequest;
  readonly #open: Open;
  readonly #options: ResumeOptions;
  /** What the first answer was: all others must be of the same version. */
  readonly #pin: Pin;
  readonly #offset: number;
  readonly #length: number;
  #current: ObjectRead | undefined;
  #delivered = 0;
  #failures = 0;
  #deliveredAtBreak = 0;

  constructor(address: string, request: ReadRequest, first: ObjectRead, open: Open, options: ResumeOptions) {
    this.#address = address;
    this.#request = request;
    this.#open = open;
    this.#options = options;
    this.#current = first;
    this.info = first.info;
    this.#pin = request.pin ?? { token: first.info.token, ...(first.info.versionId === undefined ? {} : { versionId: first.info.versionId }) };
    this.#offset = request.range?.offset ?? 0;
    this.#length = request.range?.length ?? request.expectedSize;
    this.chunks = this.#bytes(first);
  }

  discard(): void {
    this.#current?.discard();
    this.#current = undefined;
  }

  async *#bytes(first: ObjectRead): AsyncGenerator<Uint8Array> {
    let source: Source = { read: first, skip: 0, whole: false };
    try {
      for (;;) {
        try {
          yield* this.#rest(source);
          return;
        } catch (thrown) {
          this.discard();
          await this.#recover(asBrigadeError(thrown, 'read'));
        }
        source = await this.#reopen();
        this.#current = source.read;
      }
    } finally {
      this.discard();
    }
  }

  /** The bytes still owed; fewer or more than owed is an error. */
  async *#rest({ read, skip, whole }: Source): AsyncGenerator<Uint8Array> {
    let left = skip;
    for await (const chunk of read.chunks) {
      const owed = this.#length - this.#delivered;
      const piece = chunk.subarray(Math.min(left, chunk.length), whole ? left + owed : chunk.length);
      left -= Math.min(left, chunk.length);
      if (piece.length > owed) throw this.#error('E_LONG_READ', `more than the ${this.#length} bytes that were asked for`);
      this.#delivered += piece.length;
      if (piece.length > 0) yield piece;
      if (whole && this.#delivered === this.#length) return;
    }
    if (this.#delivered < this.#length) throw this.#error('E_SHORT_READ', `the body ended after ${this.#delivered} of ${this.#length} bytes`);
  }

  /** Waits and lets the next round go on, or throws. A body that is whole but ended in an error is not believed either. */
  async #recover(error: BrigadeError): Promise<void> {
    const { clock, random, events, side, budget, resumes = 5, baseMs = 200, capMs = 20_000 } = this.#options;
    if (error.code === 'E_STALLED') events.emit({ type: 'stalled', key: this.#request.key });
    // Found behind the bytes that it is about: some that were handed out are wrong, and going on behind them would keep them (F016).
    const inDoubt = error.code === 'E_FRAMES' && this.#delivered > 0;
    if (!isKind(error, 'transient') || inDoubt || error.code === 'E_LONG_READ' || this.#delivered === this.#length) throw error;
    if (this.#delivered - this.#deliveredAtBreak >= PROGRESS_BYTES) this.#failures = 0;
    this.#deliveredAtBreak = this.#delivered;
    if (++this.#failures > resumes) throw error;
    const waitMs = Math.max(random.next() * Math.min(capMs, baseMs * 2 ** (this.#failures - 1)), error.retryAfterMs ?? 0);
    events.emit({ type: 'retry', side, op: 'read', problem: { code: error.code, kind: error.kind, message: error.message }, waitMs });
    await clock.sleep(waitMs, this.#request.signal);
    await budget.take(1, this.#request.signal);
  }

  /** A body from the next byte on; its opening is retried below us, so an error here is final. A store that ignores ranges is read from the start again, past what was already delivered. */
  async #reopen(): Promise<Source> {
    const offset = this.#offset + this.#delivered;
    const { into, ...rest } = this.#request;
    const request = { ...rest, pin: this.#pin };
    const left = { range: { offset, length: this.#length - this.#delivered }, ...(into === undefined ? {} : { into: into.subarray(this.#delivered) }) };
    try {
      return { read: this.#sameVersion(await this.#open({ ...request, ...left })), skip: 0, whole: false };
    } catch (thrown) {
      if (!(thrown instanceof BrigadeError) || thrown.code !== 'E_RANGE_IGNORED') throw thrown;
      this.#options.events.emit({ type: 'note', level: 'warn', text: `${this.#where()}: the store ignores ranges; reading again from the start (E_RANGE_IGNORED)` });
      const { range: _, ...whole } = request;
      return { read: this.#sameVersion(await this.#open(whole)), skip: offset, whole: true };
    }
  }

  /** A store that does not honour the pin must not mix two versions into one body (F027). */
  #sameVersion(read: ObjectRead): ObjectRead {
    const { token, versionId } = read.info;
    if (token === this.info.token && (versionId ?? this.info.versionId) === this.info.versionId) return read;
    read.discard();
    throw new BrigadeError({ code: 'E_SRC_CHANGED', kind: 'changed', op: 'read', location: this.#where(), message: 'the object changed while it was read' });
  }

  #error(code: string, message: string): BrigadeError {
    return new BrigadeError({ code, kind: 'transient', op: 'read', location: this.#where(), message });
  }

  #where(): string {
    return `${this.#address}/${showKey(this.#request.key)}`;
  }
}
