/** The journal in a store: see ports/journal.ts for what each call promises. */
import { createHash } from 'node:crypto';
import { asBrigadeError, isKind, oneLine, usageError } from '../core/errors.ts';
import type { Key } from '../core/key.ts';
import type { Clock, Random } from '../ports/clock.ts';
import type { Beat, Claim, Control, CoordinatorJournal, Damage, Journal, PlanRecord, ReadPlan, ReadReport, Report, ReportPlace, SegmentPlace, TaskName, WorkName } from '../ports/journal.ts';
import type { Binding } from '../ports/ledger.ts';
import type { Store } from '../ports/storage.ts';
import { headOf, joinContent, packPlan, packReport, unpackPlan, unpackReport } from './content.ts';
import { damage, decodeSegment, encodeSegment, isDamage, type Segment } from './frame.ts';
import { Log, seal, sealOf, type Seal } from './log.ts';
import { BINDING, documentKey, epochKey, epochOf, EPOCHS, logPrefix, PLAIN, reportFolder, reportKey, reportOf, REPORTS, segmentKey, segmentOf, spanFolder, workerKey, WORKERS } from './names.ts';
import { ahead, get, listed, mend, putOnce, putOver, readListed, readSegment, unbelievable } from './shelf.ts';

export interface JournalOptions {
  /** Rely on it through stack(): a journal makes no retries but those that settle a doubt. Everything below its root is the journal's. */
  readonly store: Store;
  readonly clock: Clock;
  readonly random: Random;
  /** Segments read at the same time. Default 16. */
  readonly width?: number;
}

interface ClaimContent extends Claim {
  readonly nonce: string;
  readonly cutAt?: SegmentPlace;
}

const WIDTH = 16;
/** Reports of one piece of work; so many mean that something goes round in circles. */
const MOST_REPORTS = 1000;

export function openJournal(options: JournalOptions): Journal {
  return new StoredJournal(options);
}

class StoredJournal implements Journal {
  readonly #options: JournalOptions;
  readonly #store: Store;
  /** Claims and seals, once there, stay. */
  readonly #claims = new Map<number, ClaimContent>();
  readonly #seals = new Map<number, Seal>();

  constructor(options: JournalOptions) {
    this.#options = options;
    this.#store = options.store;
  }

  async current(signal?: AbortSignal): Promise<Claim | undefined> {
    const last = (await this.#epochs(undefined, signal)).at(-1);
    return last === undefined ? undefined : told(await this.#claimOf(last, signal));
  }

  async claim({ holder, over, cutAt, signal }: Parameters<Journal['claim']>[0]): Promise<CoordinatorJournal> {
    const now = await this.current(signal);
    if (now?.epoch !== over?.epoch) throw lockedBy(now);
    const epoch = (over?.epoch ?? 0) + 1;
    const claim: ClaimContent = { epoch, holder, sinceMs: this.#options.clock.now(), nonce: nonceOf(this.#options.random), ...(cutAt === undefined ? {} : { cutAt }) };
    const key = epochKey(epoch);
    if (await putOnce(this.#store, key, encodeSegment(key, { kind: 'E', content: joinContent(claim) }), signal) !== undefined) throw lockedBy(told(await this.#claimOf(epoch, signal)));
    await this.#sealBefore(claim, signal);
    return new Pen(this.#store, claim, async (again) => !await this.#stands(epochKey(epoch + 1), again));
  }

  /** The oldest first: whoever finds one that is sealed need not look at those before it. */
  async #sealBefore(by: ClaimContent, signal: AbortSignal | undefined): Promise<void> {
    for (const log of ['plan', 'control'] as const) {
      let from = by.epoch - 1;
      while (from > 0 && await sealOf(this.#store, log, from, signal) === undefined) from--;
      for (let epoch = from + 1; epoch < by.epoch; epoch++) await seal(this.#store, log, epoch, by, signal);
    }
  }

  async report(work: WorkName, report: Report, signal?: AbortSignal, from = 0): Promise<ReportPlace & { readonly written: boolean }> {
    const content = packReport(report);
    for (let nth = from; nth < MOST_REPORTS; nth++) {
      const key = reportKey({ work, nth });
      const bytes = encodeSegment(key, { kind: 'R', content });
      const standing = await putOnce(this.#store, key, bytes, signal);
      if (standing === undefined) return { work, nth, written: true };
    }
    throw usageError('E_JOURNAL_REPORTS', `this task has ${MOST_REPORTS} reports`, 'the coordinator sends it again and again: stop it and look at its log', reportKey({ work, nth: 0 }));
  }

  async hasReport(place: ReportPlace, signal?: AbortSignal): Promise<boolean> {
    return this.#stands(reportKey(place), signal);
  }

  async readControl(signal?: AbortSignal): Promise<Control | undefined> {
    for (const epoch of (await this.#epochs(undefined, signal)).reverse()) {
      const keys = [];
      for await (const { key } of listed(this.#store, logPrefix('control', epoch), undefined, signal)) keys.push(key);
      for (const key of keys.reverse()) {
        const segment = await readSegment(this.#store, key, signal);
        // What cannot be believed is passed over: the control before it was right a moment ago.
        if (segment !== undefined && !isDamage(segment) && segment.kind === 'C') return headOf<{ control: Control }>(segment.content).control;
      }
    }
    return undefined;
  }

  async *plans(after?: SegmentPlace, signal?: AbortSignal): AsyncGenerator<ReadPlan> {
    const fences = await this.fences(signal);
    for (const epoch of await this.#epochs(after === undefined ? undefined : after.epoch - 1, signal)) {
      const last = fences.get(epoch) ?? Infinity;
      yield* this.#plansOf(epoch, after?.epoch === epoch ? after.seq : -1, last, signal);
    }
  }

  async *#plansOf(epoch: number, after: number, last: number, signal: AbortSignal | undefined): AsyncGenerator<ReadPlan> {
    let next = after + 1;
    const entries = listed(this.#store, logPrefix('plan', epoch), after < 0 ? undefined : segmentKey('plan', { epoch, seq: after }), signal);
    const read = ahead(entries, this.#options.width ?? WIDTH, async (entry) => ({ place: segmentOf(entry.key), segment: await readListed(this.#store, entry, signal) }));
    for await (const { place, segment } of read) {
      if (place === undefined) continue;
      if (place.seq > last) return;
      for (; next < place.seq; next++) yield missing({ epoch, seq: next });
      if (!isDamage(segment) && segment.kind === 'S') return;
      yield { ...place, ...planOf(segmentKey('plan', place), segment) };
      next = place.seq + 1;
    }
    if (last !== Infinity) for (; next <= last; next++) yield missing({ epoch, seq: next });
  }

  async fences(signal?: AbortSignal): Promise<ReadonlyMap<number, number>> {
    const fences = new Map<number, number>();
    const epochs = await this.#epochs(undefined, signal);
    for (const epoch of epochs.slice(0, -1)) {
      const found = this.#seals.get(epoch) ?? await sealOf(this.#store, 'plan', epoch, signal);
      if (found === undefined) continue;
      this.#seals.set(epoch, found);
      fences.set(epoch, found.last);
    }
    for (const epoch of epochs) cut(fences, await this.#claimOf(epoch, signal));
    return fences;
  }

  reports(from?: SegmentPlace, known: (place: ReportPlace) => boolean = () => false, signal?: AbortSignal): AsyncIterable<ReadReport> {
    return this.#reports(REPORTS, from === undefined ? undefined : reportFolder(from), known, signal);
  }

  plainReports(known: (place: ReportPlace) => boolean = () => false, signal?: AbortSignal): AsyncIterable<ReadReport> {
    return this.#reports(PLAIN, undefined, known, signal);
  }

  spanReports(task: TaskName, known: (place: ReportPlace) => boolean, signal?: AbortSignal): AsyncIterable<ReadReport> {
    return this.#reports(spanFolder(task), undefined, known, signal);
  }

  async *#reports(prefix: Key, startAfter: Key | undefined, known: (place: ReportPlace) => boolean, signal: AbortSignal | undefined): AsyncGenerator<ReadReport> {
    const store = this.#store;
    const wanted = async function* () {
      for await (const entry of listed(store, prefix, startAfter, signal)) {
        const place = reportOf(entry.key);
        if (place !== undefined && !known(place)) yield { entry, place };
      }
    };
    yield* ahead(wanted(), this.#options.width ?? WIDTH, async ({ entry, place }) => readReport(place, await readListed(store, entry, signal)));
  }

  async readReport(place: ReportPlace, signal?: AbortSignal): Promise<ReadReport | undefined> {
    const segment = await readSegment(this.#store, reportKey(place), signal);
    return segment === undefined ? undefined : readReport(place, segment);
  }

  async bind(binding: Binding, signal?: AbortSignal): Promise<void> {
    const standing = await putOnce(this.#store, BINDING, boundTo(binding), signal);
    if (standing === undefined) return;
    const segment = decodeSegment(BINDING, standing.bytes);
    if (isDamage(segment)) throw unbelievable(segment);
    refuseOther(headOf<Binding>(segment.content), binding, this.#store.address);
  }

  async rebind(binding: Binding, signal?: AbortSignal): Promise<void> {
    await putOver(this.#store, BINDING, boundTo(binding), signal);
  }

  async binding(signal?: AbortSignal): Promise<Binding | undefined> {
    const segment = await readSegment(this.#store, BINDING, signal);
    if (segment !== undefined && isDamage(segment)) throw unbelievable(segment);
    return segment === undefined ? undefined : bindingOf(headOf<Binding>(segment.content));
  }

  async keep(document: Uint8Array, signal?: AbortSignal): Promise<string> {
    const sha256 = createHash('sha256').update(document).digest('hex');
    const key = documentKey(sha256);
    const bytes = encodeSegment(key, { kind: 'D', content: Buffer.from(document) });
    const standing = await putOnce(this.#store, key, bytes, signal);
    if (standing === undefined) return sha256;
    const segment = decodeSegment(key, standing.bytes);
    // What stands there is the same document, unless somebody damaged it: then it is put right.
    if (isDamage(segment) && await mend(this.#store, key, bytes, standing, signal) !== undefined) throw unbelievable(segment);
    return sha256;
  }

  async document(sha256: string, signal?: AbortSignal): Promise<Buffer | undefined> {
    const segment = await readSegment(this.#store, documentKey(sha256), signal);
    if (segment === undefined || isDamage(segment) || segment.kind !== 'D') return undefined;
    return createHash('sha256').update(segment.content).digest('hex') === sha256 ? segment.content : undefined;
  }

  async beat(beat: Beat, signal?: AbortSignal): Promise<void> {
    const key = workerKey(beat.worker);
    await putOver(this.#store, key, encodeSegment(key, { kind: 'W', content: joinContent(beat) }), signal);
  }

  async beats(signal?: AbortSignal): Promise<readonly Beat[]> {
    const beats: Beat[] = [];
    for await (const beat of ahead(listed(this.#store, WORKERS, undefined, signal), this.#options.width ?? WIDTH, ({ key }) => this.#beatAt(key, signal))) {
      if (beat !== undefined) beats.push(beat);
    }
    return beats;
  }

  async beatOf(worker: string, signal?: AbortSignal): Promise<Beat | undefined> {
    return this.#beatAt(workerKey(worker), signal);
  }

  /** Of one that cannot be read its bytes stand for the count: whether they change is all that there is to see. */
  async #beatAt(key: Key, signal: AbortSignal | undefined): Promise<Beat | undefined> {
    const standing = await get(this.#store, key, signal);
    if (standing === undefined) return undefined;
    const segment = decodeSegment(key, standing.bytes);
    if (!isDamage(segment) && segment.kind === 'W') return headOf<Beat>(segment.content);
    const unread = isDamage(segment) ? segment.message : `segment ${key} of the journal is no beat`;
    return { worker: key.slice(WORKERS.length), beat: createHash('sha256').update(standing.bytes).digest().readUIntBE(0, 6), host: 'unknown', version: 'unknown', tasks: 0, unread };
  }

  async leave(worker: string, signal?: AbortSignal): Promise<void> {
    await this.#store.remove(workerKey(worker), signal);
  }

  async #epochs(after: number | undefined, signal: AbortSignal | undefined): Promise<number[]> {
    const epochs: number[] = [];
    const from = after === undefined || after < 1 ? undefined : epochKey(after);
    for await (const { key } of listed(this.#store, EPOCHS, from, signal)) {
      const epoch = epochOf(key);
      if (epoch !== undefined) epochs.push(epoch);
    }
    return epochs;
  }

  async #stands(key: Key, signal: AbortSignal | undefined): Promise<boolean> {
    try {
      await this.#store.head(key, signal === undefined ? {} : { signal });
      return true;
    } catch (thrown) {
      if (isKind(thrown, 'gone')) return false;
      throw thrown;
    }
  }

  /** A claim that cannot be read is one all the same: who made it may be at work. */
  async #claimOf(epoch: number, signal: AbortSignal | undefined): Promise<ClaimContent> {
    const known = this.#claims.get(epoch);
    if (known !== undefined) return known;
    const segment = await readSegment(this.#store, epochKey(epoch), signal);
    if (segment === undefined || isDamage(segment) || segment.kind !== 'E') return { epoch, holder: 'unknown (its claim is damaged)', sinceMs: 0, nonce: '' };
    const claim = headOf<ClaimContent>(segment.content);
    this.#claims.set(epoch, claim);
    return claim;
  }
}

class Pen implements CoordinatorJournal {
  readonly claim: Claim;
  readonly #nonce: string;
  readonly #plan: Log;
  readonly #control: Log;
  readonly isCurrent: CoordinatorJournal['isCurrent'];

  constructor(store: Store, claim: ClaimContent, isCurrent: CoordinatorJournal['isCurrent']) {
    this.claim = told(claim);
    this.#nonce = claim.nonce;
    this.#plan = new Log(store, 'plan', claim.epoch, isCurrent);
    this.#control = new Log(store, 'control', claim.epoch, isCurrent);
    this.isCurrent = isCurrent;
  }

  append(records: readonly PlanRecord[], signal?: AbortSignal): Promise<SegmentPlace> {
    return this.#plan.append(packPlan(this.#nonce, records), signal);
  }

  async control(control: Control, signal?: AbortSignal): Promise<void> {
    await this.#control.append(joinContent({ nonce: this.#nonce, control }), signal);
  }
}

function boundTo(binding: Binding): Buffer {
  return encodeSegment(BINDING, { kind: 'B', content: joinContent(bindingOf(binding)) });
}

/** A whole binding and nothing else, in one order. */
function bindingOf({ migration, specHash, source, destination }: Binding): Binding {
  return { migration, specHash, source, destination };
}

function refuseOther(standing: Binding, binding: Binding, where: string): void {
  const differs = (Object.keys(bindingOf(binding)) as (keyof Binding)[]).filter((name) => standing[name] !== binding[name]);
  if (differs.length === 0) return;
  const said = differs.map((name) => `${name} ${standing[name]}, not ${binding[name]}`).join('; ');
  throw usageError('E_JOURNAL_OTHER', `this journal is of another migration: ${said}`, 'give each migration a journal of its own, undo the change, or accept it with --adopt', where);
}

/** What this claim declares void lies from `cutAt` to the end of the epoch before its own. */
function cut(fences: Map<number, number>, { epoch: by, cutAt }: ClaimContent): void {
  if (cutAt === undefined) return;
  for (let epoch = cutAt.epoch; epoch < by; epoch++) {
    const last = epoch === cutAt.epoch ? cutAt.seq - 1 : -1;
    fences.set(epoch, Math.min(fences.get(epoch) ?? Infinity, last));
  }
}

function planOf(key: string, segment: Segment | Damage): Pick<ReadPlan, 'records' | 'damage'> {
  if (isDamage(segment)) return { damage: segment };
  return segment.kind === 'P' ? { records: unpackPlan(segment.content) } : { damage: damage(key, 'misplaced', `it is of kind ${segment.kind}`) };
}

function readReport(place: ReportPlace, segment: Segment | Damage): ReadReport {
  const fix = 'nothing: its task is in doubt and is done again';
  if (isDamage(segment)) return { ...place, damage: { ...segment, fix } };
  if (segment.kind !== 'R') return { ...place, damage: damage(reportKey(place), 'misplaced', `it is of kind ${segment.kind}`, fix) };
  try {
    return { ...place, report: unpackReport(segment.content) };
  } catch (thrown) {
    // As its writer wrote it: told here, one such report does not keep the others out of the ledger.
    return { ...place, damage: damage(reportKey(place), 'changed', `what it says cannot be read (${oneLine(asBrigadeError(thrown, 'report').message)})`, fix) };
  }
}

function missing(place: SegmentPlace): ReadPlan {
  return { ...place, damage: damage(segmentKey('plan', place), 'gone', 'there are later ones, but not this one') };
}

function told({ epoch, holder, sinceMs }: ClaimContent): Claim {
  return { epoch, holder, sinceMs };
}

function lockedBy(claim: Claim | undefined): Error {
  const who = claim === undefined ? 'nobody holds this journal, though somebody did' : `another coordinator holds this journal (epoch ${claim.epoch}): ${claim.holder}, since ${new Date(claim.sinceMs).toISOString()}`;
  return usageError('E_LOCKED_RUN', who, 'let it work, or take over once it is gone');
}

/** 128 bits. */
function nonceOf(random: Random): string {
  return Array.from({ length: 4 }, () => Math.floor(random.next() * 2 ** 32).toString(16).padStart(8, '0')).join('');
}

