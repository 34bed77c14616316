/** GetObjectAttributes. Source: S3 API Reference, GetObjectAttributes. */
import { checksumElement } from './checksums.ts';
import type { Checksum } from './checksums.ts';
import { checkRead } from './conditions.ts';
import { httpTime, xmlReply } from './context.ts';
import type { Context, Reply } from './context.ts';
import { invalidArgument, invalidRequest } from './errors.ts';
import type { ObjectVersion } from './layout.ts';
import { currentVersion } from './versions.ts';
import { el, optional, xmlDocument } from './xml.ts';
import type { XmlContent } from './xml.ts';

const known = ['ETag', 'Checksum', 'ObjectParts', 'StorageClass', 'ObjectSize'];

function wanted(context: Context): string[] {
  const text = context.request.headers.get('x-amz-object-attributes') ?? '';
  const names = text.split(',').map((name) => name.trim()).filter((name) => name !== '');
  if (names.length === 0) throw invalidRequest('The x-amz-object-attributes header specifying the attributes to be retrieved is either missing or empty');
  if (names.some((name) => !known.includes(name))) throw invalidArgument('x-amz-object-attributes', text, 'Invalid attribute name specified.');
  return names;
}

const checksumXml = (checksum: Checksum | undefined, type: boolean): XmlContent =>
  (checksum === undefined ? undefined : [el(checksumElement(checksum.algorithm), checksum.value.replace(/-\d+$/, '')), type ? el('ChecksumType', checksum.type) : undefined]);

/** Part details are told only where the object has additional checksums; the count always. */
function partsXml(context: Context, version: ObjectVersion): XmlContent {
  if (version.parts === undefined) return undefined;
  const marker = Number(context.request.headers.get('x-amz-part-number-marker') ?? '0');
  const max = Math.min(1000, Number(context.request.headers.get('x-amz-max-parts') ?? '1000'));
  const after = version.parts.filter((part) => part.number > marker);
  const shown = after.slice(0, max);
  return el('ObjectParts', el('PartsCount', version.parts.length), el('PartNumberMarker', marker), optional('NextPartNumberMarker', shown.at(-1)?.number),
    el('MaxParts', max), el('IsTruncated', shown.length < after.length),
    shown.map((part) => el('Part', el('PartNumber', part.number), el('Size', part.size), checksumXml(part.checksum, false))));
}

export async function getAttributes(context: Context): Promise<Reply> {
  const names = wanted(context);
  const version = await currentVersion(context);
  checkRead(version, context.request.headers);
  const content: Record<string, () => XmlContent> = {
    ETag: () => el('ETag', version.etag),
    Checksum: () => (version.checksum === undefined ? undefined : el('Checksum', checksumXml(version.checksum, true))),
    ObjectParts: () => partsXml(context, version),
    StorageClass: () => el('StorageClass', version.storageClass),
    ObjectSize: () => el('ObjectSize', version.body.size),
  };
  const headers: Record<string, string> = { 'last-modified': httpTime(version.modified), ...(context.bucket.versioning === undefined ? {} : { 'x-amz-version-id': version.versionId }) };
  return xmlReply(xmlDocument('GetObjectAttributesResponse', known.filter((name) => names.includes(name)).map((name) => content[name]?.())), headers);
}
