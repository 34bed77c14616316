/**
 * The end of a run between folders: every directory that holds something of the run is given the mode and the time of its source. Not
 * before, since each entry that is made in a directory changes its time, and one that forbids writing could not be filled. Until then a
 * directory that the run made is its owner's alone (stores/filesystem). A stopped run does this when it is resumed; doing it again is no harm.
 */
import { BrigadeError, isKind } from '../core/errors.ts';
import type { Item } from '../core/item.ts';
import { compareKeys, type Key } from '../core/key.ts';
import type { Attributes } from '../core/object.ts';
import type { Ledger } from '../ports/ledger.ts';
import type { Store } from '../ports/storage.ts';
import { reportName } from './fidelity.ts';
import type { CopyOptions } from './options.ts';

type Carried = 'mode' | 'mtime';
export type DirectoryFidelity = Pick<CopyOptions['fidelity'], Carried>;

export interface DirectoriesContext {
  readonly source: Store;
  readonly destination: Store;
  readonly ledger: Ledger;
  readonly run: number;
  readonly fidelity: DirectoryFidelity;
}

/** @throws premise E_FIDELITY where a mode or time cannot be set that must survive; what may be lost is counted in the totals (I12). */
export async function finishDirectories(context: DirectoriesContext, signal: AbortSignal): Promise<void> {
  const carried = (['mode', 'mtime'] as const).filter((attribute) => context.fidelity[attribute] !== 'ignore');
  if (carried.length === 0 || context.destination.setDirectory === undefined) return;
  let lost = 0;
  for await (const key of insideOut(context, signal)) if (!(await finish(context, key, carried, signal))) lost++;
  if (lost > 0) context.ledger.addTotals(context.run, { lost: Object.fromEntries(carried.map((attribute) => [reportName(attribute), lost])) });
}

/** What a directory holds comes before it: its own mode may keep us from entering it. Only the way down to where we are is held. */
async function* insideOut({ source, ledger, run }: DirectoriesContext, signal: AbortSignal): AsyncGenerator<Key, void, undefined> {
  const items = new Items(ledger.items(run));
  const open: Key[] = [];
  try {
    for await (const { entries } of source.list({ directories: true, signal })) {
      for (const { key, kind } of entries) {
        if (kind !== 'directory' || !items.anyBelow(key)) continue;
        while (open.length > 0 && !key.startsWith(open.at(-1) as Key)) yield open.pop() as Key;
        open.push(key);
      }
    }
    while (open.length > 0) yield open.pop() as Key;
  } finally {
    items.close();
  }
}

/** The listed items of a run beside directories that come in key order. */
class Items {
  readonly #items: Iterator<Item>;
  #next: Item | undefined;

  constructor(items: Iterable<Item>) {
    this.#items = items[Symbol.iterator]();
    this.#advance();
  }

  /** Whether the run has an item that is this directory or lies below it. */
  anyBelow(directory: Key): boolean {
    while (this.#next !== undefined && (this.#next.state === 'extra' || compareKeys(this.#next.key, directory) < 0)) this.#advance();
    return this.#next?.key.startsWith(directory) === true;
  }

  #advance(): void {
    const step = this.#items.next();
    this.#next = step.done === true ? undefined : step.value;
  }

  close(): void {
    this.#items.return?.();
  }
}

/** False: it could not be carried, and may be lost. What is no directory on both sides (any more) has nothing to be given. */
async function finish({ source, destination, fidelity }: DirectoriesContext, key: Key, carried: readonly Carried[], signal: AbortSignal): Promise<boolean> {
  try {
    const { mode, mtimeNs } = await source.head(key, { signal });
    const attributes: Pick<Attributes, 'mode' | 'mtimeNs'> = {
      ...(mode !== undefined && carried.includes('mode') ? { mode } : {}), ...(mtimeNs !== undefined && carried.includes('mtime') ? { mtimeNs } : {}),
    };
    await destination.setDirectory?.(key, attributes, signal);
    return true;
  } catch (error) {
    if (isKind(error, 'gone', 'changed')) return true;
    if (!isKind(error, 'object')) throw error;
    if (carried.every((attribute) => fidelity[attribute] !== 'strict')) return false;
    const { message, location } = error as BrigadeError;
    throw new BrigadeError({ code: 'E_FIDELITY', kind: 'premise', message: `the mode or time of a directory cannot be set: ${message}`, hint: 'make the user of this process its owner, or set fidelity.mode and fidelity.mtime to report', cause: error, ...(location === undefined ? {} : { location }) });
  }
}
