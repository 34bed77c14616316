/** What a memory store holds, and the rules by which a write is accepted. One turn of the event loop per commit: guards are atomic. */
import { createHash } from 'node:crypto';
import { crc32 } from 'node:zlib';
import { BrigadeError, cancelled, type ErrorKind } from '../../core/errors.ts';
import { isUtf8Key, keyLength, showKey, type Key } from '../../core/key.ts';
import type { Attributes, Checksum, ChecksumAlgorithm, ObjectInfo, Pin, Token } from '../../core/object.ts';
import type { Clock } from '../../ports/clock.ts';
import type { Body, Guard, StoreFacts, Written } from '../../ports/storage.ts';
import { OrderedMap } from './order.ts';

export interface Held {
  readonly bytes: Buffer;
  readonly token: Token;
  readonly modifiedMs: number;
  readonly attributes: Attributes;
  readonly checksum?: Checksum;
}

export class MemoryState {
  readonly facts: StoreFacts;
  readonly address: string;
  readonly objects = new OrderedMap<Held>();
  readonly #clock: Clock | undefined;
  #sequence = 0;

  constructor(facts: StoreFacts, address: string, clock: Clock | undefined) {
    this.facts = facts;
    this.address = address;
    this.#clock = clock;
  }

  error(code: string, kind: ErrorKind, op: string, key: Key, message: string): BrigadeError {
    return new BrigadeError({ code, kind, op, message, location: `${this.address}/${showKey(key)}` });
  }

  /** A number that never comes again: tokens and upload ids are told apart by it. */
  next(): number {
    return ++this.#sequence;
  }

  /** Where it has a clock. */
  nowMs(): number | undefined {
    return this.#clock?.now();
  }

  held(key: Key, op: string): Held {
    const held = this.objects.get(key);
    if (held === undefined) throw this.error('E_NOT_FOUND', 'gone', op, key, 'no such object');
    return held;
  }

  pinned(key: Key, pin: Pin | undefined, op: string): Held {
    const held = this.held(key, op);
    if (pin !== undefined && pin.token !== held.token) throw this.error('E_SRC_CHANGED', 'changed', op, key, 'the object is not the version that was listed');
    return held;
  }

  info(key: Key, held: Held, withChecksum: boolean): ObjectInfo {
    const { tags, ...attributes } = held.attributes;
    return {
      ...attributes, key, size: held.bytes.length, token: held.token, modifiedMs: held.modifiedMs, tagCount: tags?.size ?? 0,
      ...(withChecksum && held.checksum !== undefined ? { checksum: held.checksum } : {}),
    };
  }

  refuses(key: Key): { readonly code: string; readonly message: string } | undefined {
    if (key === '') return { code: 'E_KEY_EMPTY', message: 'the key is empty' };
    if (!isUtf8Key(key)) return { code: 'E_NAME_NOT_UTF8', message: 'the key is not valid UTF-8' };
    if (keyLength(key) > this.facts.maxKeyBytes) return { code: 'E_NAME_TOO_LONG', message: `the key is longer than ${this.facts.maxKeyBytes} bytes` };
    return undefined;
  }

  /** Everything that can be known to fail before the first byte. */
  admit(key: Key, size: number, attributes: Attributes, op: string): void {
    const { facts } = this;
    const refusal = this.refuses(key);
    if (refusal !== undefined) throw this.error(refusal.code, 'object', op, key, refusal.message);
    if (size > facts.maxObjectSize) throw this.error('E_TOO_LARGE', 'object', op, key, `an object may have ${facts.maxObjectSize} bytes`);
    if (facts.attributes.userMetadata && metadataBytes(attributes) > facts.maxUserMetadataBytes) {
      throw this.error('E_METADATA_TOO_LARGE', 'object', op, key, `user metadata may have ${facts.maxUserMetadataBytes} bytes`);
    }
    if (facts.attributes.tags && (attributes.tags?.size ?? 0) > facts.maxTags) throw this.error('E_TOO_MANY_TAGS', 'object', op, key, `an object may have ${facts.maxTags} tags`);
  }

  checkGuard(key: Key, guard: Guard, op: string): void {
    const { guards } = this.facts;
    if (guard.kind === 'none') return;
    if (op === 'complete' ? !guards.onComplete : !guards[guard.kind]) return;
    const now = this.objects.get(key)?.token;
    if (guard.kind === 'absent' ? now !== undefined : now !== guard.token) {
      throw this.error('E_PRECONDITION', 'conflict', op, key, now === undefined ? 'the object that was to be replaced is gone' : 'another object stands there');
    }
  }

  commit(key: Key, bytes: Buffer, attributes: Attributes, wanted: Checksum | undefined, op: string): Written {
    const checksum = this.#vouch(key, bytes, wanted, op);
    const sequence = this.next();
    const token = `m${sequence}`;
    const modifiedMs = this.#clock?.now() ?? sequence;
    this.objects.set(key, { bytes, token, modifiedMs, attributes: this.#kept(attributes), ...(checksum === undefined ? {} : { checksum }) });
    return { token, ...(checksum === undefined ? {} : { checksum }) };
  }

  #vouch(key: Key, bytes: Buffer, wanted: Checksum | undefined, op: string): Checksum | undefined {
    const algorithm = wanted !== undefined && this.facts.checksums.includes(wanted.algorithm) ? wanted.algorithm : this.facts.checksums[0];
    if (algorithm === undefined) return undefined;
    const checksum = { algorithm, hex: digest(algorithm, bytes) };
    if (wanted?.algorithm === algorithm && wanted.hex !== checksum.hex) {
      throw this.error('E_CHECKSUM_MISMATCH', 'transient', op, key, `${algorithm} of the bytes is ${checksum.hex}, declared was ${wanted.hex}`);
    }
    return checksum;
  }

  /** Only what the facts say is kept. */
  #kept(given: Attributes): Attributes {
    const keeps = this.facts.attributes;
    return {
      headers: keeps.contentHeaders ? { ...given.headers } : {},
      userMetadata: keeps.userMetadata ? new Map(given.userMetadata) : new Map(),
      ...(keeps.tags && given.tags !== undefined ? { tags: new Map(given.tags) } : {}),
      ...(keeps.storageClass && given.storageClass !== undefined ? { storageClass: given.storageClass } : {}),
      ...(keeps.mtime && given.mtimeNs !== undefined ? { mtimeNs: given.mtimeNs } : {}),
      ...(keeps.mode && given.mode !== undefined ? { mode: given.mode } : {}),
    };
  }

  /** The body's bytes, exactly as many as it declared. */
  async take(key: Key, body: Body, op: string, signal: AbortSignal | undefined): Promise<Buffer> {
    const pieces: Buffer[] = [];
    let size = 0;
    stopIfAborted(signal, op);
    for await (const chunk of body.open()) {
      stopIfAborted(signal, op);
      size += chunk.length;
      if (size > body.size) break;
      pieces.push(Buffer.from(chunk));
    }
    if (size !== body.size) {
      const told = size > body.size ? 'more' : String(size);
      throw this.error('E_BODY_SIZE', 'transient', op, key, `the body declared ${body.size} bytes and gave ${told}`);
    }
    return Buffer.concat(pieces);
  }
}

export function digest(algorithm: ChecksumAlgorithm, bytes: Uint8Array): string {
  switch (algorithm) {
    case 'crc32':
      return crc32(bytes).toString(16).padStart(8, '0');
    case 'md5':
    case 'sha1':
    case 'sha256':
      return createHash(algorithm).update(bytes).digest('hex');
    case 'crc32c':
    case 'crc64nvme':
      throw new BrigadeError({ code: 'E_UNSUPPORTED', kind: 'unsupported', message: `a memory store does not compute ${algorithm}`, op: 'checksum' });
  }
}

export function stopIfAborted(signal: AbortSignal | undefined, op: string): void {
  if (signal?.aborted === true) throw cancelled(op);
}

function metadataBytes(attributes: Attributes): number {
  let bytes = 0;
  for (const [name, value] of attributes.userMetadata) bytes += Buffer.byteLength(name) + Buffer.byteLength(value);
  return bytes;
}
