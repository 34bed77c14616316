/**
 * Large files in parts: one sparse temporary of the final size beside the final name, each part written at its place and made durable
 * before it is told. Upload id and key are all that another process needs.
 */
import { type BigIntStats, constants } from 'node:fs';
import { crc32 } from 'node:zlib';
import { BrigadeError, cancelled } from '../../core/errors.ts';
import { isUtf8Key, keyFromBytes, keyToBytes, type Key } from '../../core/key.ts';
import type { Body, CompleteRequest, Multipart, Part, Upload, UploadRequest, Written } from '../../ports/storage.ts';
import { commitFile } from './commit.ts';
import { absent, classified } from './failures.ts';
import type { Dir } from './jail.ts';
import { indexName, isIndex, temporaryName, type Place, type Raw } from './names.ts';
import { addPart, createIndex, partOf, readIndex, takeBack, type PartIndex } from './part-index.ts';
import { close, fdatasync, fstat, fsync, ftruncate, open, unlink } from './syscalls.ts';
import { CREATE, writeBody, type Desk } from './write.ts';

export interface Workshop extends Desk {
  /** Where the key stands; throws where it cannot. */
  place(key: Key, size: number): Place;
  /** Unfinished files under the root: directory segments and name. */
  temporaries(signal: AbortSignal | undefined): AsyncIterable<{ readonly segments: readonly Raw[]; readonly name: Raw }>;
}

/** One upload's files, its directory held. */
interface Bench {
  readonly dir: Dir;
  readonly name: Raw;
  readonly data: Raw;
  readonly index: Raw;
  readonly location: string;
}

export function fileMultipart(shop: Workshop): Multipart {
  return {
    create: (request) => create(shop, request),
    putPart: (upload, number, body, signal) => withBench(shop, upload, 'putPart', false, (bench) => putPart(bench, upload, number, body, signal)),
    complete: (request) => withBench(shop, request.upload, 'complete', false, (bench) => complete(shop, bench, request)),
    abort: (upload) => abort(shop, upload),
    listParts: (upload) => withBench(shop, upload, 'listParts', false, listParts),
    listUploads: (signal) => listUploads(shop, signal),
  };
}

async function withBench<T>(shop: Workshop, upload: Pick<Upload, 'key' | 'id' | 'size'>, op: string, make: boolean, work: (bench: Bench) => Promise<T>): Promise<T> {
  const location = shop.location(upload.key);
  const place = shop.place(upload.key, upload.size);
  if (!/^[0-9a-z]{16}$/.test(upload.id) || place.directory) throw unknownUpload(op, location);
  const dir = await shop.jail.acquire(place.segments.slice(0, -1), make, op);
  try {
    const name = place.segments.at(-1) as Raw;
    return await work({ dir, name, data: temporaryName(name, upload.id), index: indexName(name, upload.id), location });
  } finally {
    await shop.jail.release(dir);
  }
}

async function create(shop: Workshop, request: UploadRequest): Promise<Upload> {
  const { key, size, partSize } = request;
  if (request.signal?.aborted === true) throw cancelled('create');
  const upload: Upload = { key, size, partSize, id: shop.newId(), ...(request.checksumAlgorithm === undefined ? {} : { checksumAlgorithm: request.checksumAlgorithm }) };
  await withBench(shop, upload, 'create', true, async (bench) => {
    try {
      await classified('create', bench.location, async () => stage(shop, bench, upload), size);
    } catch (error) {
      await removeBoth(bench);
      throw error;
    }
  });
  return upload;
}

/** Data first, index last: an upload that shows in a listing has both. */
async function stage(shop: Workshop, bench: Bench, upload: Upload): Promise<void> {
  const fd = await open(bench.dir.at(bench.data), CREATE, 0o600);
  try {
    await ftruncate(fd, upload.size);
    if (shop.durable) await fsync(fd);
  } finally {
    await close(fd);
  }
  await createIndex(bench.dir.at(bench.index), { key: storedKey(upload.key), size: upload.size, partSize: upload.partSize });
  if (shop.durable) await bench.dir.sync();
}

async function putPart(bench: Bench, upload: Upload, number: number, body: Body, signal: AbortSignal | undefined): Promise<Part> {
  const start = (number - 1) * upload.partSize;
  const wanted = Math.min(upload.partSize, upload.size - start);
  if (!Number.isInteger(number) || number < 1 || wanted <= 0 || body.size !== wanted) {
    throw new BrigadeError({ code: 'E_PART_PLAN', kind: 'object', message: `part ${number} of ${body.size} bytes does not fit the plan`, op: 'putPart', location: bench.location });
  }
  const known = (await indexOf(bench, 'putPart')).parts.has(number);
  const fd = await openData(bench, 'putPart');
  try {
    if (known) await classified('putPart', bench.location, async () => takeBack(bench.dir.at(bench.index), number));
    let sum = 0;
    await writeBody(fd, body, start, bench.location, signal, (chunk) => {
      sum = crc32(chunk, sum);
    });
    const part = partOf(number, body.size, `${number}-${sum.toString(16).padStart(8, '0')}`);
    await classified('putPart', bench.location, async () => {
      // Always, whatever `durability` says: the index must never claim bytes that a crash can take back.
      await fdatasync(fd);
      await addPart(bench.dir.at(bench.index), part);
    }, body.size);
    return part;
  } finally {
    await close(fd);
  }
}

async function complete(shop: Workshop, bench: Bench, request: CompleteRequest): Promise<Written> {
  if (request.signal?.aborted === true) throw cancelled('complete');
  checkParts(await indexOf(bench, 'complete'), request, bench.location);
  const fd = await openData(bench, 'complete');
  try {
    const { attributes, guard } = request;
    const token = await classified('complete', bench.location, async () => {
      if (Number((await fstat(fd)).size) !== request.upload.size) throw invalid(bench.location, 'the staged file has another size');
      return commitFile({ dir: bench.dir, fd, temporary: bench.data, createdMode: 0o600, name: bench.name, attributes, guard, durable: shop.durable, location: bench.location });
    }, request.upload.size);
    await removeBoth(bench);
    return { token };
  } finally {
    await close(fd);
  }
}

/** Parts 1…n without a gap, each as it is on the disk, together the declared size (F011). */
function checkParts(index: PartIndex, request: CompleteRequest, location: string): void {
  const { upload, parts } = request;
  let size = 0;
  for (const [i, part] of parts.entries()) {
    const held = index.parts.get(i + 1);
    if (part.number !== i + 1 || held === undefined || held.token !== part.token || held.size !== part.size) throw invalid(location, `part ${i + 1} is not the one that was written`);
    size += held.size;
  }
  if (size !== upload.size || index.head.size !== upload.size || index.head.partSize !== upload.partSize) throw invalid(location, `parts make ${size} of ${upload.size} bytes`);
}

function invalid(location: string, message: string): BrigadeError {
  return new BrigadeError({ code: 'E_PARTS_INVALID', kind: 'object', message, op: 'complete', location });
}

async function abort(shop: Workshop, upload: Upload): Promise<void> {
  try {
    await withBench(shop, upload, 'abort', false, async (bench) => {
      await removeBoth(bench);
      if (shop.durable) await classified('abort', bench.location, async () => bench.dir.sync());
    });
  } catch (error) {
    if (!(error instanceof BrigadeError && error.kind === 'gone')) throw error;
  }
}

async function* listUploads(shop: Workshop, signal: AbortSignal | undefined): AsyncGenerator<{ readonly key: Key; readonly id: string; readonly initiatedMs: number }> {
  for await (const { segments, name } of shop.temporaries(signal)) {
    if (!isIndex(name)) continue;
    const dir = await shop.jail.acquire(segments, false, 'listUploads');
    try {
      const index = await readIndex(dir.at(name)).catch(absent);
      const stats = await dir.present(name);
      if (index !== undefined && stats !== undefined) yield { key: givenKey(index.head.key), id: name.slice(-'.brigade.parts'.length - 16, -'.brigade.parts'.length), initiatedMs: begunMs(stats) };
    } finally {
      await shop.jail.release(dir);
    }
  }
}

/** Not every file system knows when a file was made; the time of its last change is later, never earlier. */
const begunMs = ({ birthtimeMs, ctimeMs }: BigIntStats): number => Number(birthtimeMs > 0n ? birthtimeMs : ctimeMs);

/** An index that outlived its data (a crash just behind the final rename) claims nothing. */
async function listParts(bench: Bench): Promise<readonly Part[]> {
  const { parts } = await indexOf(bench, 'listParts');
  await close(await openData(bench, 'listParts'));
  return [...parts.values()].sort((a, b) => a.number - b.number);
}

async function indexOf(bench: Bench, op: string): Promise<PartIndex> {
  const index = await classified(op, bench.location, async () => readIndex(bench.dir.at(bench.index)).catch(absent));
  if (index === undefined) throw unknownUpload(op, bench.location);
  return index;
}

async function openData(bench: Bench, op: string): Promise<number> {
  const fd = await classified(op, bench.location, async () => open(bench.dir.at(bench.data), constants.O_RDWR | constants.O_NOFOLLOW).catch(absent));
  if (fd === undefined) throw unknownUpload(op, bench.location);
  return fd;
}

/** Index first: data without an index is never taken for an upload. */
async function removeBoth(bench: Bench): Promise<void> {
  for (const name of [bench.index, bench.data]) await classified('abort', bench.location, async () => unlink(bench.dir.at(name)).catch(absent));
}

function unknownUpload(op: string, location: string): BrigadeError {
  return new BrigadeError({ code: 'E_NO_SUCH_UPLOAD', kind: 'gone', message: 'no such upload', op, location });
}

/** Keys with bytes that are not UTF-8 pass through the index as hex. */
function storedKey(key: Key): string {
  return isUtf8Key(key) ? `u${key}` : `x${keyToBytes(key).toString('hex')}`;
}

function givenKey(stored: string): Key {
  return stored.startsWith('u') ? stored.slice(1) : keyFromBytes(Buffer.from(stored.slice(1), 'hex'));
}
