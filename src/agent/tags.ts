/** Object tags. Source: S3 User Guide, "Categorizing your objects using tags": 10 tags, 128 and 256 characters. */
import type { Context, Reply } from './context.ts';
import { xmlReply } from './context.ts';
import { invalidArgument, s3Error } from './errors.ts';
import { readSmall } from './payload.ts';
import { percentDecodeText, rawPairs } from './request.ts';
import { currentVersion } from './versions.ts';
import { childText, childrenNamed, el, parseXml, xmlDocument } from './xml.ts';

type Tag = readonly [name: string, value: string];

function checkTags(tags: readonly Tag[]): readonly Tag[] {
  if (tags.length > 10) throw s3Error('BadRequest', { message: 'Object tags cannot be greater than 10' });
  for (const [name, value] of tags) {
    if (name === '' || name.length > 128) throw s3Error('InvalidTag', { message: 'The TagKey you have provided is invalid' });
    if (value.length > 256) throw s3Error('InvalidTag', { message: 'The TagValue you have provided is invalid' });
  }
  if (new Set(tags.map(([name]) => name)).size !== tags.length) throw s3Error('InvalidTag', { message: 'Cannot provide multiple Tags with the same key' });
  return tags;
}

const notAQuery = (text: string): Error =>
  invalidArgument('x-amz-tagging', text, "The header 'x-amz-tagging' shall be encoded as UTF-8 then URLEncoded URL query parameters without tag name duplicates.");

/** Reads an x-amz-tagging header: a query string. Throws InvalidArgument, InvalidTag, BadRequest. */
export function parseTagQuery(text: string): readonly Tag[] {
  const pairs = rawPairs(text);
  if (/%(?![0-9a-fA-F]{2})/.test(text) || new Set(pairs.map(([name]) => name)).size !== pairs.length) throw notAQuery(text);
  return checkTags(pairs.map(([name, value]) => [percentDecodeText(name), percentDecodeText(value)] as const));
}

export async function getTagging(context: Context): Promise<Reply> {
  const version = await currentVersion(context);
  const tags = version.tags.map(([name, value]) => el('Tag', el('Key', name), el('Value', value)));
  return xmlReply(xmlDocument('Tagging', el('TagSet', tags)));
}

async function replaceTags(context: Context, tags: readonly Tag[], status: number): Promise<Reply> {
  const { bucket, layout } = context;
  const version = await currentVersion(context);
  await layout.replace(bucket.name, { ...version, tags });
  return { status, headers: bucket.versioning === undefined ? {} : { 'x-amz-version-id': version.versionId } };
}

export async function putTagging(context: Context): Promise<Reply> {
  const text = (await readSmall(context.payload(), context.limits.maxXmlBytes)).toString();
  const set = parseXml(text, 'Tagging').children.find((c) => c.name === 'TagSet');
  if (set === undefined) throw s3Error('MalformedXML');
  const tags = childrenNamed(set, 'Tag').map((tag) => [childText(tag, 'Key') ?? '', childText(tag, 'Value') ?? ''] as const);
  return replaceTags(context, checkTags(tags), 200);
}

export const deleteTagging = (context: Context): Promise<Reply> => replaceTags(context, [], 204);
