/** One of the two logs of an epoch: written by its holder, sealed by a successor. A conditional write decides who has each name. */
import { BrigadeError } from '../core/errors.ts';
import type { Key } from '../core/key.ts';
import type { SegmentPlace } from '../ports/journal.ts';
import type { Store } from '../ports/storage.ts';
import { headOf, joinContent } from './content.ts';
import { decodeSegment, encodeSegment, isDamage, type Segment } from './frame.ts';
import { logPrefix, segmentKey, segmentOf, type LogName } from './names.ts';
import { get, listed, mend, putOnce, readSegment, unbelievable, type Standing } from './shelf.ts';

/** What a seal says: by whom, and the last segment before it that counts. */
export interface Seal {
  readonly by: number;
  readonly nonce: string;
  readonly last: number;
}

export class Log {
  readonly #store: Store;
  readonly #name: LogName;
  readonly #epoch: number;
  readonly #isCurrent: (signal?: AbortSignal) => Promise<boolean>;
  #next = 0;
  /** A segment whose write ended in an error: it may stand. */
  #unsettled: { readonly content: Buffer; readonly bytes: Buffer } | undefined;
  #fenced: BrigadeError | undefined;
  #turn: Promise<unknown> = Promise.resolve();

  /** `isCurrent`: whether nobody has claimed a newer epoch. */
  constructor(store: Store, name: LogName, epoch: number, isCurrent: (signal?: AbortSignal) => Promise<boolean>) {
    this.#isCurrent = isCurrent;
    this.#store = store;
    this.#name = name;
    this.#epoch = epoch;
  }

  append(content: Buffer, signal?: AbortSignal): Promise<SegmentPlace> {
    const mine = this.#turn.then(() => this.#append(content, signal));
    // The next one comes after this one whether it failed or not.
    this.#turn = mine.catch(() => undefined);
    return mine;
  }

  async #append(content: Buffer, signal: AbortSignal | undefined): Promise<SegmentPlace> {
    if (this.#fenced !== undefined) throw this.#fenced;
    // Asked beside each write: a successor that seals this log would never catch up with a writer that does not stop by itself. An answer that
    // does not come changes nothing: the seal decides.
    const current = this.#isCurrent(signal).catch(() => true);
    const again = this.#unsettled?.content.equals(content) === true;
    if (this.#unsettled !== undefined) await this.#settle(signal);
    if (!again) {
      const key = segmentKey(this.#name, { epoch: this.#epoch, seq: this.#next });
      this.#unsettled = { content, bytes: encodeSegment(key, { kind: this.#name === 'plan' ? 'P' : 'C', content }) };
      await this.#settle(signal);
    }
    if (!await current) this.#fenced = fenced(this.#epoch, this.#epoch + 1);
    return { epoch: this.#epoch, seq: this.#next - 1 };
  }

  async #settle(signal: AbortSignal | undefined): Promise<void> {
    const { bytes } = this.#unsettled as { readonly bytes: Buffer };
    const key = segmentKey(this.#name, { epoch: this.#epoch, seq: this.#next });
    const other = await place(this.#store, key, bytes, signal);
    if (other !== undefined) {
      this.#fenced = fenced(this.#epoch, other.kind === 'S' ? headOf<Seal>(other.content).by : undefined);
      throw this.#fenced;
    }
    this.#next++;
    this.#unsettled = undefined;
  }
}

/** Writes a segment under this name unless another intact one has it; answers that one. What an interrupted writer left torn is written over. */
async function place(store: Store, key: Key, bytes: Buffer, signal: AbortSignal | undefined): Promise<Segment | undefined> {
  let standing: Standing | undefined = await putOnce(store, key, bytes, signal);
  while (standing !== undefined) {
    const other = decodeSegment(key, standing.bytes);
    if (!isDamage(other)) return other;
    if (other.kind !== 'torn' || !store.facts.guards.matches) throw unbelievable(other);
    standing = await mend(store, key, bytes, standing, signal);
  }
  return undefined;
}

function fenced(epoch: number, successor: number | undefined): BrigadeError {
  const by = successor === undefined ? 'a writer with the same claim' : `epoch ${successor}`;
  return new BrigadeError({
    code: 'E_JOURNAL_FENCED', kind: 'usage', op: 'journal',
    message: `another coordinator took over: epoch ${epoch} of this one was ended by ${by}`, hint: 'stop this one; the other goes on with the run',
  });
}

/** The last name that is taken in a log of this epoch; -1: none. */
async function lastSeq(store: Store, log: LogName, epoch: number, signal: AbortSignal | undefined): Promise<number> {
  let last = -1;
  for await (const { key } of listed(store, logPrefix(log, epoch), undefined, signal)) last = segmentOf(key)?.seq ?? last;
  return last;
}

/** The seal of a log, where it has one. */
export async function sealOf(store: Store, log: LogName, epoch: number, signal?: AbortSignal): Promise<Seal | undefined> {
  const last = await lastSeq(store, log, epoch, signal);
  if (last < 0) return undefined;
  const segment = await readSegment(store, segmentKey(log, { epoch, seq: last }), signal);
  return segment === undefined || isDamage(segment) || segment.kind !== 'S' ? undefined : headOf<Seal>(segment.content);
}

/**
 * Seals a log: takes the first free name behind its segments. If its holder is quicker with another segment, that one counts, and the next name is
 * tried. The last segment, when it is torn, is what its holder was writing when it died: nobody heard of it, so it does not count.
 */
export async function seal(store: Store, log: LogName, epoch: number, by: { readonly epoch: number; readonly nonce: string }, signal?: AbortSignal): Promise<void> {
  let seq = Math.max(0, await lastSeq(store, log, epoch, signal));
  for (;; seq++) {
    const key = segmentKey(log, { epoch, seq });
    const taken = await get(store, key, signal);
    if (taken !== undefined) {
      const segment = decodeSegment(key, taken.bytes);
      if (!isDamage(segment) && segment.kind === 'S') return;
      continue;
    }
    const last = await lastIntact(store, log, { epoch, seq: seq - 1 }, signal);
    const content = joinContent({ by: by.epoch, nonce: by.nonce, last } satisfies Seal);
    if (await putOnce(store, key, encodeSegment(key, { kind: 'S', content }), signal) === undefined) return;
    seq--; // somebody has it now: look who
  }
}

async function lastIntact(store: Store, log: LogName, { epoch, seq }: SegmentPlace, signal: AbortSignal | undefined): Promise<number> {
  if (seq < 0) return -1;
  const segment = await readSegment(store, segmentKey(log, { epoch, seq }), signal);
  return segment === undefined || (isDamage(segment) && segment.kind === 'torn') ? seq - 1 : seq;
}
