/**
 * What travels with the bytes (D8, S0.8, S0.41): the source's attributes, changed as the migration says, cut to what the destination can
 * hold, and the list of what was lost on the way (I12). A file's mtime and mode travel to an object store too, where its driver keeps them
 * as user metadata, so that file system → store → file system returns both.
 */
import { BrigadeError } from '../core/errors.ts';
import type { Key } from '../core/key.ts';
import type { Attributes, ContentHeaders, ObjectInfo } from '../core/object.ts';
import type { Store, StoreFacts } from '../ports/storage.ts';
import type { CopyOptions, FidelityAttribute } from './options.ts';

/** What stores answer when nobody said a type: losing it loses nothing. */
const NO_TYPE = new Set(['binary/octet-stream', 'application/octet-stream']);

export interface Carried {
  readonly attributes: Attributes;
  /** Attributes that the destination cannot hold, as the report names them. */
  readonly lost: readonly string[];
}

type Rules = Pick<CopyOptions, 'fidelity' | 'tags' | 'metadata' | 'storageClass'>;

/** @throws E_FIDELITY, E_TAGS_TOO_MANY, E_META_TOO_LARGE (kind `object`). */
export function carryAttributes(info: ObjectInfo, tags: ReadonlyMap<string, string>, from: StoreFacts, to: StoreFacts, rules: Rules, inParts = false): Carried {
  const lost: FidelityAttribute[] = [];
  const keep = (attribute: FidelityAttribute, present: boolean): boolean => {
    if (!present || rules.fidelity[attribute] === 'ignore') return false;
    if (to.attributes[attribute]) return true;
    lost.push(attribute);
    return false;
  };
  const headers = keep('contentHeaders', hasHeaders(info.headers)) ? info.headers : {};
  if (losesHeader(headers, to, inParts)) lost.push('contentHeaders');
  const userMetadata = carryMetadata(info, to, rules, keep);
  if (to.foldsUnderscores === true && foldUnderscores(userMetadata)) lost.push('userMetadata');
  const allTags = carryTags(tags, rules, to, keep);
  const foreign = to.ownClasses === true && from.provider !== to.provider;
  const storageClass = carryClass(info, rules, keep, foreign ? lost : undefined);
  const times = carryFileAttributes(info, from, to, keep);
  refuseLosses(lost, rules);
  refuseTooLarge(userMetadata, to);
  return {
    // An empty map of tags says that there shall be none; left out, a store that copies by itself would keep the source's.
    attributes: { headers, userMetadata, tags: allTags, ...(storageClass === undefined ? {} : { storageClass }), ...times },
    lost: lost.map(reportName),
  };
}

/** Where tags are set by a request of their own, a try that was cut off may have left them out: they are set again. */
export async function finishTags(destination: Store, key: Key, { tags }: Attributes, signal: AbortSignal): Promise<void> {
  if (tags !== undefined && tags.size > 0) await destination.writeTags?.(key, tags, signal);
}

type Keep = (attribute: FidelityAttribute, present: boolean) => boolean;

function carryMetadata(info: ObjectInfo, to: StoreFacts, rules: Rules, keep: Keep): Map<string, string> {
  const carried = new Map(keep('userMetadata', info.userMetadata.size > 0) ? info.userMetadata : []);
  if (to.attributes.userMetadata) for (const [name, value] of Object.entries(rules.metadata)) carried.set(name.toLowerCase(), value);
  return carried;
}

function losesHeader(headers: ContentHeaders, to: StoreFacts, inParts: boolean): boolean {
  const lost = [...to.lostHeaders?.always ?? [], ...(inParts ? to.lostHeaders?.inParts ?? [] : [])];
  return lost.some((name) => headers[name] !== undefined);
}

/** The store will call `a_b` `a-b`: the value is sent under that name, unless one of that name has the better right to it. True when there was one. */
function foldUnderscores(metadata: Map<string, string>): boolean {
  const folded = [...metadata].filter(([name]) => name.includes('_'));
  for (const [name, value] of folded) {
    metadata.delete(name);
    const other = name.replaceAll('_', '-');
    if (!metadata.has(other)) metadata.set(other, value);
  }
  return folded.length > 0;
}

function carryTags(tags: ReadonlyMap<string, string>, rules: Rules, to: StoreFacts, keep: Keep): Map<string, string> {
  // What is ignored is what the source has; what the migration itself sets is another matter.
  const isIgnoring = rules.fidelity.tags === 'ignore';
  const all = new Map([...(isIgnoring ? [] : tags), ...Object.entries(rules.tags.set)]);
  if (isIgnoring ? !to.attributes.tags : !keep('tags', all.size > 0)) return new Map();
  if (all.size > to.maxTags) throw objectError('E_TAGS_TOO_MANY', `${all.size} tags, the destination takes ${to.maxTags}`, 'set fewer tags in transform.tags, or copy: false');
  return all;
}

/** `foreign`: the list of losses, where the destination knows no class but its own: then only one that the migration names is sent. */
function carryClass(info: ObjectInfo, rules: Rules, keep: Keep, foreign: FidelityAttribute[] | undefined): string | undefined {
  const wanted = rules.storageClass ?? info.storageClass;
  if (!keep('storageClass', wanted !== undefined && wanted !== 'STANDARD')) return undefined;
  if (foreign === undefined || rules.storageClass !== undefined) return wanted;
  foreign.push('storageClass');
  return undefined;
}

/** For a file the store's LastModified is better than now; an object that never was a file loses nothing without it. */
function carryFileAttributes(info: ObjectInfo, from: StoreFacts, to: StoreFacts, keep: Keep): Pick<Attributes, 'mtimeNs' | 'mode'> {
  const modified = from.names === 'opaque' && to.names === 'posix' && info.modifiedMs !== undefined ? String(BigInt(Math.round(info.modifiedMs)) * 1_000_000n) : undefined;
  const mtimeNs = info.mtimeNs ?? modified;
  return {
    ...(mtimeNs !== undefined && keep('mtime', true) ? { mtimeNs } : {}),
    // Only permission bits, never setuid, setgid or sticky (F058).
    ...(info.mode !== undefined && keep('mode', true) ? { mode: info.mode & 0o777 } : {}),
  };
}

function hasHeaders(headers: ContentHeaders): boolean {
  return Object.entries(headers).some(([name, value]) => value !== undefined && !(name === 'contentType' && NO_TYPE.has(value as string)));
}

function refuseLosses(lost: readonly FidelityAttribute[], rules: Rules): void {
  const strict = lost.filter((attribute) => rules.fidelity[attribute] === 'strict');
  if (strict.length > 0) throw objectError('E_FIDELITY', `the destination cannot hold ${strict.map(reportName).join(', ')}`, 'set fidelity to report or ignore for it, or exclude the object');
}

function refuseTooLarge(metadata: ReadonlyMap<string, string>, to: StoreFacts): void {
  let bytes = 0;
  for (const [name, value] of metadata) bytes += Buffer.byteLength(name) + Buffer.byteLength(value);
  if (bytes > to.maxUserMetadataBytes) throw objectError('E_META_TOO_LARGE', `${bytes} bytes of user metadata, the destination takes ${to.maxUserMetadataBytes}`, 'set fidelity.user_metadata: ignore to copy without it');
}

/** `storageClass` → `storage_class`, as files and reports write it. */
export function reportName(attribute: FidelityAttribute): string {
  return attribute.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
}

function objectError(code: string, message: string, hint: string): BrigadeError {
  return new BrigadeError({ code, kind: 'object', message, hint });
}
