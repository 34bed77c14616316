/** ListObjects, ListObjectsV2, ListObjectVersions: one walk in byte order, three ways to write it. */
import { isoTime, quoted, xmlPiecesReply, xmlReply } from './context.ts';
import type { Context, Reply } from './context.ts';
import { invalidArgument } from './errors.ts';
import type { ListedEntry, ListedVersion } from './layout.ts';
import { el, escapeXml, Markup, optional, xmlDocument } from './xml.ts';
import type { Xml, XmlContent } from './xml.ts';

/** The fields every listing has. */
export interface ListQuery {
  readonly prefix: string;
  readonly delimiter: string;
  readonly max: number;
  /** encoding-type=url. */
  readonly encode: boolean;
}

const ownerId = '75aa57f09aa0c8caeab4f8c24e99d10f8e7faeebf76c078efc7c6caea54ba06a';
export const ownerFields = (): Xml => ({ markup: `<ID>${ownerId}</ID><DisplayName>brigade</DisplayName>` });
export const owner = (): Xml => el('Owner', ownerFields());

const encodeAll = (text: string): string =>
  encodeURIComponent(text).replaceAll('%20', '+').replaceAll('%2F', '/').replace(/[!'()~]/g, (c) => `%${c.charCodeAt(0).toString(16).toUpperCase()}`);

/** Most keys have nothing to encode. */
const nothingToEncode = /^[\w./*-]*$/;

/** S3's url encoding of keys: as form encoding (space is +), with slashes left alone. */
export const urlEncode = (text: string): string => (nothingToEncode.test(text) ? text : encodeAll(text));

export const encoder = (query: ListQuery) => (text: string): string => (query.encode ? urlEncode(text) : text);

/** Reads prefix, delimiter, encoding-type and the page size. */
export function readListQuery(context: Context, maxName: string): ListQuery {
  const { query } = context.request;
  const encoding = query.get('encoding-type') ?? '';
  if (encoding !== '' && encoding !== 'url') throw invalidArgument('encoding-type', encoding, 'Invalid Encoding Method specified in Request');
  const text = query.get(maxName) || '1000';
  const max = Number(text);
  if (!/^-?\d+$/.test(text) || max < 0 || max > 2147483647) throw invalidArgument(maxName, text, `Argument ${maxName} must be an integer between 0 and 2147483647`);
  return { prefix: query.get('prefix') ?? '', delimiter: query.get('delimiter') ?? '', max: Math.min(1000, max), encode: encoding === 'url' };
}

/** The common prefix a key is rolled up into. */
export function rollUp(key: string, query: Pick<ListQuery, 'prefix' | 'delimiter'>): string | undefined {
  if (query.delimiter === '') return undefined;
  const at = key.indexOf(query.delimiter, query.prefix.length);
  return at < 0 ? undefined : key.slice(0, at + query.delimiter.length);
}

/** The first key after every key that starts with `prefix`. UTF-8 has no 0xff, so the last byte can always grow. */
function pastPrefix(prefix: string): Buffer {
  const bytes = Buffer.from(prefix);
  bytes[bytes.length - 1]! += 1;
  return bytes;
}

const pastKey = (key: string): Buffer => Buffer.concat([Buffer.from(key), Buffer.from([0])]);

/** Where a listing goes on after a marker; a marker that is itself a common prefix skips all it stands for. */
export const pastMarker = (marker: string, query: ListQuery): Buffer => {
  if (marker === '') return Buffer.alloc(0);
  return marker.startsWith(query.prefix) && rollUp(marker, query) === marker ? pastPrefix(marker) : pastKey(marker);
};

const later = (a: Buffer, b: Buffer): Buffer => (Buffer.compare(a, b) >= 0 ? a : b);

type Step = { readonly entry: ListedEntry } | { readonly prefix: string };

interface Walked { readonly newestOnly: boolean; readonly from: Buffer }

/** Shows entries and common prefixes in byte order, from `from`, until `see` says false. Behind a common prefix the layout skips all that it
 * stands for. A layout that answers at once is not waited for: a listing of a million keys would be a million promises. */
async function walk({ layout, bucket }: Context, query: ListQuery, { from, newestOnly }: Walked, see: (step: Step) => boolean): Promise<void> {
  const scan = layout.scan(bucket.name, later(Buffer.from(query.prefix), from), { prefix: query.prefix, delimiter: query.delimiter, newestOnly, expected: query.max + 1 });
  try {
    for (let to: Buffer | undefined; ;) {
      const told = scan.next(to);
      const next = told instanceof Promise ? await told : told;
      to = undefined;
      if (next.done === true || !next.value.key.startsWith(query.prefix)) return;
      if (newestOnly && !live(next.value)) continue;
      const prefix = rollUp(next.value.key, query);
      if (prefix !== undefined) to = pastPrefix(prefix);
      if (!see(prefix === undefined ? { entry: next.value } : { prefix })) return;
    }
  } finally {
    await scan.return();
  }
}

interface Page {
  /** What was shown of the objects. */
  readonly contents: Markup;
  readonly prefixes: readonly string[];
  readonly truncated: boolean;
  /** The last key or common prefix shown. */
  readonly last: string;
}

const live = (entry: ListedEntry): boolean => entry.versions[0]?.deleteMarker === false;

/** Each object is written as it comes: a page of rows that waited would outlive the young generation, a thousand times in a large bucket. */
async function listLive(context: Context, query: ListQuery, from: Buffer, withOwner: boolean): Promise<Page> {
  const contents = new Markup();
  const prefixes: string[] = [];
  let [last, truncated] = ['', false];
  if (query.max === 0) return { contents, prefixes, truncated, last };
  await walk(context, query, { from, newestOnly: true }, (step) => {
    truncated = contents.length + prefixes.length === query.max;
    if (truncated) return false;
    if ('prefix' in step) prefixes.push(last = step.prefix);
    else {
      last = step.entry.key;
      contents.add(contentsOf(context, query, step.entry.versions[0]!, withOwner));
    }
    return true;
  });
  return { contents, prefixes, truncated, last };
}

const checksumXml = (checksum: ListedVersion['checksum']): XmlContent =>
  (checksum === undefined ? undefined : [el('ChecksumAlgorithm', checksum.algorithm), el('ChecksumType', checksum.type)]);

/** Restore state is listed only when asked for (x-amz-optional-object-attributes). */
function restoreXml(context: Context, version: ListedVersion): Xml | undefined {
  if (version.restore === undefined || !context.request.headers.get('x-amz-optional-object-attributes')?.includes('RestoreStatus')) return undefined;
  const expiry = /expiry-date="([^"]*)"/.exec(version.restore)?.[1];
  return el('RestoreStatus', el('IsRestoreInProgress', version.restore.includes('"true"')), optional('RestoreExpiryDate', expiry === undefined ? undefined : isoTime(Date.parse(expiry))));
}

/** Written as one text: a listing of a million keys is a million of these. */
function contentsOf(context: Context, query: ListQuery, version: ListedVersion, withOwner: boolean): string {
  const { checksum } = version;
  const key = query.encode ? urlEncode(version.key) : escapeXml(version.key);
  const checksumText = checksum === undefined ? '' : `<ChecksumAlgorithm>${checksum.algorithm}</ChecksumAlgorithm><ChecksumType>${checksum.type}</ChecksumType>`;
  const restore = restoreXml(context, version);
  return `<Contents><Key>${key}</Key><LastModified>${isoTime(version.modified)}</LastModified><ETag>&quot;${escapeXml(version.etag)}&quot;</ETag>${checksumText}`
    + `<Size>${version.body.size}</Size>${withOwner ? owner().markup : ''}<StorageClass>${version.storageClass}</StorageClass>${restore?.markup ?? ''}</Contents>`;
}

export const prefixesXml = (query: ListQuery, prefixes: readonly string[]): XmlContent =>
  prefixes.map((prefix) => el('CommonPrefixes', el('Prefix', encoder(query)(prefix))));

const head = (context: Context, query: ListQuery): XmlContent => [el('Name', context.bucket.name), el('Prefix', encoder(query)(query.prefix))];

const tail = (query: ListQuery, page: Pick<Page, 'truncated'>): XmlContent => [
  el('MaxKeys', query.max), query.delimiter === '' ? undefined : el('Delimiter', encoder(query)(query.delimiter)),
  query.encode ? el('EncodingType', 'url') : undefined, el('IsTruncated', page.truncated),
];

export async function listObjects(context: Context): Promise<Reply> {
  const query = readListQuery(context, 'max-keys');
  const marker = context.request.query.get('marker') ?? '';
  const page = await listLive(context, query, pastMarker(marker, query), true);
  const next = page.truncated && query.delimiter !== '' ? page.last : undefined;
  return xmlPiecesReply(page.contents.document('ListBucketResult', [
    head(context, query), el('Marker', encoder(query)(marker)), next === undefined ? undefined : el('NextMarker', encoder(query)(next)), tail(query, page),
  ], [prefixesXml(query, page.prefixes)]));
}

const tokenPrefix = '1';
const makeToken = (last: string): string => `${tokenPrefix}${Buffer.from(last).toString('base64url')}`;

function readToken(token: string): string {
  const last = Buffer.from(token.slice(1), 'base64url').toString();
  if (last === '' || makeToken(last) !== token) throw invalidArgument('continuation-token', token, 'The continuation token provided is incorrect');
  return last;
}

export async function listObjectsV2(context: Context): Promise<Reply> {
  const params = context.request.query;
  const query = readListQuery(context, 'max-keys');
  const token = params.get('continuation-token');
  const startAfter = params.get('start-after');
  const marker = token === undefined ? startAfter ?? '' : readToken(token);
  const page = await listLive(context, query, pastMarker(marker, query), params.get('fetch-owner') === 'true');
  return xmlPiecesReply(page.contents.document('ListBucketResult', [
    head(context, query), optional('StartAfter', startAfter === undefined ? undefined : encoder(query)(startAfter)),
    optional('ContinuationToken', token), page.truncated ? el('NextContinuationToken', makeToken(page.last)) : undefined,
    el('KeyCount', page.contents.length + page.prefixes.length), tail(query, page),
  ], [prefixesXml(query, page.prefixes)]));
}

interface VersionPage extends Omit<Page, 'contents'> {
  readonly items: readonly { readonly version: ListedVersion; readonly latest: boolean }[];
  readonly lastVersion: string | undefined;
}

/** The versions of one entry still to show: on the marker's own key, those after the marked version. */
function pending(entry: ListedEntry, keyMarker: string, versionMarker: string | undefined): { version: ListedVersion; latest: boolean }[] {
  const all = entry.versions.map((version, index) => ({ version, latest: index === 0 }));
  if (versionMarker === undefined || entry.key !== keyMarker) return all;
  return all.slice(entry.versions.findIndex((v) => v.versionId === versionMarker) + 1);
}

async function listAll(context: Context, query: ListQuery, keyMarker: string, versionMarker: string | undefined): Promise<VersionPage> {
  const items: { version: ListedVersion; latest: boolean }[] = [];
  const prefixes: string[] = [];
  let [last, truncated] = ['', false];
  let lastVersion: string | undefined;
  const from = versionMarker === undefined ? pastMarker(keyMarker, query) : Buffer.from(keyMarker);
  const show = (item: string | { version: ListedVersion; latest: boolean }): boolean => {
    truncated = items.length + prefixes.length === query.max;
    if (truncated) return false;
    if (typeof item === 'string') {
      prefixes.push(last = item);
      lastVersion = undefined;
    } else {
      items.push(item);
      last = item.version.key;
      lastVersion = item.version.versionId;
    }
    return true;
  };
  if (query.max === 0) return { items, prefixes, truncated, last, lastVersion };
  await walk(context, query, { from, newestOnly: false }, (step) => ('prefix' in step ? [step.prefix] : pending(step.entry, keyMarker, versionMarker)).every(show));
  return { items, prefixes, truncated, last, lastVersion };
}

function versionXml(context: Context, query: ListQuery, version: ListedVersion, latest: boolean): Xml {
  const common = [el('Key', encoder(query)(version.key)), el('VersionId', version.versionId), el('IsLatest', latest), el('LastModified', isoTime(version.modified))];
  if (version.deleteMarker) return el('DeleteMarker', common, owner());
  return el('Version', common, el('ETag', quoted(version.etag)), checksumXml(version.checksum), el('Size', version.body.size), owner(), el('StorageClass', version.storageClass), restoreXml(context, version));
}

export async function listObjectVersions(context: Context): Promise<Reply> {
  const params = context.request.query;
  const query = readListQuery(context, 'max-keys');
  const keyMarker = params.get('key-marker') ?? '';
  const versionMarker = params.get('version-id-marker');
  if (versionMarker !== undefined && keyMarker === '') throw invalidArgument('version-id-marker', versionMarker, 'A version-id marker cannot be specified without a key marker.');
  const page = await listAll(context, query, keyMarker, versionMarker || undefined);
  return xmlReply(xmlDocument('ListVersionsResult', head(context, query), el('KeyMarker', encoder(query)(keyMarker)), el('VersionIdMarker', versionMarker ?? ''),
    page.truncated ? [el('NextKeyMarker', encoder(query)(page.last)), optional('NextVersionIdMarker', page.lastVersion)] : undefined, tail(query, page),
    page.items.map((item) => versionXml(context, query, item.version, item.latest)), prefixesXml(query, page.prefixes)));
}
