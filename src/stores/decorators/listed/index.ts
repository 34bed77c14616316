/**
 * A store whose listing stands in a file: what the file names is what there is. The file may be old, so what it says of an object is only a
 * pin: reads are nailed to it, a changed object is looked at again, a gone one is skipped, and new ones are not seen. What the file does not
 * say, the object is asked for (one HEAD).
 */
import { isKind } from '../../../core/errors.ts';
import type { Key } from '../../../core/key.ts';
import type { ObjectEntry } from '../../../core/object.ts';
import type { ListPage, ListRequest, Store } from '../../../ports/storage.ts';
import { layer } from '../layer.ts';
import { broken, readable } from './file.ts';
import { inventoryRows } from './inventory.ts';
import { inBucket, inFolder } from './places.ts';
import { csvRows, jsonRows, type Row } from './rows.ts';

export interface ListingFile {
  /** Of this machine: `….csv`, `….jsonl`, each also with `.gz`; or the `manifest.json` of an S3 Inventory. Or a manifest where it was written. */
  readonly at: string | InventoryInBucket;
  readonly bucket: string;
  /** The root of the store: keys of the file are whole, and those outside are left out. */
  readonly prefix: Key;
}

export interface InventoryInBucket {
  /** Opens the whole bucket that holds the inventory; it is closed when the listing ends. */
  open(): Promise<Store>;
  readonly manifest: Key;
}

const PAGE = 1000;
const HEADS_AT_ONCE = 32;

/** Order is not expected of a file: its entries go through the sorter. */
export function listedFrom(store: Store, file: ListingFile): Store {
  const outer = layer(store, { call: (_, run) => run(), list: (request) => pages(store, file, request) });
  return Object.defineProperty(outer, 'facts', { get: () => ({ ...store.facts, ordered: false }) });
}

async function* pages(store: Store, file: ListingFile, { prefix = '', signal }: ListRequest): AsyncGenerator<ListPage> {
  let drafts: Draft[] = [];
  for await (const row of rowsOf(file, signal)) {
    const draft = draftOf(file, row);
    if (draft === undefined || !draft.key.startsWith(prefix)) continue;
    drafts.push(draft);
    if (drafts.length < PAGE) continue;
    signal?.throwIfAborted();
    yield { entries: await complete(store, drafts, signal) };
    drafts = [];
  }
  if (drafts.length > 0) yield { entries: await complete(store, drafts, signal) };
}

async function* rowsOf({ at, bucket }: ListingFile, signal: AbortSignal | undefined): AsyncGenerator<Row> {
  if (typeof at === 'string') return yield* rowsOfFile(at, bucket, signal);
  const holder = await at.open();
  try {
    yield* inventoryRows(inBucket(holder, at.manifest), bucket, signal);
  } finally {
    await holder.close();
  }
}

function rowsOfFile(path: string, bucket: string, signal: AbortSignal | undefined): AsyncGenerator<Row> {
  const name = path.toLowerCase().replace(/\.gz$/, '');
  if (name.endsWith('.csv')) return csvRows(readable(path));
  return name.endsWith('manifest.json') ? inventoryRows(inFolder(path), bucket, signal) : jsonRows(readable(path));
}

type Draft = Pick<ObjectEntry, 'key'> & Partial<ObjectEntry>;

function draftOf({ at, prefix }: ListingFile, row: Row): Draft | undefined {
  const { fields } = row;
  const text = (name: string): string => String(fields.get(name) ?? '');
  const key = text('key');
  if (key === '') throw brokenRow(at, row, 'says no key: a listing has a column key');
  if (!key.startsWith(prefix) || key.length === prefix.length) return undefined;
  const [size, token, storageClass] = [text('size'), text('etag').replace(/^"(.*)"$/, '$1'), text('storageclass')];
  if (size !== '' && !/^\d{1,15}$/.test(size)) throw brokenRow(at, row, 'has a size that is not a number of bytes');
  const modifiedMs = millisecondsOf(fields.get('lastmodifieddate') ?? fields.get('lastmodified'));
  return {
    key: key.slice(prefix.length), kind: 'object',
    ...(size === '' ? {} : { size: Number(size) }), ...(token === '' ? {} : { token }),
    ...(Number.isNaN(modifiedMs) ? {} : { modifiedMs }), ...(storageClass === '' ? {} : { storageClass }),
  };
}

function millisecondsOf(time: string | number | boolean | undefined): number {
  return typeof time === 'number' ? time : Date.parse(String(time));
}

function brokenRow(at: ListingFile['at'], { file, unit, number }: Row, why: string): Error {
  return broken(file, `${unit} ${number} ${why}`, typeof at === 'string' ? 'mend the listing, or make it again' : 'have the inventory made again');
}

async function complete(store: Store, drafts: readonly Draft[], signal: AbortSignal | undefined): Promise<ObjectEntry[]> {
  const entries: ObjectEntry[] = [];
  for (let from = 0; from < drafts.length; from += HEADS_AT_ONCE) {
    entries.push(...await Promise.all(drafts.slice(from, from + HEADS_AT_ONCE).map((draft) => asked(store, draft, signal))));
  }
  return entries;
}

function isWhole(draft: Draft): draft is ObjectEntry {
  return draft.size !== undefined && draft.token !== undefined;
}

async function asked(store: Store, draft: Draft, signal: AbortSignal | undefined): Promise<ObjectEntry> {
  if (isWhole(draft)) return draft;
  try {
    const { size, token, modifiedMs, storageClass } = await store.head(draft.key, signal === undefined ? {} : { signal });
    return { key: draft.key, kind: 'object', size, token, ...(modifiedMs === undefined ? {} : { modifiedMs }), ...(storageClass === undefined ? {} : { storageClass }) };
  } catch (error) {
    if (!isKind(error, 'gone')) throw error;
    return { key: draft.key, kind: 'special', size: 0, token: '', reason: { state: 'skipped', code: 'source_gone', message: 'the listing names it, and the source has no such object' } };
  }
}
