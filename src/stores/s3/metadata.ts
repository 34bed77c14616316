/**
 * Attributes as headers and back.
 *
 * User metadata (F068). HTTP trims values and signing folds runs of spaces, so values travel in one of three ways, and come back as
 * they were:
 * - printable ASCII without awkward spaces: as it is;
 * - with any character beyond ASCII: one RFC 2047 word, `=?UTF-8?B?…?=`. Amazon S3 gives such values back in this form itself
 *   (https://docs.aws.amazon.com/AmazonS3/latest/userguide/UsingMetadata.html), so other tools can read them;
 * - ASCII with leading, trailing or consecutive spaces, control characters or `=?`: percent-encoded, and the name is listed in the
 *   metadata entry `brigade-encoded`. (As an RFC 2047 word Amazon S3 would decode it and send the bare spaces.)
 *
 * A file's times and permissions travel as `mtime` (seconds.nanoseconds, as rclone writes it) and `mode` (octal).
 */
import { BrigadeError } from '../../core/errors.ts';
import { keyFromBytes, keyToBytes } from '../../core/key.ts';
import type { Attributes, ContentHeaders } from '../../core/object.ts';
import { encodeValue } from './encode.ts';
import type { ProviderProfile } from './profiles.ts';
import { header } from './transport.ts';
import type { ResponseHeaders } from './transport.ts';

const PREFIX = 'x-amz-meta-';
const MARKER = 'brigade-encoded';
const TOKEN = /^[!#$%&'*+\-.^_`|~0-9a-z]+$/;
const PLAIN = /^[!-~]+(?: [!-~]+)*$/;
const WORDS = /=\?([A-Za-z0-9_-]+)\?([BbQq])\?([^?]*)\?=/g;

/** The server-side encryption that each write asks for. */
export interface Encryption {
  readonly algorithm: 'AES256' | 'aws:kms' | 'aws:kms:dsse';
  readonly kmsKeyId?: string;
  readonly bucketKey?: boolean;
}

export interface WriteDefaults {
  readonly storageClass?: string | undefined;
  readonly sse?: Encryption | undefined;
  readonly requesterPays?: boolean | undefined;
}

const CONTENT_HEADERS: readonly (readonly [property: keyof ContentHeaders, name: string])[] = [
  ['contentType', 'content-type'], ['cacheControl', 'cache-control'], ['contentDisposition', 'content-disposition'],
  ['contentEncoding', 'content-encoding'], ['contentLanguage', 'content-language'], ['expires', 'expires'],
];

/** Headers that a PUT, CreateMultipartUpload or CopyObject carries: the same for small and large objects (F065). No ACL (F075). `locate`: for what is refused. */
export function attributeHeaders(attributes: Attributes, profile: ProviderProfile, defaults: WriteDefaults, locate: () => string): string[] {
  const out: string[] = [];
  for (const [property, name] of CONTENT_HEADERS) {
    const value = attributes.headers[property];
    if (value !== undefined && value !== '') out.push(name, headerBytes(value));
  }
  pushMetadata(out, attributes, profile, locate);
  pushTags(out, attributes.tags, profile, locate);
  const storageClass = attributes.storageClass ?? defaults.storageClass;
  if (storageClass !== undefined && profile.storageClasses) out.push('x-amz-storage-class', storageClass);
  pushEncryption(out, defaults.sse);
  if (defaults.requesterPays === true) out.push('x-amz-request-payer', 'requester');
  return out;
}

function pushEncryption(out: string[], sse: Encryption | undefined): void {
  if (sse === undefined) return;
  out.push('x-amz-server-side-encryption', sse.algorithm);
  if (sse.kmsKeyId !== undefined) out.push('x-amz-server-side-encryption-aws-kms-key-id', sse.kmsKeyId);
  if (sse.bucketKey !== undefined) out.push('x-amz-server-side-encryption-bucket-key-enabled', String(sse.bucketKey));
}

/** What the store would refuse of these attributes, before the first byte (F067, F069); throws kind `object`. */
function pushMetadata(out: string[], attributes: Attributes, profile: ProviderProfile, locate: () => string): void {
  const metadata = withFileTimes(attributes);
  if (metadata.size === 0) return;
  const encoded: string[] = [];
  let bytes = 0;
  for (const [name, value] of metadata) {
    if (!TOKEN.test(name)) throw refused('E_META_NAME', `metadata name ${JSON.stringify(name)} cannot be a header`, locate());
    const wire = encodeMetadata(value);
    if (wire.percent) encoded.push(name);
    bytes += name.length + wire.text.length;
    out.push(PREFIX + name, wire.text);
  }
  if (encoded.length > 0) {
    out.push(PREFIX + MARKER, encoded.join(','));
    bytes += MARKER.length + encoded.join(',').length;
  }
  if (bytes > profile.maxUserMetadataBytes) {
    throw refused('E_META_TOO_LARGE', `user metadata takes ${bytes} bytes, ${profile.name} holds ${profile.maxUserMetadataBytes}`, locate());
  }
}

function withFileTimes(attributes: Attributes): ReadonlyMap<string, string> {
  const { userMetadata, mtimeNs, mode } = attributes;
  if (mtimeNs === undefined && mode === undefined) return userMetadata;
  const all = new Map(userMetadata);
  if (mtimeNs !== undefined && !all.has('mtime')) all.set('mtime', secondsOf(mtimeNs));
  if (mode !== undefined && !all.has('mode')) all.set('mode', modeText(mode));
  return all;
}

function pushTags(out: string[], tags: ReadonlyMap<string, string> | undefined, profile: ProviderProfile, locate: () => string): void {
  if (tags === undefined || tags.size === 0) return;
  if (profile.maxTags === 0) throw refused('E_TAGS_UNSUPPORTED', `${profile.name} keeps no tags`, locate());
  if (tags.size > profile.maxTags) throw refused('E_TAGS_TOO_MANY', `${tags.size} tags, ${profile.name} holds ${profile.maxTags}`, locate());
  out.push('x-amz-tagging', [...tags].map(([name, value]) => `${encodeValue(name)}=${encodeValue(value)}`).join('&'));
}

function refused(code: string, message: string, location: string): BrigadeError {
  return new BrigadeError({ code, kind: 'object', message, location, hint: 'change the transform, or the fidelity of this attribute to report or ignore' });
}

/** How one metadata value travels. */
export function encodeMetadata(value: string): { readonly text: string; readonly percent: boolean } {
  if (/[^\u0000-\u007f]/.test(value)) return { text: `=?UTF-8?B?${Buffer.from(value, 'utf8').toString('base64')}?=`, percent: false };
  if (value === '' || PLAIN.test(value) && !value.includes('=?')) return { text: value, percent: false };
  return { text: encodeValue(value), percent: true };
}

/** What an answer to GET or HEAD says of its object. */
export function readAttributes(headers: ResponseHeaders): Attributes & { readonly headers: ContentHeaders } {
  const all = readMetadata(headers);
  const mtimeNs = nanosecondsOf(all.get('mtime'));
  const mode = /^0?[0-7]{3}$/.test(all.get('mode') ?? '') ? parseInt(all.get('mode') as string, 8) : undefined;
  const metadata = mtimeNs === undefined && mode === undefined ? all : withoutFileTimes(all, mtimeNs, mode);
  const storageClass = header(headers, 'x-amz-storage-class');
  return {
    headers: readContentHeaders(headers),
    userMetadata: metadata,
    ...(storageClass === undefined ? {} : { storageClass }),
    ...(mtimeNs === undefined ? {} : { mtimeNs }),
    ...(mode === undefined ? {} : { mode }),
  };
}

/** What we would write again from `mtimeNs` and `mode`, to the letter, is not the user's. */
function withoutFileTimes(all: ReadonlyMap<string, string>, mtimeNs: string | undefined, mode: number | undefined): ReadonlyMap<string, string> {
  const rest = new Map(all);
  if (mtimeNs !== undefined && rest.get('mtime') === secondsOf(mtimeNs)) rest.delete('mtime');
  if (mode !== undefined && rest.get('mode') === modeText(mode)) rest.delete('mode');
  return rest;
}

function modeText(mode: number): string {
  return `0${(mode & 0o777).toString(8).padStart(3, '0')}`;
}

function readContentHeaders(headers: ResponseHeaders): ContentHeaders {
  const found: Partial<Record<keyof ContentHeaders, string>> = {};
  for (const [property, name] of CONTENT_HEADERS) {
    const value = header(headers, name);
    if (value === undefined || value === '') continue;
    const kept = property === 'contentEncoding' ? withoutChunked(value) : value;
    if (kept !== '') found[property] = headerText(kept);
  }
  return found;
}

/** `aws-chunked` describes a transfer long past; some stores keep it (F019). */
function withoutChunked(encoding: string): string {
  return encoding.includes('aws-chunked') ? encoding.split(',').map((token) => token.trim()).filter((token) => token !== 'aws-chunked').join(', ') : encoding;
}

const NO_METADATA: ReadonlyMap<string, string> = new Map();

function readMetadata(headers: ResponseHeaders): ReadonlyMap<string, string> {
  let found: Map<string, string> | undefined;
  for (const name of Object.keys(headers)) {
    if (!name.startsWith(PREFIX)) continue;
    found ??= new Map();
    found.set(name.slice(PREFIX.length), header(headers, name) ?? '');
  }
  if (found === undefined) return NO_METADATA;
  const percent = new Set(found.get(MARKER)?.split(','));
  found.delete(MARKER);
  for (const [name, value] of found) found.set(name, percent.has(name) ? decodePercent(value) : decodeMetadata(value));
  return found;
}

function decodePercent(value: string): string {
  try {
    return decodeURIComponent(value);
  } catch {
    return value; // not ours after all: somebody else wrote this name into the marker
  }
}

function decodeMetadata(value: string): string {
  if (!value.includes('=?')) return PLAIN.test(value) ? value : humanText(value);
  const joined = value.replace(/(\?=)[ \t]+(?==\?)/g, '$1');
  return joined.replace(WORDS, (whole: string, charset: string, encoding: string, data: string) => {
    const bytes = encoding.toUpperCase() === 'B' ? Buffer.from(data, 'base64') : quotedBytes(data);
    return decodeWord(bytes, charset) ?? whole;
  });
}

function decodeWord(bytes: Buffer, charset: string): string | undefined {
  try {
    return new TextDecoder(charset, { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    return undefined; // an unknown character set or broken bytes: the value stays as it is
  }
}

function quotedBytes(data: string): Buffer {
  return Buffer.from(data.replaceAll('_', ' ').replace(/=([0-9a-fA-F]{2})/g, (_, hex: string) => String.fromCharCode(parseInt(hex, 16))), 'latin1');
}

/** Raw bytes beyond ASCII: UTF-8 when they are, else what latin-1 makes of them. */
function humanText(latin1: string): string {
  return decodeWord(Buffer.from(latin1, 'latin1'), 'utf-8') ?? latin1;
}

/** Content headers travel byte for byte: a key's way of holding bytes serves them too. */
function headerText(latin1: string): string {
  return /[^\u0000-\u007f]/.test(latin1) ? keyFromBytes(Buffer.from(latin1, 'latin1')) : latin1;
}

function headerBytes(text: string): string {
  const bytes = /[^\u0000-\u007f]/.test(text) ? keyToBytes(text).toString('latin1') : text;
  return bytes.replace(/[\u0000-\u0008\u000a-\u001f\u007f]+/g, ' '); // no header can hold these; S3 never hands them out
}

function secondsOf(nanoseconds: string): string {
  const negative = nanoseconds.startsWith('-');
  const digits = nanoseconds.replace('-', '').padStart(10, '0');
  return `${negative ? '-' : ''}${digits.slice(0, -9)}.${digits.slice(-9)}`;
}

function nanosecondsOf(seconds: string | undefined): string | undefined {
  const match = /^(-?)(\d{1,12})(?:\.(\d{1,9}))?$/.exec(seconds ?? '');
  if (match === null) return undefined;
  const [, sign = '', whole = '0', fraction = ''] = match;
  return (BigInt(`${whole}${fraction.padEnd(9, '0')}`) * (sign === '-' ? -1n : 1n)).toString();
}
