/**
 * The verifier (I9): lists both sides again, reads again, and takes the copier's word for nothing but which version was copied.
 *
 *   none      sizes of both listings
 *   inline    the same, and the destination still holds the version that was written
 *   checksum  checksums that the stores vouch for; where one does not, that end is read once and compared with the copy's checksum
 *   full      both ends read to the last byte
 */
import { asBrigadeError, isKind } from '../core/errors.ts';
import { EVIDENCE, type Evidence, type Item } from '../core/item.ts';
import { compareKeys, type Key } from '../core/key.ts';
import { type Merged, merge } from '../core/merge.ts';
import type { Checksum, ChecksumAlgorithm, ObjectEntry } from '../core/object.ts';
import type { KeyRange } from '../core/shard.ts';
import type { Clock } from '../ports/clock.ts';
import type { Events } from '../ports/events.ts';
import type { Finding, Ledger, VerifySummary } from '../ports/ledger.ts';
import type { EntrySorter } from '../ports/sorter.ts';
import type { Store } from '../ports/storage.ts';
import { Budget } from './budget.ts';
import { type Equality, evidenceOf, readChecksum } from './content.ts';
import { itemsIn, knownRanges } from './known-ranges.ts';
import { runLanes } from './lanes.ts';
import { listInOrder } from './lister.ts';
import type { VerifyLevel } from './options.ts';

export interface VerifyContext {
  readonly source: Store;
  readonly destination: Store;
  readonly ledger: Ledger;
  readonly run: number;
  /** What every selected key begins with; empty: everything is listed. */
  readonly prefix?: Key;
  readonly level: VerifyLevel;
  readonly concurrency: number;
  /** Ranges that are listed at once, at most. */
  readonly lanes: number;
  readonly sorter: () => EntrySorter;
  readonly events: Events;
  readonly clock: Clock;
  readonly onProgress?: (checked: number, bytesRead: number) => void;
}

export interface Verified {
  readonly summary: VerifySummary;
  /** At most MOST_FINDINGS; the summary counts all. */
  readonly findings: readonly Finding[];
  /** Source objects that changed or vanished since the run: for the next run, no difference of this one. */
  readonly changedSince: number;
}

const MOST_FINDINGS = 10_000;
const UPGRADES_AT_ONCE = 5_000;

export async function verifyRun(context: VerifyContext, signal: AbortSignal): Promise<Verified> {
  return new Verifier(context, signal).run();
}

class Verifier {
  readonly #context: VerifyContext;
  readonly #signal: AbortSignal;
  /** Objects that will be checked. */
  readonly #of: number;
  readonly #findings: Finding[] = [];
  readonly #evidence: Record<Evidence, number> = { none: 0, 'in flight': 0, 'store checksum': 0, 'destination re-read': 0, 'both ends re-read': 0 };
  #upgrades: { item: Item }[] = [];
  #found = 0;
  #checked = 0;
  #bytesRead = 0;
  #changedSince = 0;
  #error: { readonly error: unknown } | undefined;

  constructor(context: VerifyContext, signal: AbortSignal) {
    this.#context = context;
    this.#signal = signal;
    const { copied, unchanged } = context.ledger.tally(context.run);
    this.#of = copied.objects + unchanged.objects;
  }

  async run(): Promise<Verified> {
    const { clock, ledger, run, level } = this.#context;
    const startedMs = clock.now();
    this.#tell();
    await this.#checkAll();
    if (this.#error !== undefined) throw this.#error.error;
    this.#saveUpgrades();
    const summary: VerifySummary = { level, startedMs, endedMs: clock.now(), checked: this.#checked, bytesRead: this.#bytesRead, evidence: this.#evidence, findings: this.#found };
    this.#findings.sort((a, b) => compareKeys(a.key, b.key));
    ledger.saveVerify(run, summary, this.#findings);
    return { summary, findings: this.#findings, changedSince: this.#changedSince };
  }

  async #checkAll(): Promise<void> {
    const { source, destination, ledger, run, lanes, concurrency } = this.#context;
    const slots = new Budget(concurrency);
    const open = new Set<Promise<void>>();
    await runLanes(knownRanges(ledger.shards(run), [source, destination]), lanes, this.#signal, async (range) => {
      for await (const row of this.#rows(range)) {
        if (this.#error !== undefined) return;
        await ledger.room?.();
        const giveBack = await slots.take(1, this.#signal);
        const check = this.#check(row).catch((error: unknown) => { this.#error ??= { error }; }).finally(() => { giveBack(); open.delete(check); });
        open.add(check);
      }
    }).finally(() => Promise.all(open));
  }

  #rows(range: KeyRange): AsyncGenerator<Merged<Item, ObjectEntry, ObjectEntry>, void, undefined> {
    const { ledger, run, source, destination, sorter, prefix } = this.#context;
    const listing = { signal: this.#signal, sorter, onPage: () => undefined, prefix, bound: range, startAfter: range.after };
    return merge(itemsIn(ledger, run, range), listInOrder(source, listing), listInOrder(destination, listing));
  }

  async #check(row: Merged<Item, ObjectEntry, ObjectEntry>): Promise<void> {
    const { a: item, b: source, c: destination } = row;
    if (item === undefined || (item.state !== 'copied' && item.state !== 'unchanged')) return;
    await this.#checkItem(item, source, destination);
    this.#checked++;
    this.#tell();
  }

  async #checkItem(item: Item, source: ObjectEntry | undefined, destination: ObjectEntry | undefined): Promise<void> {
    if (destination === undefined) return this.#find(item, 'missing', 'the destination has no such object');
    if (item.kind === 'directory') return this.#prove(item, 'none');
    if (await this.#sizeDiffers(item, destination)) return this.#find(item, 'size', `the destination holds ${destination.size} bytes, copied were ${item.size}`);
    if (source === undefined || source.token !== item.source.token) this.#changedSince++;
    await this.#checkContent(item, source, destination);
  }

  #tell(): void {
    this.#context.events.emit({ type: 'verified', objects: this.#checked, of: this.#of, bytes: this.#bytesRead });
    this.#context.onProgress?.(this.#checked, this.#bytesRead);
  }

  /** Where the listing disagrees the object itself decides: some stores list sizes that are not those of their objects (F022). */
  async #sizeDiffers(item: Item, destination: ObjectEntry): Promise<boolean> {
    if (destination.size === item.size) return false;
    try {
      return (await this.#context.destination.head(item.key, { signal: this.#signal })).size !== item.size;
    } catch (thrown) {
      if (isKind(thrown, 'gone', 'object')) return true;
      throw thrown;
    }
  }

  async #checkContent(item: Item, source: ObjectEntry | undefined, destination: ObjectEntry): Promise<void> {
    const { level } = this.#context;
    if (level === 'none') return this.#prove(item, 'none');
    if (level === 'inline') {
      if (destination.token !== item.destination) return this.#find(item, 'content', 'the destination object is not the version that was written');
      return this.#prove(item, item.evidence);
    }
    try {
      const equality = level === 'full' ? await this.#readBoth(item, source, destination) : await this.#compare(item, source, destination);
      if (equality === undefined) return;
      if (equality.equal) return this.#prove(item, equality.evidence, equality);
      this.#find(item, 'content', 'the bytes at the destination are not those of the source');
    } catch (thrown) {
      const error = asBrigadeError(thrown, 'verify');
      if (isKind(error, 'cancelled', 'premise', 'throttled')) throw error;
      this.#find(item, 'unreadable', error.message);
    }
  }

  /** Both ends to the last byte, as this listing shows them; a source that moved on is compared with the checksum of what was copied. */
  async #readBoth(item: Item, source: ObjectEntry | undefined, destination: ObjectEntry): Promise<Equality | undefined> {
    const algorithm = item.checksum?.algorithm ?? 'crc32';
    const unchanged = source !== undefined && source.token === item.source.token;
    const ours = unchanged ? await this.#read('source', source, algorithm) : item.checksum;
    if (ours === undefined) return undefined;
    const theirs = await this.#read('destination', destination, algorithm);
    return { equal: ours.hex === theirs.hex, evidence: evidenceOf(unchanged, true), checksum: theirs };
  }

  async #compare(item: Item, source: ObjectEntry | undefined, destination: ObjectEntry): Promise<Equality | undefined> {
    const known = item.checksum;
    const vouched = await this.#vouched('destination', item.key);
    if (known !== undefined) {
      if (vouched?.algorithm === known.algorithm) return { equal: vouched.hex === known.hex, evidence: 'store checksum', checksum: vouched };
      const theirs = await this.#read('destination', destination, known.algorithm);
      return { equal: theirs.hex === known.hex, evidence: evidenceOf(false, true), checksum: theirs };
    }
    if (source === undefined || source.token !== item.source.token) return undefined;
    const told = await this.#vouched('source', item.key);
    const ours = told ?? (await this.#read('source', source, vouched?.algorithm ?? 'crc32'));
    if (vouched?.algorithm === ours.algorithm) return { equal: vouched.hex === ours.hex, evidence: 'store checksum', checksum: vouched };
    const theirs = await this.#read('destination', destination, ours.algorithm);
    return { equal: theirs.hex === ours.hex, evidence: evidenceOf(told === undefined, true), checksum: theirs };
  }

  /** What the store vouches for; not asked where it never does. */
  async #vouched(side: 'source' | 'destination', key: Key): Promise<Checksum | undefined> {
    const store = this.#context[side];
    return store.facts.checksums.length === 0 ? undefined : (await store.head(key, { checksum: true, signal: this.#signal })).checksum;
  }

  #read(side: 'source' | 'destination', { key, size, token }: ObjectEntry, algorithm: ChecksumAlgorithm): Promise<Checksum> {
    return readChecksum(this.#context[side], { key, size, pin: { token } }, algorithm, this.#signal, (bytes) => { this.#bytesRead += bytes; });
  }

  #prove(item: Item, evidence: Evidence, equality?: Equality): void {
    this.#evidence[evidence]++;
    // What was read once stays read: a weaker look later takes nothing from it.
    if (EVIDENCE.indexOf(evidence) <= EVIDENCE.indexOf(item.evidence)) return;
    this.#upgrades.push({ item: { ...item, evidence, ...(equality?.checksum === undefined ? {} : { checksum: equality.checksum }) } });
    if (this.#upgrades.length >= UPGRADES_AT_ONCE) this.#saveUpgrades();
  }

  #saveUpgrades(): void {
    this.#context.ledger.amend(this.#context.run, this.#upgrades);
    this.#upgrades = [];
  }

  #find(item: Item, kind: string, message: string): void {
    this.#found++;
    if (this.#findings.length < MOST_FINDINGS) this.#findings.push({ key: item.key, kind, message });
  }
}
