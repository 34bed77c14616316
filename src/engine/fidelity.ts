/**
 * What travels with the bytes (D8, S0.8, S0.41): the source's attributes, changed as the migration says, cut to what the destination can
 * hold, and the list of what was lost on the way (I12). A file's mtime and mode travel to an object store as user metadata and come back
 * from there, so that file system → store → file system returns both.
 */
import { BrigadeError } from '../core/errors.ts';
import type { Attributes, ContentHeaders, ObjectInfo } from '../core/object.ts';
import type { StoreFacts } from '../ports/storage.ts';
import type { CopyOptions, FidelityAttribute } from './options.ts';

export const MTIME_NAME = 'brigade-mtime';
export const MODE_NAME = 'brigade-mode';
/** What stores answer when nobody said a type: losing it loses nothing. */
const NO_TYPE = new Set(['binary/octet-stream', 'application/octet-stream']);

export interface Carried {
  readonly attributes: Attributes;
  /** Attributes that the destination cannot hold, as the report names them. */
  readonly lost: readonly string[];
}

type Rules = Pick<CopyOptions, 'fidelity' | 'tags' | 'metadata' | 'storageClass'>;

/** @throws E_FIDELITY, E_TAGS_TOO_MANY, E_META_TOO_LARGE (kind `object`). */
export function carryAttributes(info: ObjectInfo, tags: ReadonlyMap<string, string>, from: StoreFacts, to: StoreFacts, rules: Rules): Carried {
  const lost: FidelityAttribute[] = [];
  const keep = (attribute: FidelityAttribute, present: boolean): boolean => {
    if (!present || rules.fidelity[attribute] === 'ignore') return false;
    if (to.attributes[attribute]) return true;
    lost.push(attribute);
    return false;
  };
  const headers = keep('contentHeaders', hasHeaders(info.headers)) ? info.headers : {};
  const userMetadata = carryMetadata(info, from, to, rules, keep);
  const allTags = carryTags(tags, rules, to, keep);
  const storageClass = carryClass(info, rules, keep);
  const times = to.names === 'posix' ? fileAttributes(info, from, rules) : {};
  refuseLosses(lost, rules);
  refuseTooLarge(userMetadata, to);
  return {
    attributes: { headers, userMetadata, ...(allTags.size > 0 ? { tags: allTags } : {}), ...(storageClass === undefined ? {} : { storageClass }), ...times },
    lost: lost.map(reportName),
  };
}

type Keep = (attribute: FidelityAttribute, present: boolean) => boolean;

function carryMetadata(info: ObjectInfo, from: StoreFacts, to: StoreFacts, rules: Rules, keep: Keep): Map<string, string> {
  const own = new Map([...info.userMetadata].filter(([name]) => to.names === 'opaque' || (name !== MTIME_NAME && name !== MODE_NAME)));
  const carried = keep('userMetadata', own.size > 0) ? own : new Map<string, string>();
  if (to.attributes.userMetadata) for (const [name, value] of Object.entries(rules.metadata)) carried.set(name.toLowerCase(), value);
  if (from.names !== 'posix' || to.names === 'posix') return carried;
  if (info.mtimeNs !== undefined && rules.fidelity.mtime !== 'ignore') carried.set(MTIME_NAME, info.mtimeNs);
  if (info.mode !== undefined && rules.fidelity.mode !== 'ignore') carried.set(MODE_NAME, (info.mode & 0o777).toString(8).padStart(4, '0'));
  return carried;
}

function carryTags(tags: ReadonlyMap<string, string>, rules: Rules, to: StoreFacts, keep: Keep): Map<string, string> {
  const all = new Map([...tags, ...Object.entries(rules.tags.set)]);
  if (!keep('tags', all.size > 0)) return new Map();
  if (all.size > to.maxTags) throw objectError('E_TAGS_TOO_MANY', `${all.size} tags, the destination takes ${to.maxTags}`, 'set fewer tags in transform.tags, or copy: false');
  return all;
}

function carryClass(info: ObjectInfo, rules: Rules, keep: Keep): string | undefined {
  const wanted = rules.storageClass ?? info.storageClass;
  return keep('storageClass', wanted !== undefined && wanted !== 'STANDARD') ? wanted : undefined;
}

/** mtime and mode for a file: from the file, from our metadata names, or the store's LastModified. */
function fileAttributes(info: ObjectInfo, from: StoreFacts, rules: Rules): Pick<Attributes, 'mtimeNs' | 'mode'> {
  const mtimeNs = info.mtimeNs ?? validNs(info.userMetadata.get(MTIME_NAME)) ?? (info.modifiedMs === undefined ? undefined : String(BigInt(Math.round(info.modifiedMs)) * 1_000_000n));
  const mode = info.mode ?? validMode(from.names === 'posix' ? undefined : info.userMetadata.get(MODE_NAME));
  return {
    ...(mtimeNs === undefined || rules.fidelity.mtime === 'ignore' ? {} : { mtimeNs }),
    ...(mode === undefined || rules.fidelity.mode === 'ignore' ? {} : { mode: mode & 0o777 }),
  };
}

/** Metadata comes from strangers: only a plain number is a time. */
function validNs(text: string | undefined): string | undefined {
  return text !== undefined && /^-?\d{1,19}$/.test(text) ? text : undefined;
}

/** Only permission bits, never setuid, setgid or sticky (F058). */
function validMode(text: string | undefined): number | undefined {
  return text !== undefined && /^[0-7]{1,6}$/.test(text) ? Number.parseInt(text, 8) & 0o777 : undefined;
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
