/** Conditional requests. Source: RFC 9110 §13.2.2 for the order, S3 User Guide "Conditional requests" for writes. */
import type { Reply } from './context.ts';
import { httpTime, quoted, unquoted } from './context.ts';
import { s3Error } from './errors.ts';
import type { Guard, ObjectVersion } from './layout.ts';

type Headers = ReadonlyMap<string, string>;

const failed = (condition: string): Error => s3Error('PreconditionFailed', { details: { Condition: condition } });

const matches = (list: string, version: ObjectVersion): boolean =>
  list.trim() === '*' || list.split(',').some((etag) => unquoted(etag.trim().replace(/^W\//, '')) === version.etag);

/** Whole seconds: the header cannot say more. */
const seconds = (ms: number): number => Math.floor(ms / 1000);

function after(version: ObjectVersion, date: string | undefined): boolean | undefined {
  const time = Date.parse(date ?? '');
  return Number.isNaN(time) ? undefined : seconds(version.modified) > seconds(time);
}

interface Names { readonly match: string; readonly noneMatch: string; readonly modified: string; readonly unmodified: string }

const readNames: Names = { match: 'if-match', noneMatch: 'if-none-match', modified: 'if-modified-since', unmodified: 'if-unmodified-since' };
const copyNames: Names = {
  match: 'x-amz-copy-source-if-match', noneMatch: 'x-amz-copy-source-if-none-match',
  modified: 'x-amz-copy-source-if-modified-since', unmodified: 'x-amz-copy-source-if-unmodified-since',
};

/** The name of the condition that stops a read; `modified` ones mean 304. */
function stops(version: ObjectVersion, headers: Headers, names: Names): { name: string; notModified: boolean } | undefined {
  const match = headers.get(names.match);
  if (match !== undefined && !matches(match, version)) return { name: 'If-Match', notModified: false };
  if (match === undefined && after(version, headers.get(names.unmodified)) === true) return { name: 'If-Unmodified-Since', notModified: false };
  const none = headers.get(names.noneMatch);
  if (none !== undefined && matches(none, version)) return { name: 'If-None-Match', notModified: true };
  if (none === undefined && after(version, headers.get(names.modified)) === false) return { name: 'If-Modified-Since', notModified: true };
  return undefined;
}

/** A 304 to answer instead of the object, or undefined to go on. Throws PreconditionFailed. */
export function checkRead(version: ObjectVersion, headers: Headers): Reply | undefined {
  const stop = stops(version, headers, readNames);
  if (stop === undefined) return undefined;
  if (!stop.notModified) throw failed(stop.name);
  return { status: 304, headers: { etag: quoted(version.etag), 'last-modified': httpTime(version.modified) } };
}

/** Conditions on the source of a copy all fail with 412. */
export function checkCopySource(version: ObjectVersion, headers: Headers): void {
  const stop = stops(version, headers, copyNames);
  if (stop !== undefined) throw failed(`x-amz-copy-source-${stop.name}`);
}

/** The guard of a write: If-None-Match: * and If-Match against the newest version. */
export function writeGuard(headers: Headers, key: string): Guard {
  const match = headers.get('if-match');
  const none = headers.get('if-none-match');
  if (none !== undefined && none.trim() !== '*') throw s3Error('NotImplemented', { details: { Header: 'If-None-Match', additionalMessage: 'We only support If-None-Match:*' } });
  if (none !== undefined && match !== undefined) throw s3Error('NotImplemented', { details: { Header: 'If-Match,If-None-Match' } });
  return (newest) => {
    const present = newest !== undefined && !newest.deleteMarker ? newest : undefined;
    if (none !== undefined && present !== undefined) throw failed('If-None-Match');
    if (match === undefined) return;
    if (present === undefined) throw s3Error('NoSuchKey', { details: { Key: key } });
    if (!matches(match, present)) throw failed('If-Match');
  };
}

export const noGuard: Guard = () => undefined;
