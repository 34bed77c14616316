/** The two places where an inventory lies: a folder of this machine it was fetched to, and the bucket it was written to. */
import { createHash, randomUUID } from 'node:crypto';
import { existsSync } from 'node:fs';
import { open, readFile, unlink, type FileHandle } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, dirname, join, posix } from 'node:path';
import { isKind } from '../../../core/errors.ts';
import { showKey, type Key } from '../../../core/key.ts';
import type { ObjectInfo } from '../../../core/object.ts';
import type { Store } from '../../../ports/storage.ts';
import { broken, openFile, openProven, prove, type OpenFile, type Proof } from './file.ts';
import type { InventoryPlace } from './inventory.ts';

export function inFolder(path: string): InventoryPlace {
  return {
    name: path,
    manifest: () => readFile(path, 'utf8').catch((error: NodeJS.ErrnoException) => {
      throw broken(path, `cannot be read: ${error.code ?? 'error'}`);
    }),
    file: async (key, proof) => openProven(fileAt(path, key), proof),
  };
}

/** Beside the manifest, or in the `data` folder where S3 puts them: `…/inventory-id/DATE/manifest.json`, `…/inventory-id/data/FILE`. */
function fileAt(manifest: string, key: string): string {
  const [folder, name] = [dirname(manifest), basename(key)];
  const found = [join(folder, name), join(folder, 'data', name), join(folder, '..', 'data', name)].find((path) => existsSync(path));
  if (found === undefined) throw broken(manifest, `names ${name}, which is neither beside it nor in data/`, 'fetch the whole inventory');
  return found;
}

/** Manifests are a few kilobytes; a thousand files of an inventory make 200 KiB. */
const LARGEST_MANIFEST = 64 << 20;

/** `store`: the whole bucket. Data files are fetched one by one to an unnamed file of the temporary folder: no row is taken before all are proven. */
export function inBucket(store: Store, manifest: Key): InventoryPlace {
  const name = nameOf(store, manifest);
  return {
    name,
    manifest: async () => {
      const info = await wanted(store, manifest, () => broken(name, 'is not there', 'check source.listing'));
      if (info.size > LARGEST_MANIFEST) throw broken(name, `has ${info.size} bytes: that is no manifest`, 'name the manifest.json of an S3 Inventory');
      const chunks: Buffer[] = [];
      for await (const chunk of bytesOf(store, info)) chunks.push(Buffer.from(chunk));
      return Buffer.concat(chunks).toString('utf8');
    },
    file: async (key, proof, signal) => {
      const info = await found(store, manifest, key, signal);
      const where = nameOf(store, info.key);
      if (proof.size !== undefined) prove({ name: where, size: info.size }, proof.md5, proof);
      return fetched(store, info, where, proof, signal);
    },
  };
}

/** `s3://bucket/key`: the store is a whole bucket. */
function nameOf(store: Store, key: Key): string {
  return `${store.address}/${showKey(key).slice(1, -1)}`;
}

async function wanted(store: Store, key: Key, absent: () => Error, signal?: AbortSignal): Promise<ObjectInfo> {
  try {
    return await store.head(key, signal === undefined ? {} : { signal });
  } catch (error) {
    if (isKind(error, 'gone')) throw absent();
    throw error;
  }
}

/**
 * As the manifest says, else in `data/` beside the manifest's folder: the key is not right where the inventory was copied elsewhere, nor
 * where its prefix ends with a slash (S3 then writes `prefix//bucket/…` and says `prefix/bucket/…`).
 */
async function found(store: Store, manifest: Key, key: Key, signal: AbortSignal | undefined): Promise<ObjectInfo> {
  const folder = manifest.slice(0, manifest.lastIndexOf('/', manifest.lastIndexOf('/') - 1) + 1);
  const beside = `${folder}data/${posix.basename(key)}`;
  const gone = () => broken(nameOf(store, manifest), `names ${showKey(key)}, which the bucket does not have`, 'take a newer inventory: old files expire');
  try {
    return await store.head(key, signal === undefined ? {} : { signal });
  } catch (error) {
    if (!isKind(error, 'gone')) throw error;
    if (beside === key) throw gone();
    return wanted(store, beside, gone, signal);
  }
}

async function* bytesOf(store: Store, { key, size, token }: ObjectInfo, signal?: AbortSignal): AsyncGenerator<Uint8Array> {
  if (size === 0) return;
  const read = await store.read({ key, pin: { token }, expectedSize: size, ...(signal === undefined ? {} : { signal }) });
  yield* read.chunks;
}

/** A file without a name goes with its last descriptor, however this process ends. */
async function fetched(store: Store, info: ObjectInfo, where: string, proof: Proof, signal: AbortSignal | undefined): Promise<OpenFile> {
  const path = join(tmpdir(), `brigade-inventory-${randomUUID()}`);
  const handle = await open(path, 'wx+', 0o600).catch((error: NodeJS.ErrnoException) => {
    throw broken(path, `cannot be made: ${error.code ?? 'error'}`, 'give TMPDIR a folder with room for one file of the inventory');
  });
  try {
    await unlink(path);
    const hash = createHash('md5');
    for await (const chunk of bytesOf(store, info, signal)) {
      hash.update(chunk);
      await append(handle, chunk, path);
    }
    const file = openFile(where, handle, info.size);
    prove(file, hash.digest('hex'), proof);
    return file;
  } catch (error) {
    await handle.close();
    throw error;
  }
}

async function append(handle: FileHandle, chunk: Uint8Array, path: string): Promise<void> {
  await handle.appendFile(chunk).catch((error: NodeJS.ErrnoException) => {
    throw broken(dirname(path), `cannot hold a file of the inventory: ${error.code ?? 'error'}`, 'free some space, or point TMPDIR elsewhere');
  });
}
