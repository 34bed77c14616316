/**
 * "Already there?" as one truth table (design truth 15). Pure: two listing entries and what the ledger knows go in, a decision comes out.
 * A ledger row is that of the newest run that copied the key or found it unchanged; runs since that failed at it or did not see it wrote nothing.
 *
 * | ledger | source    | destination      | decision                                                        |
 * |--------|-----------|------------------|-----------------------------------------------------------------|
 * | row    | same      | as we left it    | unchanged                                                       |
 * | row    | any       | absent           | copy, guard absent                                              |
 * | row    | changed   | as we left it    | copy, guard matches                                             |
 * | none   | any       | absent           | copy, guard absent                                              |
 * | row    | same size | something else   | compare: a checksum both vouch for; then on_conflict            |
 * | none   | same size | same size        | compare: the same, and size+mtime where that is asked for       |
 * | any    | other size| something else   | on_conflict                                                     |
 * | any    | absent    | anything         | extra                                                           |
 */
import type { Item } from './item.ts';
import type { ObjectEntry } from './object.ts';

export type Compare = 'auto' | 'size-mtime' | 'checksum';
export type OnConflict = 'overwrite' | 'skip-newer' | 'fail';

export interface DecideOptions {
  readonly compare: Compare;
  readonly onConflict: OnConflict;
  /** Coarsest step of the two stores' modification times, in milliseconds (F057). */
  readonly mtimeStepMs: number;
}

export type Decision =
  | { readonly action: 'copy' }
  /** Sizes agree and nothing is known: the copier compares checksums first. */
  | { readonly action: 'compare' }
  | { readonly action: 'unchanged'; readonly previous?: Item }
  | { readonly action: 'skip'; readonly code: string; readonly message: string }
  | { readonly action: 'fail'; readonly code: string; readonly message: string; readonly hint: string };

export function decide(source: ObjectEntry, destination: ObjectEntry | undefined, previous: Item | undefined, options: DecideOptions): Decision {
  if (destination === undefined) return { action: 'copy' };
  if (sameDirectory(source, destination)) return { action: 'unchanged' };
  const known = previous?.destination !== undefined && (previous.state === 'copied' || previous.state === 'unchanged') ? previous : undefined;
  if (known !== undefined && known.destination === destination.token) return isSameVersion(source, known) ? { action: 'unchanged', previous: known } : { action: 'copy' };
  if (source.size !== destination.size) return decideConflict(source, destination, options.onConflict);
  // It may be ours all the same: written for a plain message, or by a worker of which nothing was heard any more.
  if (known === undefined && options.compare === 'size-mtime' && sameTime(source, destination, options.mtimeStepMs)) return { action: 'unchanged' };
  return { action: 'compare' };
}

/** What to do about a destination object that we did not write and that is not proven equal (truth 15c). */
export function decideConflict(source: { readonly modifiedMs?: number }, destination: { readonly modifiedMs?: number }, onConflict: OnConflict): Decision {
  switch (onConflict) {
    case 'overwrite': return { action: 'copy' };
    case 'fail': return { action: 'fail', code: 'E_CONFLICT', message: 'the destination holds another object under this key, not written by this migration', hint: 'remove it, or set on_conflict: overwrite' };
    case 'skip-newer': return isNewer(destination, source) ? { action: 'skip', code: 'newer_at_destination', message: 'the destination object is newer than the source' } : { action: 'copy' };
  }
}

function isSameVersion(source: ObjectEntry, known: Item): boolean {
  return source.token === known.source.token && source.size === known.size;
}

/** Only where one side is a file system: two markers are two objects with tokens and attributes like any other. */
function sameDirectory(source: ObjectEntry, destination: ObjectEntry): boolean {
  return (source.kind === 'directory' || destination.kind === 'directory') && isDirectory(source) && isDirectory(destination);
}

/** A directory, or the zero-byte `dir/` marker that stands for one in an object store (F042). */
export function isDirectory(entry: ObjectEntry): boolean {
  return entry.kind === 'directory' || (entry.size === 0 && entry.key.endsWith('/'));
}

function isNewer(a: { readonly modifiedMs?: number }, b: { readonly modifiedMs?: number }): boolean {
  return a.modifiedMs !== undefined && b.modifiedMs !== undefined && a.modifiedMs > b.modifiedMs;
}

function sameTime(a: ObjectEntry, b: ObjectEntry, stepMs: number): boolean {
  return a.modifiedMs !== undefined && b.modifiedMs !== undefined && Math.abs(a.modifiedMs - b.modifiedMs) <= stepMs;
}
