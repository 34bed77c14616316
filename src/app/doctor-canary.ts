/**
 * What a run will do at the destination bucket, done once to one object of our own, `.brigade/canary-<random>`, which is removed again.
 * Each step is tried on its own, so that all that is missing is known at the end (F066).
 */
import type { Migration } from '../config/index.ts';
import { checksumOf } from '../core/checksum.ts';

import type { Key } from '../core/key.ts';
import type { Attributes, ObjectInfo } from '../core/object.ts';
import { together } from '../core/together.ts';
import type { Body, Guard, Multipart, Store, Upload } from '../ports/storage.ts';
import { type Examination, failure, type Findings, isDenied, ok, patiently, type Permissions, settle, warn } from './doctor-lines.ts';
import { firstPage } from './doctor-bucket.ts';

const BYTES = Buffer.from('canary of bucket brigade\n');
const MULTIPART = 'large objects go in parts';

/** What became of the canary: nothing there, removed, or left because deleting is denied. */
export type CanaryEnd = 'never there' | 'removed' | 'left';

export async function* flyCanary(exam: Examination, store: Store, key: Key, permissions: Permissions): Findings<CanaryEnd> {
  const canary = new Canary(exam, store, key, permissions);
  const written = await settle(canary.write());
  if (written.error !== undefined) {
    yield failure('destination: write', written.error, 'check storage_class, sse and kms_key_id of the destination');
    return 'never there';
  }
  if (!written.value) return 'never there';
  yield ok('destination: write', `an object of ${BYTES.length} bytes was written${encryptionOf(exam.migration)}`);
  try {
    yield* canary.compare();
    yield* canary.multipart();
  } catch (thrown) {
    yield failure('destination: read back', thrown);
  }
  return yield* canary.remove();
}

function encryptionOf({ destination }: Migration): string {
  const parts = [destination.sse === 'none' ? '' : `encrypted with ${destination.sse}`, destination.storageClass === undefined ? '' : `in class ${destination.storageClass}`];
  const said = parts.filter((part) => part !== '').join(' ');
  return said === '' ? '' : `, ${said}`;
}

class Canary {
  readonly #exam: Examination;
  readonly #store: Store;
  readonly #key: Key;
  readonly #permissions: Permissions;
  readonly #attributes: Attributes;

  constructor(exam: Examination, store: Store, key: Key, permissions: Permissions) {
    this.#exam = exam;
    this.#store = store;
    this.#key = key;
    this.#permissions = permissions;
    this.#attributes = {
      headers: { contentType: 'text/plain', contentEncoding: 'identity-canary', cacheControl: 'no-transform' },
      userMetadata: new Map([['note', 'Käfer, two  spaces, 日本']]),
    };
  }

  /** Tags come in a second write, so that a permission for tags is not taken for one to write. False when writing is denied. */
  async write(): Promise<boolean> {
    const plain = await this.#use('s3:PutObject', 'to write', () => this.#put(this.#attributes, { kind: 'absent' }));
    if (plain === undefined) return false;
    const tags = this.#tags();
    if (tags.size > 0) await this.#use('s3:PutObjectTagging', 'tags are written', () => this.#put({ ...this.#attributes, tags }, { kind: 'none' }));
    return true;
  }

  #put(attributes: Attributes, guard: Guard): Promise<unknown> {
    return this.#store.write({ key: this.#key, body: bodyOf(BYTES), attributes, guard, signal: this.#exam.around.signal });
  }

  #tags(): ReadonlyMap<string, string> {
    const { transform, fidelity } = this.#exam.migration;
    const { maxTags } = this.#store.facts;
    if (maxTags === 0) return new Map();
    const set = Object.entries(transform.tags.set).slice(0, maxTags);
    if (set.length > 0) return new Map(set);
    return transform.tags.copy && fidelity.tags !== 'ignore' ? new Map([['brigade', 'canary']]) : new Map();
  }

  /** Everything that was written is read back and compared (F019, F068). */
  async *compare(): Findings {
    const { signal } = this.#exam.around;
    const [info, bytes, listed] = await together(
      this.#use('s3:GetObject', 'to verify', () => this.#store.head(this.#key, { checksum: true, signal })),
      this.#use('s3:GetObject', 'to verify', () => this.#readBack()),
      this.#use('s3:ListBucket', 'to list', () => firstPage(this.#store, signal, this.#key)),
    );
    const differing = info === undefined ? [] : differences(this.#attributes, info.value);
    if (bytes !== undefined && !bytes.value.equals(BYTES)) differing.push('the bytes');
    if (this.#permissions.missing('s3:GetObject')) return;
    if (differing.length > 0) yield warn('destination: read back', `came back changed: ${differing.join(', ')}`, 'look for a proxy or gateway that rewrites answers; set the fidelity of what may be lost to ignore');
    else yield ok('destination: read back', 'bytes, content headers and metadata beyond ASCII came back as they were');
    if (listed === undefined || listed.value.entries.some((entry) => entry.key === this.#key)) return;
    yield warn('destination: list', 'the object just written is not in the listing yet', 'wait between runs: the closing listing may need several rounds at this store');
  }

  async #readBack(): Promise<Buffer> {
    const read = await this.#store.read({ key: this.#key, expectedSize: BYTES.length, signal: this.#exam.around.signal });
    const chunks: Uint8Array[] = [];
    for await (const chunk of read.chunks) chunks.push(Buffer.from(chunk));
    return Buffer.concat(chunks);
  }

  /** One small last part proves as much as a large one: created, put, listed, completed; and another one aborted. */
  async *multipart(): Findings {
    const { multipart } = this.#store;
    if (multipart === undefined) return;
    const done = await settle(this.#upload(multipart));
    if (done.error !== undefined) yield failure('destination: multipart', done.error);
    else if (done.value) yield ok('destination: multipart', 'an upload was created, filled, listed and completed, and another aborted');
  }

  async #upload(multipart: Multipart): Promise<boolean> {
    const { signal } = this.#exam.around;
    const { checksums, minPartSize } = this.#store.facts;
    const algorithm = checksums[0];
    const request = { key: this.#key, size: BYTES.length, partSize: minPartSize, attributes: this.#attributes, signal, ...(algorithm === undefined ? {} : { checksumAlgorithm: algorithm }) };
    const create = (): Promise<{ readonly value: Upload } | undefined> => this.#use('s3:PutObject', MULTIPART, () => multipart.create(request));
    const abort = (upload: Upload): Promise<unknown> => this.#use('s3:AbortMultipartUpload', 'to leave no open upload', () => multipart.abort(upload, signal));
    const [filled, aborted] = await together(create().then((made) => made && this.#fill(multipart, made.value, abort)), create().then((made) => made && abort(made.value)));
    return filled === true && aborted !== undefined;
  }

  async #fill(multipart: Multipart, upload: Upload, abort: (upload: Upload) => Promise<unknown>): Promise<boolean> {
    const { signal } = this.#exam.around;
    const part = await this.#use('s3:PutObject', MULTIPART, () => multipart.putPart(upload, 1, bodyOf(BYTES), signal));
    const listed = await this.#use('s3:ListMultipartUploadParts', 'to resume large objects', () => multipart.listParts(upload, signal));
    const completed = part === undefined ? undefined : await this.#use('s3:PutObject', MULTIPART, () => multipart.complete({ upload, parts: [part.value], attributes: this.#attributes, guard: { kind: 'none' }, signal }));
    if (completed === undefined) await abort(upload);
    return listed !== undefined && completed !== undefined;
  }

  /** A run deletes nothing, so it can go without: a warning that names what is left. */
  async *remove(): Findings<CanaryEnd> {
    const { clock, signal } = this.#exam.around;
    const { error } = await settle(patiently(clock, signal, () => this.#store.remove(this.#key, signal)));
    if (error === undefined) return 'removed';
    const where = `${this.#store.address.replace(/\/$/, '')}/${this.#key}`;
    yield warn('destination: delete', `${isDenied(error) ? 'denied' : error.message}: the canary ${where} is left`, 'remove it by hand, or grant s3:DeleteObject on .brigade/*');
    return 'left';
  }

  #use<T>(permission: string, purpose: string, work: () => Promise<T>): Promise<{ readonly value: T } | undefined> {
    const { clock, signal } = this.#exam.around;
    return this.#permissions.use(permission, purpose, () => patiently(clock, signal, work));
  }
}

function bodyOf(bytes: Buffer): Body {
  return { size: bytes.length, bytes, checksum: checksumOf('crc32', bytes), open: async function* () { yield await Promise.resolve(bytes); } };
}

function differences(wanted: Attributes, found: ObjectInfo): string[] {
  const names = { contentType: 'Content-Type', contentEncoding: 'Content-Encoding', cacheControl: 'Cache-Control' } as const;
  const changed: string[] = [];
  for (const [name, shown] of Object.entries(names)) {
    const [ours, theirs] = [wanted.headers[name as keyof typeof names], found.headers[name as keyof typeof names]];
    if (ours !== theirs) changed.push(`${shown} (${theirs ?? 'none'} instead of ${ours ?? 'none'})`);
  }
  for (const [name, value] of wanted.userMetadata) if (found.userMetadata.get(name) !== value) changed.push(`metadata ${name} (${JSON.stringify(found.userMetadata.get(name) ?? null)})`);
  return changed;
}

