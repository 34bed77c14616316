/**
 * Large objects in parts. The upload is in the ledger before its first byte, each part as soon as it is stored, so that any other
 * process goes on with the missing parts only (F072, I4):
 *
 *   create → recordUpload → { range of the pinned version → putPart → recordPart } × n → complete (guarded) → forgetUpload
 *
 * A version that changed aborts the upload: its parts are of another object (F027).
 */
import { combineChecksums, createHasher, isLinear } from '../core/checksum.ts';
import { BrigadeError, isKind } from '../core/errors.ts';
import type { Checksum, ChecksumAlgorithm } from '../core/object.ts';
import { partRange } from '../core/parts.ts';
import type { RecordedUpload } from '../ports/queue.ts';
import type { Multipart, Part, Upload, UploadRequest, Written } from '../ports/storage.ts';
import { bytesBody, collect, sameContent } from './content.ts';
import type { Copied, CopyStep } from './copier.ts';
import { algorithmFor, computedBy, proveRead, STREAM_BUFFER, streamedBody, toldBy } from './copy-whole.ts';
import { type Carried, finishTags } from './fidelity.ts';
import { runLanes } from './lanes.ts';
import { slabsOf } from './slabs.ts';

/** Parts up to here are held whole: a retry needs no second read, and the checksum goes ahead of the bytes. */
const BUFFERED_PART = 16 * 1024 * 1024;

/** Puts one part of the pinned source version; how is the difference between copying through us and on the server. */
export type PutPart = (upload: Upload, number: number, range: { readonly offset: number; readonly length: number }, algorithm: ChecksumAlgorithm) => Promise<Part>;

/** What sending parts needs to know: the same for whoever has the object's task and for others who take some of its parts. */
export type PartStep = Pick<CopyStep, 'context' | 'version' | 'signal' | 'sent'>;

export async function copyInParts(step: CopyStep, partSize: number): Promise<Copied> {
  return transferParts(step, partSize, (upload, number, range, algorithm) => sendPart(step, upload, number, range, algorithm));
}

/** `copied`: the parts come from the store's own copies. */
export async function transferParts(step: CopyStep, partSize: number, put: PutPart, copied = false): Promise<Copied> {
  const multipart = multipartOf(step);
  const info = await step.context.source.head(step.version.key, { checksum: true, signal: step.signal });
  if (info.token !== step.version.pin.token) throw new BrigadeError({ code: 'E_SRC_CHANGED', kind: 'changed', op: 'head', message: 'the source object changed since it was listed' });
  const carried = await step.carry(info, true);
  const told = toldBy(info);
  const linear = told !== undefined && isLinear(told.algorithm) ? told : undefined;
  const algorithm = algorithmFor(step.context.destination, linear);
  const wanted = { partSize, copied, ...(step.context.destination.facts.checksums.length > 0 ? { checksumAlgorithm: algorithm } : {}) };
  const { upload, done, resumed } = await openUpload(step, multipart, wanted, carried);
  // Parts of one upload have one kind of checksum, whoever began it.
  const kind = upload.checksumAlgorithm ?? done[0]?.checksum?.algorithm ?? algorithm;
  try {
    const parts = copied ? await putMissing(step, upload, done, (number, range) => put(upload, number, range, kind)) : await spreadMissing(step, upload, done, kind, put);
    // Of bytes that a store copied by itself we have only its own word, part by part; the finished object is looked at instead.
    if (!copied) await proveParts(step, multipart, upload, parts, told);
    const written = await completeUpload(step, multipart, upload, parts, carried, resumed);
    await step.context.recorder.forgetUpload(step.task.id, upload.id);
    const computed = wholeChecksum(parts);
    return { written, carried, ...(computed === undefined ? {} : { computed }) };
  } catch (error) {
    if (isKind(error, 'changed', 'gone', 'conflict', 'object', 'unsupported')) await abandon(step, multipart, upload);
    throw error;
  }
}

/** Goes on with a recorded upload of the same version, of an earlier holder of the task or of an earlier try of our own, or starts one. */
async function openUpload(step: CopyStep, multipart: Multipart, wanted: Pick<UploadRequest, 'partSize' | 'copied' | 'checksumAlgorithm'>, carried: Carried): Promise<{ upload: Upload; done: readonly Part[]; resumed: boolean }> {
  const { version, task, context, signal } = step;
  const recordedNow = await context.recorder.uploads(task.id);
  for (const recorded of recordedNow.filter(({ upload }) => upload.key === version.key)) {
    const stored = await partsStillStored(step, multipart, recorded);
    if (stored !== undefined) return { upload: recorded.upload, done: stored, resumed: true };
  }
  const upload = await multipart.create({ key: version.key, size: version.size, attributes: carried.attributes, ...wanted, signal });
  await context.recorder.recordUpload(task.id, upload, version.pin.token);
  return { upload, done: [], resumed: false };
}

/** The store does not take together what it took apart. The next try compares its parts with ours; if it is refused again, nothing more can be learnt of them. */
function isRefused({ code }: BrigadeError): boolean {
  return code === 'E_PART_INVALID' || code === 'E_CHECKSUM_MISMATCH';
}

/** The recorded parts that the store still holds unchanged; undefined when the upload is of no use any more. */
async function partsStillStored(step: CopyStep, multipart: Multipart, recorded: RecordedUpload): Promise<readonly Part[] | undefined> {
  const { upload } = recorded;
  if (recorded.sourceToken !== step.version.pin.token || upload.size !== step.version.size) {
    await abandon(step, multipart, upload);
    return undefined;
  }
  try {
    const stored = new Map((await multipart.listParts(upload, step.signal)).map((part) => [part.number, part]));
    return recorded.parts.filter((part) => isSame(part, stored.get(part.number)));
  } catch (error) {
    if (!isKind(error, 'gone')) throw error;
    await step.context.recorder.forgetUpload(step.task.id, upload.id);
    return undefined;
  }
}

/** Objects of fewer parts are sent sooner by one than handed to several. Counted over all of it: who goes on with an upload must meet those still at work on it. */
const WORTH_SPREADING = 8;
/** Turns in which parts are sent once more because somebody else sent them, too. */
const DOUBTS = 5;

/** By all who are at work, where there are several; one hand completes the upload. */
async function spreadMissing(step: CopyStep, upload: Upload, done: readonly Part[], algorithm: ChecksumAlgorithm, put: PutPart): Promise<readonly Part[]> {
  const { context, task, version, signal } = step;
  const { spreading, options } = context;
  const numbers = missingOf(upload, done);
  if (spreading === undefined || upload.size <= (WORTH_SPREADING - 1) * upload.partSize) return putMissing(step, upload, done, (number, range) => put(upload, number, range, algorithm));
  const { partConcurrency: lanes, partConcurrencyFixed = false } = options;
  const shares = partConcurrencyFixed ? { perHolder: Math.ceil(lanes / spreading.share), most: lanes } : { perHolder: lanes, most: lanes * spreading.share };
  const { ranges, spanBytes } = spreading;
  const parts = new Map(done.map((part) => [part.number, part]));
  for (let left = numbers, turn = 1; left.length > 0; left = await doubtful(step, upload, parts, numbers, turn++)) {
    const some = await ranges.spread({ task: task.id, upload, pin: version.pin, algorithm, numbers: left, ...shares, ...(spanBytes === undefined ? {} : { spanBytes }) }, signal);
    for (const part of some) parts.set(part.number, part);
    step.sentByOthers(some.reduce((sum, { size }) => sum + size, 0));
    if (spanBytes === undefined) break;
  }
  return checkParts(upload, [...parts.values()].sort((a, b) => a.number - b.number));
}

/** Where several machines send parts, one that was believed dead may have sent some once more: those of which the store holds another than we know of. */
async function doubtful(step: CopyStep, upload: Upload, parts: ReadonlyMap<number, Part>, numbers: readonly number[], turn: number): Promise<number[]> {
  if (turn > DOUBTS) throw new BrigadeError({ code: 'E_PARTS_OTHER', kind: 'transient', op: 'listParts', message: 'the destination holds other parts than were sent, again and again' });
  const stored = new Map((await multipartOf(step).listParts(upload, step.signal)).map((part) => [part.number, part]));
  return numbers.filter((number) => !isSame(parts.get(number), stored.get(number)));
}

function isSame(part: Part | undefined, stored: Part | undefined): boolean {
  return part !== undefined && stored?.token === part.token && stored.size === part.size;
}

function missingOf(upload: Upload, done: readonly Part[]): number[] {
  const known = new Set(done.map(({ number }) => number));
  return Array.from({ length: Math.ceil(upload.size / upload.partSize) }, (_, i) => i + 1).filter((number) => !known.has(number));
}

async function putMissing(step: CopyStep, upload: Upload, done: readonly Part[], put: (number: number, range: Parameters<PutPart>[2]) => Promise<Part>): Promise<readonly Part[]> {
  const parts = new Map(done.map((part) => [part.number, part]));
  const missing = missingOf(upload, done);
  await runLanes(missing, step.context.options.partConcurrency, step.signal, async (number) => {
    const part = await put(number, partRange(number, upload.size, upload.partSize));
    parts.set(number, part);
    await step.context.recorder.recordPart(step.task.id, upload.id, part);
  });
  return checkParts(upload, [...parts.values()].sort((a, b) => a.number - b.number));
}

/** Contiguous from 1, and together the whole object (F011). */
function checkParts(upload: Upload, parts: readonly Part[]): readonly Part[] {
  const bytes = parts.reduce((sum, part) => sum + part.size, 0);
  if (bytes === upload.size && parts.every((part, i) => part.number === i + 1)) return parts;
  throw new BrigadeError({ code: 'E_PARTS', kind: 'transient', op: 'complete', message: `${parts.length} parts hold ${bytes} bytes of ${upload.size}` });
}

/** Reads one part of the pinned version and puts it. The caller records it. */
export async function sendPart(step: PartStep, upload: Upload, number: number, range: { readonly offset: number; readonly length: number }, algorithm: ChecksumAlgorithm): Promise<Part> {
  const { context, signal } = step;
  const held = range.length <= BUFFERED_PART;
  // A part that is held has read ahead in its socket too, and leaves chunks to the garbage collector.
  const giveBack = await (context.partMemory ?? context.memory).take((held ? range.length : 0) + STREAM_BUFFER, signal);
  try {
    const part = held ? await sendHeld(step, upload, number, range, algorithm) : await sendStreamed(step, upload, number, range, algorithm);
    if (part.size !== range.length) throw new BrigadeError({ code: 'E_SHORT_WRITE', kind: 'transient', op: 'putPart', message: `part ${number} holds ${part.size} bytes of ${range.length}` });
    return part;
  } finally {
    giveBack();
  }
}

async function sendHeld(step: PartStep, upload: Upload, number: number, range: { readonly offset: number; readonly length: number }, algorithm: ChecksumAlgorithm): Promise<Part> {
  const { context, version, signal } = step;
  const slabs = slabsOf(context.memory);
  const into = slabs.lend(range.length);
  const read = await context.source.read({ key: version.key, pin: version.pin, range, expectedSize: version.size, signal, ...(into === undefined ? {} : { into }) });
  const hasher = createHasher(algorithm);
  const bytes = await collect(read, range.length, into, hasher);
  const checksum = hasher.checksum();
  const part = await multipartOf(step).putPart(upload, number, bytesBody(bytes, checksum), signal);
  const proven = provenPart(part, checksum);
  if (into !== undefined) slabs.giveBack(into); // only here: after an error a socket may still be sending them
  step.sent(range.length);
  return proven;
}

async function sendStreamed(step: PartStep, upload: Upload, number: number, range: { readonly offset: number; readonly length: number }, algorithm: ChecksumAlgorithm): Promise<Part> {
  const { context, version, signal } = step;
  const body = streamedBody(context.source, version, undefined, { algorithm, range, signal, sent: step.sent });
  const part = await multipartOf(step).putPart(upload, number, body, signal);
  const { computed } = computedBy(body);
  return computed === undefined ? part : provenPart(part, computed);
}

/** The part with our checksum of what was sent, which the store's answer, where there is one, must not contradict. */
function provenPart(part: Part, computed: Checksum): Part {
  if (part.checksum?.algorithm === computed.algorithm && part.checksum.hex !== computed.hex) {
    throw new BrigadeError({ code: 'E_CHECKSUM', kind: 'transient', op: 'putPart', message: `part ${part.number} holds ${part.checksum.hex}, sent was ${computed.hex}`, hint: 'bytes were damaged on the way; they are sent again' });
  }
  return { ...part, checksum: computed };
}

/** A lost answer to Complete is looked into before anything is sent again (F010). */
async function completeUpload(step: CopyStep, multipart: Multipart, upload: Upload, parts: readonly Part[], carried: Carried, resumed: boolean): Promise<Written> {
  const { guard, signal } = step;
  const checksum = wholeChecksum(parts);
  try {
    return await multipart.complete({ upload, parts, attributes: carried.attributes, guard, signal, ...(checksum === undefined ? {} : { checksum }) });
  } catch (error) {
    if (!isKind(error, 'transient', 'gone', 'conflict')) throw error;
    const landed = await alreadyComplete(step, checksum);
    if (landed === undefined) {
      if (resumed && isRefused(error)) await abandon(step, multipart, upload);
      throw isKind(error, 'gone') ? uploadLost(upload, error) : error;
    }
    // What stands there may be another's, of the same bytes: then ours is open still (F072).
    await multipart.abort(upload, signal);
    await finishTags(step.context.destination, upload.key, carried.attributes, signal);
    return landed;
  }
}

async function alreadyComplete(step: CopyStep, checksum: Checksum | undefined): Promise<Written | undefined> {
  const { context, version, guard, signal } = step;
  try {
    const there = await context.destination.head(version.key, { checksum: true, signal });
    if (there.size !== version.size || (guard.kind === 'matches' && there.token === guard.token)) return undefined;
    const here = await context.source.head(version.key, { checksum: true, signal });
    if (here.token !== version.pin.token) return undefined;
    const same = await sameContent(context.source, here, context.destination, there, { read: 'if needed', signal, ...(checksum === undefined ? {} : { known: checksum }) });
    return same?.equal ? { token: there.token, ...(there.checksum === undefined ? {} : { checksum: there.checksum }) } : undefined;
  } catch (error) {
    if (isKind(error, 'gone')) return undefined;
    throw error;
  }
}

/** Damage that the parts brought along would be found by no retry of the last request: all of them are read again. */
async function proveParts(step: CopyStep, multipart: Multipart, upload: Upload, parts: readonly Part[], source: Checksum | undefined): Promise<void> {
  const whole = wholeChecksum(parts);
  if (whole === undefined) return;
  try {
    proveRead(whole, source);
  } catch (error) {
    await abandon(step, multipart, upload);
    throw error;
  }
}

/** The store forgot the upload (lifecycle rule, another hand): this object starts again. */
function uploadLost(upload: Upload, cause: BrigadeError): BrigadeError {
  return new BrigadeError({ code: 'E_UPLOAD_LOST', kind: 'transient', op: 'complete', message: `the destination no longer knows the upload ${upload.id}`, hint: 'look for a lifecycle rule that aborts uploads too early', cause });
}

function wholeChecksum(parts: readonly Part[]): Checksum | undefined {
  let whole = parts[0]?.checksum;
  for (const part of parts.slice(1)) whole = whole === undefined || part.checksum === undefined ? undefined : combineChecksums(whole, part.checksum, part.size);
  return whole;
}

async function abandon(step: CopyStep, multipart: Multipart, upload: Upload): Promise<void> {
  await multipart.abort(upload, step.signal);
  await step.context.recorder.forgetUpload(step.task.id, upload.id);
}

function multipartOf(step: PartStep): Multipart {
  const { multipart } = step.context.destination;
  if (multipart === undefined) throw new BrigadeError({ code: 'E_NO_MULTIPART', kind: 'unsupported', message: 'the destination takes no multipart uploads' });
  return multipart;
}
