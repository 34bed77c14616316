/**
 * A store whose listing stands in a file: what the file names is what there is. The file may be old, so what it says of an object is only a
 * pin: reads are nailed to it, a changed object is looked at again, a gone one is skipped, and new ones are not seen. What the file does not
 * say, the object is asked for (one HEAD).
 */
import { isKind } from '../../../core/errors.ts';
import { keyFromBytes, type Key } from '../../../core/key.ts';
import type { ObjectEntry } from '../../../core/object.ts';
import type { ListPage, ListRequest, Store } from '../../../ports/storage.ts';
import { layer } from '../layer.ts';
import { inventoryRows } from './inventory.ts';
import { broken, csvRows, jsonRows, type Row } from './rows.ts';

export interface ListingFile {
  /** `….csv`, `….jsonl`, each also with `.gz`; or the `manifest.json` of an S3 Inventory. */
  readonly path: string;
  readonly bucket: string;
  /** The root of the store: keys of the file are whole, and those outside are left out. */
  readonly prefix: Key;
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
  for await (const row of rowsOf(file)) {
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

function rowsOf({ path, bucket }: ListingFile): AsyncGenerator<Row> {
  const name = path.toLowerCase().replace(/\.gz$/, '');
  if (name.endsWith('.csv')) return csvRows(path);
  return name.endsWith('manifest.json') ? decoded(inventoryRows(path, bucket)) : jsonRows(path);
}

/** Keys of an inventory are percent-encoded, spaces as `+`; versions that are not the latest, and delete markers, are no objects. */
async function* decoded(rows: AsyncGenerator<Row>): AsyncGenerator<Row> {
  for await (const { line, fields } of rows) {
    if (fields.get('isdeletemarker') === 'true' || fields.get('islatest') === 'false') continue;
    const bytes = (fields.get('key') ?? '').replaceAll('+', ' ').replace(/%([0-9a-fA-F]{2})/g, (_, hex: string) => String.fromCharCode(parseInt(hex, 16)));
    yield { line, fields: new Map([...fields, ['key', keyFromBytes(Buffer.from(bytes, 'latin1'))]]) };
  }
}

type Draft = Pick<ObjectEntry, 'key'> & Partial<ObjectEntry>;

function draftOf({ path, prefix }: ListingFile, { line, fields }: Row): Draft | undefined {
  const key = fields.get('key');
  if (key === undefined) throw broken(path, line, 'says no key: a listing has a column key');
  if (!key.startsWith(prefix) || key.length === prefix.length) return undefined;
  const field = (...names: readonly string[]): string => names.map((name) => fields.get(name)).find((value) => value !== undefined) ?? '';
  const [size, token] = [field('size'), field('etag').replace(/^"(.*)"$/, '$1')];
  const modifiedMs = Date.parse(field('lastmodifieddate', 'last_modified'));
  const storageClass = field('storageclass', 'storage_class');
  if (size !== '' && !/^\d{1,15}$/.test(size)) throw broken(path, line, 'has a size that is not a number of bytes');
  return {
    key: key.slice(prefix.length), kind: 'object',
    ...(size === '' ? {} : { size: Number(size) }), ...(token === '' ? {} : { token }),
    ...(Number.isNaN(modifiedMs) ? {} : { modifiedMs }), ...(storageClass === '' ? {} : { storageClass }),
  };
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
