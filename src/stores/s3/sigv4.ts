/**
 * AWS Signature Version 4 in the Authorization header.
 * Source: https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html
 *
 * Own code because it runs once per small object: two hashes and one HMAC per request, the day's key and the second's date cached.
 */
import { createHmac, createSecretKey, hash } from 'node:crypto';
import type { KeyObject } from 'node:crypto';
import type { Credentials } from '../../ports/credentials.ts';

export const UNSIGNED = 'UNSIGNED-PAYLOAD';
export const EMPTY_SHA256 = 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855';

export interface SignableRequest {
  readonly method: string;
  readonly host: string;
  /** Encoded once, without the query. */
  readonly path: string;
  /** Sorted and encoded (encodeQuery), '' for none. */
  readonly query: string;
  /** Flat list of lower-case names and values; x-amz-date, x-amz-content-sha256, the session token and authorization are appended. */
  readonly headers: string[];
  /** Hex SHA-256 of the body, UNSIGNED-PAYLOAD or a STREAMING-… word. */
  readonly payloadHash: string;
}

/** What a chunk signer goes on from. */
export interface Signature {
  readonly signature: string;
  readonly key: KeyObject;
  readonly amzDate: string;
  readonly scope: string;
}

/** Headers that intermediaries or the HTTP client may rewrite, or whose spaces and bytes servers canonicalise differently. */
const NEVER_SIGNED = new Set([
  'accept-encoding', 'user-agent', 'content-length', 'cache-control', 'content-disposition', 'content-encoding', 'content-language', 'expires',
]);

interface DayKey {
  readonly credentials: Credentials;
  readonly day: string;
  readonly region: string;
  readonly key: KeyObject;
  readonly mac: Mac;
}

const BLOCK = 64;
/** UTF-8 bytes of the text of nearly every signature. */
const USUAL_TEXT = 1024;

/**
 * HMAC-SHA-256 (RFC 2104 §2) of one key over many short texts, as two one-shot hashes: half of what an Hmac object costs, and no native
 * object for the collector to see to.
 */
export class Mac {
  readonly #key: KeyObject;
  readonly #inner = Buffer.alloc(BLOCK + USUAL_TEXT);
  readonly #outer = Buffer.alloc(BLOCK + 32);

  /** `key`: at most a block. */
  constructor(key: Buffer) {
    this.#key = createSecretKey(key);
    for (let i = 0; i < BLOCK; i++) {
      this.#inner[i] = (key[i] ?? 0) ^ 0x36;
      this.#outer[i] = (key[i] ?? 0) ^ 0x5c;
    }
  }

  /** Of the text in UTF-8. */
  hex(text: string): string {
    if (text.length * 3 > USUAL_TEXT) return hmacHex(this.#key, text);
    const length = this.#inner.write(text, BLOCK);
    hash('sha256', this.#inner.subarray(0, BLOCK + length), 'buffer').copy(this.#outer, BLOCK);
    return hash('sha256', this.#outer, 'hex');
  }
}

export class Signer {
  #second = -1;
  #amzDate = '';
  #dayKey: DayKey | undefined;

  /** Signs at `nowMs` (the store's time: local time plus learned offset, F083). */
  sign(request: SignableRequest, credentials: Credentials, region: string, nowMs: number): Signature {
    const amzDate = this.#date(nowMs);
    const { headers } = request;
    headers.push('x-amz-content-sha256', request.payloadHash, 'x-amz-date', amzDate);
    if (credentials.sessionToken !== undefined) headers.push('x-amz-security-token', credentials.sessionToken.reveal());
    const canonical = canonicalHeaders(request.host, headers);
    const day = amzDate.slice(0, 8);
    const scope = `${day}/${region}/s3/aws4_request`;
    const text = `${request.method}\n${request.path}\n${request.query}\n${canonical.lines}\n${canonical.names}\n${request.payloadHash}`;
    const { key, mac } = this.#key(credentials, day, region);
    const signature = mac.hex(`AWS4-HMAC-SHA256\n${amzDate}\n${scope}\n${hash('sha256', wireBytes(text), 'hex')}`);
    headers.push('authorization', `AWS4-HMAC-SHA256 Credential=${credentials.accessKeyId}/${scope}, SignedHeaders=${canonical.names}, Signature=${signature}`);
    return { signature, key, amzDate, scope };
  }

  #date(nowMs: number): string {
    const second = Math.floor(nowMs / 1000);
    if (second !== this.#second) {
      this.#second = second;
      this.#amzDate = `${new Date(second * 1000).toISOString().replace(/[-:]|\.\d{3}/g, '')}`;
    }
    return this.#amzDate;
  }

  #key(credentials: Credentials, day: string, region: string): DayKey {
    const cached = this.#dayKey;
    if (cached?.credentials === credentials && cached.day === day && cached.region === region) return cached;
    const key = deriveKey(credentials.secretAccessKey.reveal(), day, region);
    return this.#dayKey = { credentials, day, region, key: createSecretKey(key), mac: new Mac(key) };
  }
}

/** Headers go out as latin-1, and so they are hashed; nearly all are ASCII, where the string will do. */
function wireBytes(text: string): string | Buffer {
  return /[^\u0000-\u007f]/.test(text) ? Buffer.from(text, 'latin1') : text;
}

export function hmacHex(key: KeyObject, text: string): string {
  return createHmac('sha256', key).update(text).digest('hex');
}

function deriveKey(secret: string, day: string, region: string): Buffer {
  let key: Buffer = Buffer.from(`AWS4${secret}`, 'utf8');
  for (const step of [day, region, 's3', 'aws4_request']) key = createHmac('sha256', key).update(step).digest();
  return key;
}

function canonicalHeaders(host: string, headers: readonly string[]): { readonly lines: string; readonly names: string } {
  const pairs: [name: string, value: string][] = [['host', host]];
  for (let i = 0; i < headers.length; i += 2) {
    const name = headers[i] as string;
    if (!NEVER_SIGNED.has(name)) insert(pairs, name, headers[i + 1] as string);
  }
  let lines = '';
  let names = '';
  for (const [name, value] of pairs) {
    lines += `${name}:${value}\n`;
    names += names === '' ? name : `;${name}`;
  }
  return { lines, names };
}

/** Insertion sort: a request has five to fifteen headers. */
function insert(pairs: [string, string][], name: string, value: string): void {
  let at = pairs.length;
  while (at > 0 && (pairs[at - 1] as [string, string])[0] > name) at--;
  pairs.splice(at, 0, [name, value.includes('  ') ? value.trim().replace(/ +/g, ' ') : value.trim()]);
}
