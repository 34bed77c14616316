/**
 * One object, one try. The story of a copy, in order:
 *
 *   doubt     somebody may have written it already: look before writing (truth 9)
 *   copy      pinned read → server-side copy, or one buffer, one stream, or parts → guarded write
 *   check     the answer's checksum against ours (truth 7)
 *   outcome   plain data for the ledger; the caller makes it durable, then acknowledges
 *
 * A source that changed is followed to its new version, at most VERSIONS times (F026). A guard that refused leads to the in-doubt check,
 * never to a blind overwrite (truth 4). Every other error is thrown: the worker decides whether there is another try.
 */
import { decideConflict } from '../core/decide.ts';
import { BrigadeError, isKind } from '../core/errors.ts';
import type { Evidence, Item, Outcome } from '../core/item.ts';
import type { Key } from '../core/key.ts';
import type { Checksum, ObjectInfo, Token } from '../core/object.ts';
import { type Cut, cutObject } from '../core/parts.ts';
import type { Clock } from '../ports/clock.ts';
import type { Events } from '../ports/events.ts';
import type { RangeQueue, Recorder, Task } from '../ports/queue.ts';
import type { Guard, Store, Written } from '../ports/storage.ts';
import type { Budget } from './budget.ts';
import { type Carried, carryAttributes, finishTags } from './fidelity.ts';
import { type Equality, sameContent, type Version, versionOf } from './content.ts';
import { copyBuffered, copyStreamed } from './copy-whole.ts';
import { copyInParts } from './copy-parts.ts';
import { copyOnServer } from './copy-server.ts';
import { COMPARE_BY_READING, type CopyOptions, SIZE_IN_DOUBT, VERSIONS } from './options.ts';

export interface CopyContext {
  readonly source: Store;
  readonly destination: Store;
  readonly options: CopyOptions;
  readonly recorder: Recorder;
  readonly memory: Budget;
  /** What parts may take of it; absent: all. */
  readonly partMemory?: Budget;
  /** Where parts of one object are copied by others too; absent: all of them here. `share`: how many are at work. */
  readonly spreading?: { readonly ranges: RangeQueue; readonly share: number; readonly spanBytes?: number };
  readonly events: Events;
  readonly clock: Clock;
}

/** What one copying step needs to know of its object. */
export interface CopyStep {
  readonly context: CopyContext;
  readonly task: Task;
  readonly version: Version;
  readonly guard: Guard;
  readonly signal: AbortSignal;
  /** Attributes for the destination, from what the read said; some stores lose more of an object that is written in parts. */
  carry(info: ObjectInfo, inParts?: boolean): Promise<Carried> | Carried;
  /** Progress: bytes that went to the destination. */
  sent(bytes: number): void;
  /** Bytes of this object that others sent, who told of them themselves. */
  sentByOthers(bytes: number): void;
}

/** How a copying step ended: what was written, our own checksum over the bytes, and the read's facts. */
export interface Copied {
  readonly written: Written;
  readonly computed?: Checksum;
  readonly carried: Carried;
}

interface Progress { bytesSent: number }

/** @throws BrigadeError of any kind but `changed`, `gone` and `conflict`, which are answered here. */
export async function copyItem(context: CopyContext, task: Task, item: Item, signal: AbortSignal): Promise<Outcome> {
  const started = context.clock.monotonic();
  const progress: Progress = { bytesSent: 0 };
  const seal = (outcome: Omit<Outcome, 'key' | 'attempts' | 'bytesSent' | 'ms'>): Outcome =>
    ({ key: item.key, attempts: item.attempts, bytesSent: progress.bytesSent, ms: context.clock.monotonic() - started, ...outcome });
  const settled = isPlain(task, item) ? undefined : (await skipArchived(context, item, signal)) ?? (await settleWithoutCopy(context, task, item, signal));
  if (settled !== undefined) return seal(settled);
  return seal(await followVersions(context, task, item, progress, signal));
}

/** An earlier holder of the task may have written it. */
function isInDoubt({ inDoubt, doubtful }: Task, { key }: Item): boolean {
  return inDoubt && (doubtful?.has(key) ?? true);
}

/** Nothing is to be looked at before it is copied: most are, and they should not pay for those that are not. */
function isPlain(task: Task, item: Item): boolean {
  const { code, storageClass } = item;
  return !isInDoubt(task, item) && code === undefined && (storageClass === undefined || !ARCHIVE_CLASSES.has(storageClass));
}

type Ending = Omit<Outcome, 'key' | 'attempts' | 'bytesSent' | 'ms'>;

/** Classes whose objects cannot be read before they are restored (https://docs.aws.amazon.com/AmazonS3/latest/userguide/archived-objects.html). */
const ARCHIVE_CLASSES: ReadonlySet<string> = new Set(['GLACIER', 'DEEP_ARCHIVE']);

/** One HEAD for an archive class, none for all others (F073): a restored copy is read like any object. */
async function skipArchived(context: CopyContext, item: Item, signal: AbortSignal): Promise<Ending | undefined> {
  if (item.storageClass === undefined || !ARCHIVE_CLASSES.has(item.storageClass)) return undefined;
  const info = await headOrNone(context.source, item, signal);
  if (info === undefined || info.restored) return undefined;
  return { state: 'skipped', evidence: 'none', problem: { code: 'archived', message: `in storage class ${item.storageClass} and not restored`, hint: 'restore it first, or set allow_archived: true' } };
}

/** Compares first where the planner asked for it, or where an earlier holder of the task may have written it. */
async function settleWithoutCopy(context: CopyContext, task: Task, item: Item, signal: AbortSignal): Promise<Ending | undefined> {
  if (item.code === SIZE_IN_DOUBT) {
    const settled = await settleBySize(context, item, signal);
    if (settled !== undefined) return settled;
  }
  const compare = item.code === 'compare' || item.code === COMPARE_BY_READING;
  const inDoubt = isInDoubt(task, item);
  if (item.kind === 'directory' || (!inDoubt && !compare)) return undefined;
  if (inDoubt) await context.destination.untie?.(item.key, signal);
  const pair = await comparable(context, item, compare, signal);
  if (pair === undefined) return undefined;
  const same = await sameContent(context.source, pair.here, context.destination, pair.there, { read: mustKnow(context, task, item) ? 'if needed' : 'never', signal });
  if (same?.equal) return { ...(inDoubt ? await adoptOwn(context, item.key, pair, same, signal) : adopted('unchanged', pair.there, same)), ...followed(item, versionOf(pair.here)) };
  return compare ? answerConflict(context, pair.here, pair.there) : undefined;
}

function mustKnow({ options }: CopyContext, task: Task, item: Item): boolean {
  return isInDoubt(task, item) || item.code === COMPARE_BY_READING || options.compare === 'checksum';
}

/** Listed with another size, but both ends are the versions that were copied: the objects' own sizes decide (F022). */
async function settleBySize(context: CopyContext, item: Item, signal: AbortSignal): Promise<Ending | undefined> {
  const [here, there] = await Promise.all([headOrNone(context.source, item, signal), headOrNone(context.destination, item, signal)]);
  if (here?.token !== item.source.token || there === undefined || there.token !== item.destination || here.size !== there.size) return undefined;
  return { state: 'unchanged', destination: there.token, size: here.size, evidence: item.evidence, ...optional('checksum', item.checksum) };
}

interface Pair { readonly here: ObjectInfo; readonly there: ObjectInfo }

/**
 * Both objects, where the destination's may be an earlier try of ours: of equal size, and not what the plan saw there. To `compare`, both
 * as they are now, whatever was listed: what stands there is not known to be ours, so nothing is written over it before it is judged.
 */
async function comparable(context: CopyContext, item: Item, compare: boolean, signal: AbortSignal): Promise<Pair | undefined> {
  const there = await headOrNone(context.destination, item, signal);
  if (there === undefined || (!compare && (there.size !== item.size || there.token === item.destination))) return undefined;
  const here = await headOrNone(context.source, item, signal);
  return here !== undefined && (compare || here.token === item.source.token) ? { here, there } : undefined;
}

/** Bytes of an earlier try of ours whose end nobody saw: what travels beside them is finished, and what it lost is said. */
async function adoptOwn(context: CopyContext, key: Key, { here, there }: Pair, same: Equality, signal: AbortSignal): Promise<Ending> {
  const { attributes, lost } = await carry(context, versionOf(here), here, cutFor(context, here.size).way === 'parts', signal);
  await finishTags(context.destination, key, attributes, signal);
  return { ...adopted('copied', there, same), ...(lost.length > 0 ? { lost } : {}) };
}

function adopted(state: 'unchanged' | 'copied', there: ObjectInfo, same: Equality): Ending {
  return { state, destination: there.token, evidence: same.evidence, ...optional('checksum', same.checksum) };
}

function answerConflict(context: CopyContext, here: ObjectInfo, there: ObjectInfo): Ending | undefined {
  const decision = decideConflict(here, there, context.options.onConflict);
  if (decision.action === 'skip') return { state: 'skipped', evidence: 'none', destination: there.token, problem: { code: decision.code, message: decision.message } };
  if (decision.action === 'fail') return { state: 'failed', evidence: 'none', problem: { code: decision.code, kind: 'object', message: decision.message, hint: decision.hint } };
  return undefined;
}

async function followVersions(context: CopyContext, task: Task, item: Item, progress: Progress, signal: AbortSignal): Promise<Ending> {
  let version: Version = { key: item.key, size: item.size, pin: item.source };
  let guard = guardFor(item.destination);
  for (let turn = 1; ; turn++) {
    try {
      const ending = await copyVersion(context, task, item, version, guard, progress, signal);
      return { ...ending, ...followed(item, version) };
    } catch (error) {
      if (isKind(error, 'changed') && turn < VERSIONS) version = await nextVersion(context, version, signal);
      else if (isKind(error, 'changed')) throw changedTooOften(error);
      else if (isKind(error, 'gone')) return await confirmGone(context, item, error, signal);
      else if (isKind(error, 'conflict')) {
        const settled = await settleConflict(context, item, signal);
        if ('ending' in settled) return settled.ending;
        if (turn >= VERSIONS) throw conflictTooOften(error);
        guard = settled.guard;
      } else throw error;
    }
  }
}

async function copyVersion(context: CopyContext, task: Task, item: Item, version: Version, guard: Guard, progress: Progress, signal: AbortSignal): Promise<Ending> {
  if (item.kind === 'directory') return copyDirectory(context, item, version, guard, signal);
  const step: CopyStep = {
    context, task, version, guard, signal,
    carry: (info, inParts) => carry(context, version, info, inParts === true, signal),
    sent: (bytes) => { progress.bytesSent += bytes; context.events.emit({ type: 'bytes', key: version.key, bytes }); },
    sentByOthers: (bytes) => { progress.bytesSent += bytes; },
  };
  const onServer = copyOnServer(step);
  const copied = (onServer === undefined ? undefined : await onServer) ?? (await copyThrough(step));
  return endingOf(context, version, copied, guard);
}

function copyThrough(step: CopyStep): Promise<Copied> {
  const cut = cutFor(step.context, step.version.size);
  switch (cut.way) {
    case 'buffer': return copyBuffered(step);
    case 'stream': return copyStreamed(step);
    case 'parts': return copyInParts(step, cut.partSize).catch((error: unknown) => withoutRanges(step, error));
  }
}

function cutFor({ destination, options }: CopyContext, size: number): Cut {
  return cutObject(size, destination.facts, options.cut, destination.multipart !== undefined);
}

/** A store that does not answer ranges as asked is read in one stream; nothing is ever written at an offset it did not confirm (F021). */
function withoutRanges(step: CopyStep, error: unknown): Promise<Copied> {
  const { source, destination, events } = step.context;
  if (!(error instanceof BrigadeError) || error.code !== 'E_RANGE_IGNORED' || step.version.size > destination.facts.maxSingleWrite) throw error;
  sayOnce(source, 'E_RANGE_IGNORED', () => events.emit({ type: 'note', level: 'warn', text: `${source.address} does not answer ranges as asked: large objects are read in one stream (E_RANGE_IGNORED)` }));
  return copyStreamed(step);
}

const said = new WeakMap<Store, Set<string>>();

/** Once per store and process: what is true of a store need not be told of each of its objects. */
function sayOnce(store: Store, what: string, say: () => void): void {
  const before = said.get(store) ?? new Set();
  said.set(store, before);
  if (before.has(what)) return;
  before.add(what);
  say();
}

/** An empty directory, or the marker that stands for one. */
async function copyDirectory(context: CopyContext, item: Item, version: Version, guard: Guard, signal: AbortSignal): Promise<Ending> {
  const info = await context.source.head(item.key, { signal });
  const { attributes, lost } = await carry(context, version, info, false, signal);
  const written = await context.destination.write({ key: item.key, body: { size: 0, bytes: new Uint8Array(0), open: async function* () {} }, attributes, guard, signal });
  return { state: 'copied', destination: written.token, evidence: 'none', ...(lost.length > 0 ? { lost } : {}) };
}

/** A promise only where tags are to be asked for. */
function carry(context: CopyContext, version: Version, info: ObjectInfo, inParts: boolean, signal: AbortSignal): Promise<Carried> | Carried {
  const { source, destination, options } = context;
  const carried = (tags: ReadonlyMap<string, string>): Carried => carryAttributes(info, options.tags.copy ? tags : NO_TAGS, source.facts, destination.facts, options, inParts);
  const wanted = options.tags.copy && options.fidelity.tags !== 'ignore' && info.tagCount !== 0;
  if (info.tags !== undefined || !wanted || source.readTags === undefined) return carried(info.tags ?? NO_TAGS);
  return source.readTags(version.key, version.pin, signal).then(carried);
}

const NO_TAGS: ReadonlyMap<string, string> = new Map();

function endingOf(context: CopyContext, version: Version, copied: Copied, guard: Guard): Ending {
  const { written, carried } = copied;
  const computed = copied.computed ?? written.sent;
  const vouched = written.checksum;
  if (vouched !== undefined && computed !== undefined && vouched.algorithm === computed.algorithm && vouched.hex !== computed.hex) throw wrongChecksum(version, computed, vouched);
  const compared = computed === undefined || [computed, written.sent].some((ours) => ours?.algorithm === vouched?.algorithm);
  const evidence: Evidence = vouched !== undefined && compared ? 'store checksum' : computed === undefined ? 'none' : 'in flight';
  return {
    state: 'copied', destination: written.token, evidence: context.options.verify === 'none' && vouched === undefined ? 'none' : evidence,
    ...optional('checksum', computed ?? vouched),
    ...(carried.lost.length > 0 ? { lost: carried.lost } : {}),
    ...(isUnguarded(context.destination, guard) ? { unguarded: true } : {}),
  };
}

function isUnguarded(destination: Store, guard: Guard): boolean {
  return (guard.kind === 'absent' && !destination.facts.guards.absent) || (guard.kind === 'matches' && !destination.facts.guards.matches);
}

/** Which version an ending speaks of, where it is not the listed one. */
function followed(item: Item, { pin, size }: Version): Pick<Outcome, 'source' | 'size'> {
  return pin.token === item.source.token && size === item.size ? {} : { source: pin, size };
}

/** The guard refused: our own lost answer, somebody else's object, or an equal one (truth 4). Judged with the source as it is now. */
async function settleConflict(context: CopyContext, item: Item, signal: AbortSignal): Promise<{ readonly ending: Ending } | { readonly guard: Guard }> {
  await context.destination.untie?.(item.key, signal);
  const there = await headOrNone(context.destination, item, signal);
  if (there === undefined) return { guard: { kind: 'absent' } };
  const here = await context.source.head(item.key, { checksum: true, signal });
  const same = await sameContent(context.source, here, context.destination, there, { read: 'if needed', signal });
  if (same?.equal) return { ending: { ...(await adoptOwn(context, item.key, { here, there }, same, signal)), ...followed(item, versionOf(here)) } };
  const answer = answerConflict(context, here, there);
  return answer === undefined ? { guard: guardFor(there.token) } : { ending: answer };
}

/** `gone` counts only when a second, definitive look agrees (F028). */
async function confirmGone(context: CopyContext, item: Item, error: BrigadeError, signal: AbortSignal): Promise<Ending> {
  const still = await headOrNone(context.source, item, signal);
  if (still !== undefined) throw new BrigadeError({ code: 'E_SRC_CHANGED', kind: 'transient', message: 'the source object came back while it was copied', cause: error });
  const problem = { code: 'source_gone', message: 'deleted at the source after it was listed' };
  return context.options.sourceGone === 'skip' ? { state: 'skipped', evidence: 'none', problem } : { state: 'failed', evidence: 'none', problem: { ...problem, code: 'E_SOURCE_GONE', kind: 'object' } };
}

/** The version to follow. The same one with another size than listed: the store lists sizes that are not those of its objects (F022). */
async function nextVersion({ source, events }: CopyContext, version: Version, signal: AbortSignal): Promise<Version> {
  const next = await currentVersion(source, version, signal);
  if (next.pin.token === version.pin.token && next.size !== version.size) {
    sayOnce(source, 'E_SIZE_LIST_MISMATCH', () => events.emit({ type: 'note', level: 'warn', text: `${source.address} lists sizes that are not those of its objects: each is asked for its own (E_SIZE_LIST_MISMATCH)` }));
  }
  return next;
}

async function currentVersion(source: Store, version: Version, signal: AbortSignal): Promise<Version> {
  return versionOf(await source.head(version.key, { signal }));
}

/** Undefined: there is definitively none. */
export async function headOrNone(store: Store, at: { readonly key: string }, signal: AbortSignal): Promise<ObjectInfo | undefined> {
  try {
    return await store.head(at.key, { checksum: true, signal });
  } catch (error) {
    if (isKind(error, 'gone')) return undefined;
    throw error;
  }
}

export function guardFor(token: Token | undefined): Guard {
  return token === undefined ? { kind: 'absent' } : { kind: 'matches', token };
}

/** `{ name: value }` where there is a value, else nothing: optional members stay absent. */
export function optional<N extends string, V>(name: N, value: V | undefined): { readonly [K in N]?: V } {
  return (value === undefined ? {} : { [name]: value }) as { readonly [K in N]?: V };
}

function changedTooOften(cause: BrigadeError): BrigadeError {
  return new BrigadeError({ code: 'E_SRC_CHANGED', kind: 'transient', message: `the source object changed during each of ${VERSIONS} copies`, hint: 'retry when its writers are quiet, or set select.min_age', cause });
}

function conflictTooOften(cause: BrigadeError): BrigadeError {
  return new BrigadeError({ code: 'E_CONFLICT', kind: 'transient', message: 'the destination object keeps changing under us', hint: 'find who else writes to the destination', cause });
}

function wrongChecksum(version: Version, ours: Checksum, theirs: Checksum): BrigadeError {
  return new BrigadeError({ code: 'E_CHECKSUM', kind: 'transient', message: `the destination holds ${theirs.algorithm} ${theirs.hex} for ${version.size} bytes of ${ours.hex}`, hint: 'bytes were damaged on the way; they are sent again' });
}
