/**
 * What becomes of one key of a listing: an item with its decision, or nothing. Knows neither order nor neighbours, so that every range of
 * the key space comes to the same.
 */
import { isCanary } from '../core/canary.ts';
import { type Decision, decide, isDirectory } from '../core/decide.ts';
import type { Item, Problem } from '../core/item.ts';
import type { Key } from '../core/key.ts';
import type { EntryReason, ObjectEntry } from '../core/object.ts';
import { createSelector, type Selector } from '../core/select.ts';
import type { Store } from '../ports/storage.ts';
import { type PlanOptions, SIZE_IN_DOUBT } from './options.ts';

export interface DraftContext {
  readonly destination: Pick<Store, 'facts' | 'refuses'>;
  readonly options: PlanOptions;
  /** Keys that would be one name at the destination (name-clashes.ts); none of them is written. */
  readonly clashes?: ReadonlySet<Key>;
}

export interface Draft { readonly item: Item; readonly problem?: Problem }

/** What earlier runs left at the destination under a key: what "as we left it" means. Asked in key order. */
export type Left = (key: Key) => Item | undefined;

export class Drafts {
  readonly #context: DraftContext;
  readonly #select: Selector;

  constructor(context: DraftContext) {
    this.#context = context;
    this.#select = createSelector(context.options.selection);
  }

  /** `blind`: below it the source could not be seen. */
  of(source: ObjectEntry | undefined, destination: ObjectEntry | undefined, left: Left, blind: Key | undefined): Draft | undefined {
    if (source === undefined) return destination === undefined ? undefined : this.#extra(destination, blind);
    // A directory that holds something is made by what it holds; only an empty one is an item of its own.
    if (source.kind === 'directory' && !source.empty) return undefined;
    if (!this.#select(source)) return undefined;
    const before = destination === undefined ? undefined : left(source.key);
    const draft = draftOf(source, destination, this.#decide(source, destination, before), this.#context.destination.facts.names === 'posix');
    return draft.item.state === 'pending' ? { ...draft, item: withSizeDoubt(draft.item, before) } : draft;
  }

  #decide(source: ObjectEntry, destination: ObjectEntry | undefined, left: Item | undefined): Decision {
    if (source.reason !== undefined) return reasonDecision(source.reason);
    const { facts } = this.#context.destination;
    if (source.kind === 'directory' && facts.names === 'opaque') return { action: 'skip', code: 'empty_directory', message: 'an object store has no empty directories' };
    if (this.#context.clashes?.has(source.key)) return clash();
    const refusal = this.#context.destination.refuses(source);
    if (refusal !== undefined) return { action: 'fail', ...refusal, hint: 'exclude it (select.exclude), rename it at the source, or choose another destination' };
    if (source.size > facts.maxObjectSize) return { action: 'fail', code: 'E_TOO_LARGE', message: `${source.size} bytes, the destination takes ${facts.maxObjectSize} in one object`, hint: 'exclude it, or choose another destination' };
    return decide(source, destination, left, this.#context.options);
  }

  #extra(destination: ObjectEntry, blind: Key | undefined): Draft | undefined {
    const hidden = blind !== undefined && destination.key.startsWith(blind);
    if (hidden || destination.kind !== 'object' || isCanary(destination.key) || !this.#select(destination)) return undefined;
    return { item: { key: destination.key, kind: 'object', size: destination.size, state: 'extra', source: { token: '' }, destination: destination.token, evidence: 'none', attempts: 0 } };
  }
}

function draftOf(source: ObjectEntry, destination: ObjectEntry | undefined, decision: Decision, posix: boolean): Draft {
  const base = {
    key: source.key, kind: source.kind === 'directory' || (posix && isDirectory(source)) ? 'directory' : 'object', size: source.size, source: { token: source.token }, attempts: 0,
    ...(source.storageClass === undefined ? {} : { storageClass: source.storageClass }),
  } as const;
  const there = destination === undefined ? {} : { destination: destination.token };
  switch (decision.action) {
    case 'copy': return { item: { ...base, ...there, state: 'pending', evidence: 'none' } };
    case 'compare': return { item: { ...base, ...there, state: 'pending', evidence: 'none', code: 'compare' } };
    case 'unchanged': return { item: { ...base, ...there, state: 'unchanged', evidence: decision.previous?.evidence ?? 'none', ...(decision.previous?.checksum === undefined ? {} : { checksum: decision.previous.checksum }) } };
    case 'skip': return { item: { ...base, ...there, state: 'skipped', evidence: 'none', code: decision.code }, problem: { code: decision.code, message: decision.message } };
    case 'fail': return { item: { ...base, ...there, state: 'failed', evidence: 'none', code: decision.code }, problem: { code: decision.code, kind: 'object', message: decision.message, hint: decision.hint } };
  }
}

/** Both ends show the versions that were copied, under another size: the copier asks the objects themselves (F022). */
function withSizeDoubt(item: Item, previous: Item | undefined): Item {
  const sameVersions = previous !== undefined && item.source.token !== '' && previous.source.token === item.source.token && previous.destination !== undefined && previous.destination === item.destination;
  if (!sameVersions || previous.size === item.size || (previous.state !== 'copied' && previous.state !== 'unchanged')) return item;
  return { ...item, code: SIZE_IN_DOUBT, evidence: previous.evidence, ...(previous.checksum === undefined ? {} : { checksum: previous.checksum }) };
}

function clash(): Decision {
  return { action: 'fail', code: 'E_NAME_COLLISION', message: 'the destination takes this name and another one of the source for the same', hint: 'rename one of them at the source, or choose a destination that tells them apart' };
}

function reasonDecision(reason: EntryReason): Decision {
  if (reason.state === 'skipped') return { action: 'skip', code: reason.code, message: reason.message };
  return { action: 'fail', code: reason.code, message: reason.message, hint: reason.hint ?? 'exclude it (select.exclude)' };
}

export function collided(draft: Draft): Draft {
  if (draft.item.state === 'extra') return draft;
  const code = 'E_NAME_COLLISION';
  return {
    item: { ...draft.item, state: 'failed', code },
    problem: { code, kind: 'object', message: 'a directory of this name is needed for longer keys: a file system cannot hold both', hint: 'rename one of them at the source, or choose an object store' },
  };
}
