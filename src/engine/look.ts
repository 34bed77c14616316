/**
 * One key that somebody names, without a listing: both stores are asked what stands there, and the plan's own rules decide (drafts.ts), so that it is copied, skipped
 * or refused as it would be after a listing. What the copy then needs to know, the two answers say: the version to read, and what it may write over.
 */
import type { Key } from '../core/key.ts';
import type { ObjectEntry, ObjectInfo } from '../core/object.ts';
import type { Store } from '../ports/storage.ts';
import { versionOf } from './content.ts';
import { headOrNone } from './copier.ts';
import { type Draft, Drafts } from './drafts.ts';
import { COMPARE_BY_READING, type PlanOptions } from './options.ts';

/** @throws BrigadeError as the two stores do, but for `gone` */
export type Look = (key: Key, signal: AbortSignal) => Promise<Draft>;

/** Nothing of an earlier run is known. */
const NOTHING_LEFT = (): undefined => undefined;

/** `options`: of the moment, since ages count back from it. */
export function lookInto(source: Store, destination: Store, options: PlanOptions): Look {
  const drafts = new Drafts({ destination, options });
  return async (key, signal) => {
    const [here, there] = await Promise.all([headOrNone(source, { key }, signal), headOrNone(destination, { key }, signal)]);
    if (here === undefined) return failed(key, { code: 'E_SOURCE_GONE', message: 'there is no such object at the source', hint: 'look whether the key is written as the source has it, and whether it was removed since' });
    const draft = drafts.of(entryOf(here), there === undefined ? undefined : entryOf(there), NOTHING_LEFT, undefined);
    if (draft === undefined) return failed(key, { code: 'E_PLAIN_KEY', message: 'the migration does not copy this key: its select leaves it out', hint: 'change select in the migration file, or do not send the key' }, here.size);
    if (draft.item.state !== 'pending') return draft;
    const { code } = draft.item;
    return { item: { ...draft.item, source: versionOf(here).pin, ...(code === 'compare' ? { code: COMPARE_BY_READING } : {}) } };
  };
}

function entryOf({ key, size, token, modifiedMs, storageClass }: ObjectInfo): ObjectEntry {
  return { key, kind: 'object', size, token, ...(modifiedMs === undefined ? {} : { modifiedMs }), ...(storageClass === undefined ? {} : { storageClass }) };
}

function failed(key: Key, { code, message, hint }: { readonly code: string; readonly message: string; readonly hint: string }, size = 0): Draft {
  return { item: { key, kind: 'object', size, state: 'failed', source: { token: '' }, evidence: 'none', code, attempts: 0 }, problem: { code, kind: 'object', message, hint } };
}
