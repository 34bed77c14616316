/** The store copies by itself. An answer of success counts as transfer, never as proof: a HEAD follows (F009). */
import { BrigadeError, isKind } from '../../core/errors.ts';
import type { Key } from '../../core/key.ts';
import type { Pin } from '../../core/object.ts';
import { MiB } from '../../core/units.ts';
import type { Part, ServerCopy, Store, Upload, Written } from '../../ports/storage.ts';
import { hexOf } from './chunked.ts';
import type { S3Call, S3Client } from './client.ts';
import { encodePath, encodeQuery, encodeValue } from './encode.ts';
import { attributeHeaders } from './metadata.ts';
import { checkGuardBefore, guardHeaders, headObject, laterTags, pays, pinHeader, putTags, withoutTags } from './objects.ts';
import type { ChecksumChoice } from './objects.ts';
import { bareEtag } from './scanner.ts';
import { answer } from './uploads.ts';
import { childText } from './xml.ts';

/** Copies of gigabytes are answered when they are done. */
const COPY_MS = 15 * 60_000;
const ANSWER = 1 * MiB;

type CopyRequest = Parameters<ServerCopy['copy']>[0];

/** `clientOf` finds the client behind a store of this driver; other stores have none. */
export function createServerCopy(client: S3Client, clientOf: (store: Store) => S3Client | undefined, choice: () => ChecksumChoice): ServerCopy {
  const sourceOf = (store: Store): S3Client => {
    const source = clientOf(store);
    if (source === undefined) throw new BrigadeError({ code: 'E_NO_SERVER_COPY', kind: 'unsupported', op: 'CopyObject', location: client.address, message: 'the source is not a store of the same endpoint' });
    return source;
  };
  return {
    canCopyFrom: (store) => {
      const source = clientOf(store);
      return source !== undefined && sameEndpoint(client, source);
    },
    copy: (request) => copyObject(client, sourceOf(request.source), request, choice()),
    copyPart: (upload, number, request) => copyPart(client, sourceOf(request.source), upload, number, request),
  };
}

/** One request names both buckets, so both must live at one endpoint; Amazon's regions reach each other. */
function sameEndpoint(a: S3Client, b: S3Client): boolean {
  return a.options.endpoint === b.options.endpoint && a.profile.name === b.profile.name && partition(a) === partition(b);
}

/** Amazon's China and GovCloud are worlds of their own. */
function partition({ region }: S3Client): string {
  return /^(cn|us-gov|us-iso[a-z]?|eusc)-/.exec(region)?.[1] ?? 'aws';
}

async function copyObject(client: S3Client, source: S3Client, request: CopyRequest, choice: ChecksumChoice): Promise<Written> {
  const { key, size, pin, guard, signal, attributes } = request;
  const { onCopy } = client.profile.guards;
  const later = laterTags(client, attributes, 'copy');
  await checkGuardBefore(client, key, guard, onCopy, signal);
  const headers = [
    ...copySource(source, key, pin), ...attributeHeaders(withoutTags(attributes, later), client.profile, client.options.defaults, () => client.locate(key)),
    'x-amz-metadata-directive', 'REPLACE', ...(onCopy ? guardHeaders(client, guard) : []),
  ];
  // Tags that were not said are the source's; an empty set is none (core/object.ts).
  if (client.profile.maxTags > 0) headers.push('x-amz-tagging-directive', attributes.tags === undefined ? 'COPY' : 'REPLACE');
  if (choice !== 'none' && client.profile.checksums.headers.includes(choice)) headers.push('x-amz-checksum-algorithm', choice.toUpperCase());
  const call: S3Call = { op: 'CopyObject', method: 'PUT', key, headers, scope: 'object', pinned: true, headersTimeoutMs: COPY_MS, signal };
  const { inner } = await answer(client, call, 'CopyObjectResult', ANSWER).catch(async (thrown: unknown) => {
    throw onCopy && guard.kind !== 'none' && isKind(thrown, 'changed') ? await whichCondition(source, request, thrown) : thrown;
  });
  const etag = bareEtag(childText(inner, 'ETag') ?? '');
  const info = await headObject(client, key, { checksum: true, ...(signal === undefined ? {} : { signal }) });
  if (info.size !== size || (etag !== '' && etag !== info.token)) {
    throw new BrigadeError({ code: 'E_COPY_UNPROVEN', kind: 'transient', op: 'CopyObject', location: client.locate(key), message: `the store said that it copied ${size} bytes, and shows ${info.size}` });
  }
  await checkPinAfter(client, source, key, pin, signal);
  if (later !== undefined) await putTags(client, key, later, signal);
  return { token: info.token, ...(info.checksum === undefined ? {} : { checksum: info.checksum }) };
}

/** Where the store does not pin the source of a copy, an unchanged token afterwards says that it read the pinned version (truth 3). */
async function checkPinAfter(client: S3Client, source: S3Client, key: Key, pin: Pin, signal: AbortSignal | undefined): Promise<void> {
  if (client.profile.copiesUnpinned !== true) return;
  const info = await headObject(source, key, signal === undefined ? {} : { signal });
  if (info.token !== pin.token) throw new BrigadeError({ code: 'E_SRC_CHANGED', kind: 'changed', op: 'CopyObject', location: source.locate(key), message: 'the source object changed while the store copied it' });
}

/** A 412 with a guard and a pin: the source still being the pinned one proves that the guard refused. */
async function whichCondition(source: S3Client, { key, pin, signal }: CopyRequest, thrown: BrigadeError): Promise<BrigadeError> {
  const info = await headObject(source, key, signal === undefined ? {} : { signal });
  if (info.token !== pin.token) return thrown;
  return new BrigadeError({ code: 'E_CONFLICT', kind: 'conflict', op: 'CopyObject', message: 'the destination holds another version than expected', ...(thrown.location === undefined ? {} : { location: thrown.location }) });
}

async function copyPart(client: S3Client, source: S3Client, upload: Upload, number: number, request: Parameters<ServerCopy['copyPart']>[2]): Promise<Part> {
  const { key, pin, range, signal } = request;
  const call: S3Call = {
    op: 'UploadPartCopy', method: 'PUT', key: upload.key, query: encodeQuery({ partNumber: String(number), uploadId: upload.id }), scope: 'upload', pinned: true,
    headers: [...copySource(source, key, pin), 'x-amz-copy-source-range', `bytes=${range.offset}-${range.offset + range.length - 1}`, ...pays(client)],
    headersTimeoutMs: COPY_MS, signal,
  };
  const { inner } = await answer(client, call, 'CopyPartResult', ANSWER);
  const token = bareEtag(childText(inner, 'ETag') ?? '');
  if (token === '') throw new BrigadeError({ code: 'E_UNEXPECTED_ANSWER', kind: 'transient', op: call.op, location: client.locate(upload.key), message: 'the answer has no ETag' });
  await checkPinAfter(client, source, key, pin, signal);
  const algorithm = upload.checksumAlgorithm;
  const sum = algorithm === undefined ? undefined : childText(inner, `Checksum${algorithm.toUpperCase()}`);
  return { number, size: range.length, token, ...(algorithm === undefined || sum === undefined ? {} : { checksum: { algorithm, hex: hexOf(sum) } }) };
}

/** Each segment encoded on its own (F036); pinned to token and version (truth 3). */
function copySource(source: S3Client, key: Key, pin: Pin): string[] {
  const version = pin.versionId === undefined ? '' : `?versionId=${encodeValue(pin.versionId)}`;
  const path = `/${encodeValue(source.bucket)}/${encodePath(source.absolute(key))}${version}`;
  return ['x-amz-copy-source', path, ...pinHeader(pin.token, 'x-amz-copy-source-if-match', 'x-amz-copy-source-if-unmodified-since')];
}
