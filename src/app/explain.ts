/** What self-tuning chose in one run, and why: gathered from all processes and from the ledger, as plain data. */
import type { Migration } from '../config/index.ts';
import type { ChecksumAlgorithm } from '../core/object.ts';
import type { AtOnce, Tuning, Way } from '../core/tuning.ts';
import { algorithmFor } from '../engine/copy-whole.ts';
import { planPartSize } from '../core/parts.ts';
import type { Outcome } from '../core/item.ts';
import type { Events, RunEvent } from '../ports/events.ts';
import type { Ledger } from '../ports/ledger.ts';
import type { Store } from '../ports/storage.ts';
import { undecorated } from '../stores/decorators/layer.ts';
import { concurrencyOf, executorsOf, largeAtOnceOf } from './copying.ts';
import { copyOptions } from './options.ts';
import type { OpenStores } from './stores.ts';

export interface SideExplanation {
  readonly address: string;
  readonly provider: string;
  /** Requests of the whole run by operation. */
  readonly requests: Readonly<Record<string, number>>;
  /** Of each process that made requests; the coordinator, which lists, is the first. */
  readonly atOnce: readonly (AtOnce & { readonly process: string })[];
  readonly way?: Way;
  readonly hedges: { readonly sent: number; readonly won: number };
}

export interface Explanation {
  readonly source: SideExplanation;
  readonly destination: SideExplanation;
  /** `atOnce` is absent where an earlier sitting of the run listed. */
  readonly listing: { readonly shards: number; readonly atOnce?: number; readonly from: 'store' | 'file'; readonly oneByOne?: string };
  /** Of each process, where several copy. */
  readonly objects: { readonly processes: number; readonly small: number; readonly large: number; readonly parts: number; /** Keys of the migration file that said so. */ readonly chosen: readonly string[] };
  readonly sizes: { readonly bufferUpTo: number; readonly streamUpTo: number; readonly partSize: number; readonly partChosen: boolean; readonly maxParts: number };
  readonly copy: { readonly onServer: number; readonly through: number; readonly why: string };
  /** `objects`: how many arrived with which algorithm in this sitting. */
  readonly checksum: { readonly objects: Readonly<Partial<Record<ChecksumAlgorithm, number>>>; readonly first: ChecksumAlgorithm; readonly why: string };
}

/** Hears what the processes of a run found; of each the last word counts. */
export class Tuned implements Events {
  readonly #processes = new Map<string, Tuning>();
  readonly #checksums = new Map<ChecksumAlgorithm, number>();
  #sharded: Extract<RunEvent, { type: 'sharded' }> | undefined;

  emit(event: RunEvent): void {
    if (event.type === 'ended') this.#countEnd(event.outcome);
    else if (event.type === 'landed' || event.type === 'reported') for (const [algorithm, objects] of Object.entries(event.checksums)) this.#count(algorithm as ChecksumAlgorithm, objects);
    else if (event.type === 'tuned') this.#processes.set(event.process, event.tuning);
    else if (event.type === 'sharded') this.#sharded = event;
  }

  #countEnd({ state, checksum }: Outcome): void {
    if (state === 'copied' && checksum !== undefined) this.#count(checksum.algorithm, 1);
  }

  #count(algorithm: ChecksumAlgorithm, objects: number): void {
    this.#checksums.set(algorithm, (this.#checksums.get(algorithm) ?? 0) + objects);
  }

  explain(migration: Migration, stores: OpenStores, ledger: Ledger, run: number): Explanation {
    const all = new Map([['coordinator', stores.tuning()], ...this.#processes]);
    const { requests } = ledger.totals(run);
    const side = (name: 'source' | 'destination'): SideExplanation => sideOf(stores[name], [...all].map(([process, tuning]) => ({ process, ...tuning[name] })), requestsOf(requests, name));
    return {
      source: side('source'), destination: side('destination'),
      listing: this.#listing(migration, stores, ledger.shards(run).length),
      objects: objectsOf(migration), sizes: sizesOf(migration, stores.destination), copy: copyOf(migration, stores, requestsOf(requests, 'destination')), checksum: { objects: Object.fromEntries(this.#checksums), ...checksumOf(stores.destination) },
    };
  }

  #listing({ sourceListing, limits }: Migration, { source, destination }: OpenStores, shards: number): Explanation['listing'] {
    const unordered = [source, destination].find(({ facts }) => !facts.ordered);
    const nested = [source, destination].find(({ facts }) => facts.names === 'posix');
    const why = limits.listings === 1 ? 'limits.listings: 1' : nested !== undefined ? `${nested.address} is a tree of folders, walked in order` : unordered !== undefined ? `${unordered.address} does not list in the order of keys: sorted here` : undefined;
    return {
      shards, ...(this.#sharded === undefined ? {} : { atOnce: this.#sharded.atOnce }), from: sourceListing === undefined ? 'store' : 'file',
      ...(this.#sharded?.divisible !== false || why === undefined ? {} : { oneByOne: why }),
    };
  }
}

function requestsOf(requests: Readonly<Record<string, number>>, side: string): Record<string, number> {
  return Object.fromEntries(Object.entries(requests).filter(([name]) => name.startsWith(`${side} `)).map(([name, count]) => [name.slice(side.length + 1), count]));
}

function sideOf(store: Store, processes: readonly ({ readonly process: string } & Tuning['source'])[], requests: Readonly<Record<string, number>>): SideExplanation {
  const ways = processes.flatMap(({ way }) => (way === undefined ? [] : [way]));
  const [first] = ways;
  const sum = (of: (one: Tuning['source']) => number): number => processes.reduce((all, one) => all + of(one), 0);
  return {
    address: store.address, provider: store.facts.provider, requests,
    atOnce: processes.filter(({ atOnce }) => atOnce.most > 0).map(({ process, atOnce }) => ({ process, ...atOnce })),
    ...(first === undefined ? {} : { way: { ...first, lanes: sum(({ way }) => way?.lanes ?? 0), general: sum(({ way }) => way?.general ?? 0), compression: ways.find(({ compression }) => compression === 'on')?.compression ?? first.compression } }),
    hedges: { sent: sum(({ hedges }) => hedges.sent), won: sum(({ hedges }) => hedges.won) },
  };
}

function objectsOf(migration: Migration): Explanation['objects'] {
  const processes = Math.max(1, executorsOf(migration));
  const { limits, transfer, executors } = migration;
  const said = [['executors', executors], ['limits.concurrency', limits.concurrency], ['limits.large_objects', limits.largeObjects ?? 'auto'], ['transfer.part_concurrency', transfer.partConcurrency]] as const;
  const chosen = said.filter(([, value]) => value !== 'auto').map(([key]) => key);
  return { processes, small: concurrencyOf(migration, processes), large: largeAtOnceOf(migration, processes), parts: copyOptions(migration).partConcurrency, chosen };
}

function sizesOf(migration: Migration, { facts, multipart }: Store): Explanation['sizes'] {
  const { bufferUpTo, streamUpTo, partSize } = copyOptions(migration).cut;
  const most = facts.maxSingleWrite;
  return {
    bufferUpTo: Math.min(bufferUpTo, most), streamUpTo: multipart === undefined ? most : Math.min(streamUpTo, most),
    partSize: multipart === undefined ? 0 : planPartSize(0, facts, partSize), partChosen: partSize !== undefined, maxParts: facts.maxParts,
  };
}

function copyOf({ transfer }: Migration, { raw }: OpenStores, requests: Readonly<Record<string, number>>): Explanation['copy'] {
  const count = (...ops: readonly string[]): number => ops.reduce((sum, op) => sum + (requests[op] ?? 0), 0);
  const onServer = count('copy', 'copyPart');
  const through = count('write', 'putPart');
  return { onServer, through, why: whyCopied(transfer.serverSideCopy, raw, onServer, through) };
}

function whyCopied(wanted: 'auto' | 'never', { source, destination }: OpenStores['raw'], onServer: number, through: number): string {
  const { serverCopy } = destination;
  if (wanted === 'never') return 'transfer.server_side_copy: never';
  if (serverCopy === undefined) return `${destination.facts.provider} copies nothing by itself`;
  if (!serverCopy.canCopyFrom(undecorated(source))) return 'the destination cannot reach the source: not one endpoint';
  if (onServer === 0) return 'nothing had to be copied by the store';
  return through > onServer ? 'the store could not, or may not, read the source by itself' : 'one endpoint: no byte crosses this machine';
}

function checksumOf(destination: Store): Omit<Explanation['checksum'], 'objects'> {
  const first = algorithmFor(destination, undefined);
  const { checksums } = destination.facts;
  if (checksums.length === 0) return { first, why: 'the destination vouches for none: computed here while the bytes pass' };
  return { first, why: `the source's own where the destination verifies it (${checksums.join(', ')}), else ${first}` };
}
