/**
 * Measures what an endpoint really does, where its profile is silent: conditional writes, checksum headers, trailers, order of
 * listings, `+` and `.` in keys. Only at a destination, only on canaries of our own, which are removed again.
 */
import { canaryKey } from '../../core/canary.ts';
import { checksumOf } from '../../core/checksum.ts';
import { BrigadeError, isKind } from '../../core/errors.ts';
import { compareKeys } from '../../core/key.ts';
import type { Key } from '../../core/key.ts';
import type { ChecksumAlgorithm } from '../../core/object.ts';
import { together } from '../../core/together.ts';
import type { Random } from '../../ports/clock.ts';
import { base64Of, checksumHeader } from './chunked.ts';
import { S3Client } from './client.ts';
import type { Payload } from './client.ts';
import { patient } from './patient.ts';
import { headObject, quoted, removeObject } from './objects.ts';
import { encodeQuery } from './encode.ts';
import { listPages } from './listing.ts';
import type { ChecksumProfile, GuardProfile, ListingProfile, ProbedFacts } from './profiles.ts';
import { childText, rootOf } from './xml.ts';

const TEXT = Buffer.from('canary of bucket brigade\n');
const OTHER = Buffer.from('another canary\n');
const HEADERS: readonly ChecksumAlgorithm[] = ['crc32', 'crc32c', 'crc64nvme', 'sha256'];

/** Runs all measurements. Needs permission to write, read, list and delete below `.brigade/`. */
export async function probe(client: S3Client, random: Random, signal?: AbortSignal): Promise<ProbedFacts> {
  const canary = new Canary(client, canaryKey(() => random.next()), signal);
  try {
    // Each has canaries of its own: side by side, since the first object of a run waits for all of them.
    const [guards, checksums, listing, normalisesDots, countsTags] = await together(canary.guards(), canary.checksums(), canary.listing(), canary.normalisesDots(), canary.countsTags());
    return { guards, checksums, listing, normalisesDots, countsTags };
  } finally {
    await canary.remove();
  }
}

class Canary {
  readonly #client: S3Client;
  readonly #key: Key;
  readonly #signal: AbortSignal | undefined;
  readonly #made = new Set<Key>();

  constructor(client: S3Client, key: Key, signal: AbortSignal | undefined) {
    const { guards, checksums } = client.profile;
    // Nothing may hold the probe back: it finds out what happens.
    const profile = { ...client.profile, normalisesDots: false, guards: { ...guards, sent: true }, checksums: { ...checksums, headers: HEADERS, trailer: true } };
    this.#client = new S3Client({ ...client.options, region: client.region, profile, transport: patient(client.options.transport, client.options.clock) });
    this.#key = key;
    this.#signal = signal;
  }

  async guards(): Promise<Partial<GuardProfile>> {
    const key = `${this.#key}/guard`;
    await this.#mustPut(key, []);
    const [absent, wrong] = await together(this.#put(key, ['if-none-match', '*']), this.#put(key, ['if-match', '"00000000000000000000000000000000"']));
    const token = (await headObject(this.#client, key)).token;
    const right = await this.#put(key, ['if-match', quoted(token)]);
    const bare = right === 'conflict' && await this.#put(key, ['if-match', token]) === 'ok';
    const refused = [absent, right].some((outcome) => outcome !== 'ok' && outcome !== 'conflict');
    return { absent: absent === 'conflict', matches: wrong === 'conflict' && (right === 'ok' || bare), sent: !refused, ...(bare ? { bare } : {}) };
  }

  async checksums(): Promise<Partial<ChecksumProfile>> {
    const [md5, ...kept] = await together(this.#takesMd5(), ...HEADERS.map((algorithm) => this.#keepsChecksum(algorithm)));
    const headers = HEADERS.filter((_, i) => kept[i]);
    const [first] = headers;
    if (first === undefined) return { headers, md5, trailer: false, fullObject: false };
    const [trailer, fullObject] = await together(this.#takesTrailer(first), this.#fullObject(first));
    return { headers, md5, trailer, fullObject };
  }

  async #takesMd5(): Promise<boolean> {
    const put = (text: Buffer): Promise<Outcome> => this.#put(`${this.#key}/md5`, ['content-md5', base64Of(checksumOf('md5', text))]);
    return await put(OTHER) === 'other' && await put(TEXT) === 'ok';
  }

  /** The right one is accepted and shown again, a wrong one refused. */
  async #keepsChecksum(algorithm: ChecksumAlgorithm): Promise<boolean> {
    const key = `${this.#key}/${algorithm}`;
    const right = checksumOf(algorithm, TEXT);
    if (await this.#put(key, [checksumHeader(algorithm), base64Of(right)]) !== 'ok') return false;
    const info = await headObject(this.#client, key, { checksum: true });
    if (info.checksum?.algorithm !== algorithm || info.checksum.hex !== right.hex) return false;
    return await this.#put(key, [checksumHeader(algorithm), base64Of(checksumOf(algorithm, OTHER))]) === 'other';
  }

  async #takesTrailer(algorithm: ChecksumAlgorithm): Promise<boolean> {
    const key = `${this.#key}/trailer`;
    const open = async function* (): AsyncGenerator<Uint8Array> { yield TEXT; };
    if (await this.#put(key, [], { size: TEXT.length, open, trailer: { algorithm, tell: () => { /* the answer tells */ } } }) !== 'ok') return false;
    const info = await headObject(this.#client, key, { checksum: true });
    return info.size === TEXT.length && info.checksum?.hex === checksumOf(algorithm, TEXT).hex;
  }

  async #fullObject(algorithm: ChecksumAlgorithm): Promise<boolean> {
    const key = `${this.#key}/upload`;
    const headers = ['x-amz-checksum-algorithm', algorithm.toUpperCase(), 'x-amz-checksum-type', 'FULL_OBJECT'];
    try {
      const response = await this.#client.send({ op: 'CreateMultipartUpload', method: 'POST', key, query: 'uploads=', headers, scope: 'object', signal: this.#signal });
      const text = (await response.body.collect(100_000)).toString('utf8');
      const uploadId = childText(rootOf(text)?.inner ?? '', 'UploadId') ?? '';
      (await this.#client.send({ op: 'AbortMultipartUpload', method: 'DELETE', key, query: encodeQuery({ uploadId }), scope: 'upload', signal: this.#signal })).body.discard();
      return response.headers['x-amz-checksum-type'] === 'FULL_OBJECT';
    } catch (thrown) {
      return outcomeOf(thrown) === 'ok';
    }
  }

  async listing(): Promise<Partial<ListingProfile>> {
    const wanted = ['a-b', 'a/b', 'a0', 'p+q'].map((one) => `${this.#key}/order/${one}`);
    await together(...wanted.map((key) => this.#mustPut(key, [])));
    const seen: Key[] = [];
    for await (const page of listPages(this.#client, { prefix: `${this.#key}/order/`, ...(this.#signal === undefined ? {} : { signal: this.#signal }) }, { ordered: false })) seen.push(...page.entries.map((entry) => entry.key));
    const ordered = seen.length === wanted.length && seen.every((key, i) => i === 0 || compareKeys(seen[i - 1] as Key, key) < 0);
    const { plusIsSpace } = this.#client.profile.listing;
    const last = seen.at(-1) ?? '';
    return { ordered, plusIsSpace: last.endsWith('p+q') ? plusIsSpace : !plusIsSpace };
  }

  /** A key with a `..` segment is there under its own name, and nowhere else. */
  async normalisesDots(): Promise<boolean> {
    const key = `${this.#key}/dots/x/../y`;
    const outcome = await this.#put(key, []).catch((thrown: unknown) => {
      // Some gateways over folders stumble over such a path: they do not hold it, which is all that is asked.
      if (isKind(thrown, 'transient', 'object')) return 'other';
      throw thrown;
    });
    if (outcome !== 'ok') return true;
    const seen: Key[] = [];
    for await (const page of listPages(this.#client, { prefix: `${this.#key}/dots/` }, { ordered: false })) seen.push(...page.entries.map((entry) => entry.key));
    for (const stray of seen) this.#made.add(stray);
    return !(seen.length === 1 && seen[0] === key);
  }

  /** HEAD of an object with one tag says that there is one: then silence means none. */
  async countsTags(): Promise<boolean> {
    if (this.#client.profile.maxTags === 0) return false;
    const key = `${this.#key}/tagged`;
    if (await this.#put(key, ['x-amz-tagging', 'canary=1']) !== 'ok') return false;
    return (await headObject(this.#client, key)).tagCount === 1;
  }

  async remove(): Promise<void> {
    await together(...[...this.#made].map((key) => removeObject(this.#client, key, this.#signal).catch((thrown: unknown) => {
      // A canary that was never made, or may not be deleted, must not hide what the probe found.
      if (!(thrown instanceof BrigadeError)) throw thrown;
    })));
  }

  async #mustPut(key: Key, headers: readonly string[]): Promise<void> {
    this.#made.add(key);
    (await this.#client.send({ op: 'PutObject', method: 'PUT', key, headers, body: whole(TEXT), scope: 'object', signal: this.#signal })).body.discard();
  }

  async #put(key: Key, headers: readonly string[], body: Payload = whole(TEXT)): Promise<Outcome> {
    this.#made.add(key);
    try {
      (await this.#client.send({ op: 'PutObject', method: 'PUT', key, headers, body, scope: 'object', signal: this.#signal })).body.discard();
      return 'ok';
    } catch (thrown) {
      return outcomeOf(thrown);
    }
  }
}

type Outcome = 'ok' | 'conflict' | 'other';

/** Refusals are what is measured; a network that fails, patience or credentials are not, and end the probe. */
function outcomeOf(thrown: unknown): Outcome {
  if (!(thrown instanceof BrigadeError)) throw thrown;
  if (thrown.kind === 'conflict') return 'conflict';
  if (thrown.kind === 'object' || thrown.kind === 'unsupported' || thrown.code === 'E_CHECKSUM_MISMATCH' || thrown.status === 400 || thrown.status === 501) return 'other';
  throw thrown;
}

function whole(bytes: Buffer): Payload {
  return { size: bytes.length, bytes, open: () => { throw new TypeError('bytes are at hand'); } };
}
