/** Rows of the database as the values of the port, and back. */
import { keyFromBytes, keyToBytes } from '../../core/key.ts';
import type { ErrorKind } from '../../core/errors.ts';
import type { Problem } from '../../core/item.ts';
import type { Key } from '../../core/key.ts';
import type { Shard } from '../../core/shard.ts';
import type { Checksum, ChecksumAlgorithm } from '../../core/object.ts';
import type { Finding, Listing, Run, RunTotals } from '../../ports/ledger.ts';
import type { Part, Upload } from '../../ports/storage.ts';

export type Row = Readonly<Record<string, unknown>>;

export function runOf(row: Row): Run {
  return {
    number: Number(row['number']), kind: row['kind'] as Run['kind'], state: row['state'] as Run['state'], stage: row['stage'] as Run['stage'],
    startedMs: Number(row['started_ms']), ...(row['ended_ms'] === null ? {} : { endedMs: Number(row['ended_ms']) }),
    ...(row['pause'] === null ? {} : { pause: JSON.parse(String(row['pause'])) as Problem }),
    listing: listingOf(row), activeMs: Number(row['active_ms']), resumes: Number(row['resumes']),
  };
}

function listingOf(row: Row): Listing {
  return {
    sealed: row['sealed'] === 1,
    sourceObjects: Number(row['source_objects']), sourceBytes: Number(row['source_bytes']), destinationObjects: Number(row['destination_objects']),
  };
}

/** A column of bytes as the key under this name, where there is one. */
function keyOf<N extends string>(row: Row, column: string, name: N): { readonly [K in N]?: Key } {
  const bytes = row[column];
  return (bytes instanceof Uint8Array ? { [name]: keyFromBytes(bytes) } : {}) as { readonly [K in N]?: Key };
}

export function shardOf(row: Row): Shard {
  return {
    number: Number(row['number']), ...keyOf(row, 'after', 'after'), ...keyOf(row, 'up_to', 'upTo'), ...keyOf(row, 'first_key', 'firstKey'), ...keyOf(row, 'last_key', 'lastKey'),
    items: Number(row['items']), sealed: row['sealed'] === 1,
    source: { objects: Number(row['source_objects']), bytes: Number(row['source_bytes']), digest: String(row['source_digest']) },
    destination: { objects: Number(row['destination_objects']), digest: String(row['destination_digest']) },
  };
}

/** In the order of the columns of `setShard`, behind the run. */
export function shardRow({ number, after, upTo, firstKey, lastKey, items, source, destination, sealed }: Shard): (string | number | Uint8Array | null)[] {
  const bytes = (key: Key | undefined) => (key === undefined ? null : keyToBytes(key));
  return [number, bytes(after), bytes(upTo), bytes(firstKey), bytes(lastKey), items, source.objects, source.bytes, source.digest, destination.objects, destination.digest, sealed ? 1 : 0];
}

export function problemOf(row: Row): Problem {
  const kind = row['kind'] === '' ? {} : { kind: row['kind'] as ErrorKind };
  return { code: String(row['code']), ...kind, message: String(row['message']), ...(row['hint'] === '' ? {} : { hint: String(row['hint']) }) };
}

export function uploadOf(row: Row): Upload {
  return {
    key: keyFromBytes(row['key'] as Uint8Array), id: String(row['upload']), size: Number(row['size']), partSize: Number(row['part_size']),
    ...(row['algorithm'] === null ? {} : { checksumAlgorithm: row['algorithm'] as ChecksumAlgorithm }),
  };
}

export function partOf(row: Row): Part {
  const checksum = row['hex'] === null ? {} : { checksum: { algorithm: row['algorithm'] as ChecksumAlgorithm, hex: String(row['hex']) } };
  return { number: Number(row['number']), size: Number(row['size']), token: String(row['token']), ...checksum };
}

export function findingOf(row: Row): Finding {
  const side = (name: 'source' | 'destination') => (row[name] === null ? {} : { [name]: JSON.parse(String(row[name])) as Checksum });
  return { key: keyFromBytes(row['key'] as Uint8Array), kind: String(row['kind']), message: String(row['message']), ...side('source'), ...side('destination') };
}

/** Totals are rows `name → sum`; a record of sums is `group:name`. */
export function totalsOf(rows: readonly Row[]): RunTotals {
  const sums = new Map(rows.map((row) => [String(row['name']), Number(row['value'])]));
  const group = (prefix: string) => Object.fromEntries([...sums].filter(([name, sum]) => name.startsWith(prefix) && sum !== 0).map(([name, sum]) => [name.slice(prefix.length), sum]));
  return {
    bytesSent: sums.get('bytesSent') ?? 0, unguarded: sums.get('unguarded') ?? 0, stalls: sums.get('stalls') ?? 0,
    hedges: { sent: sums.get('hedges') ?? 0, won: sums.get('hedges won') ?? 0 },
    lost: group('lost:'), requests: group('requests:'), retries: group('retries:'),
  };
}

export function totalRows(totals: Partial<RunTotals>): [string, number][] {
  const group = (prefix: string, sums: Readonly<Record<string, number>> = {}) => Object.entries(sums).map(([name, sum]): [string, number] => [prefix + name, sum]);
  return [
    ['bytesSent', totals.bytesSent ?? 0], ['unguarded', totals.unguarded ?? 0], ['stalls', totals.stalls ?? 0],
    ['hedges', totals.hedges?.sent ?? 0], ['hedges won', totals.hedges?.won ?? 0],
    ...group('lost:', totals.lost), ...group('requests:', totals.requests), ...group('retries:', totals.retries),
  ];
}

/** The first bytes after every key that starts with this prefix; undefined when there is no end. */
export function prefixEnd(prefix: string): Buffer | undefined {
  const bytes = keyToBytes(prefix);
  let length = bytes.length;
  while (length > 0 && bytes[length - 1] === 0xff) length--;
  if (length === 0) return undefined;
  const end = Buffer.from(bytes.subarray(0, length));
  end[length - 1] = (end[length - 1] as number) + 1;
  return end;
}
