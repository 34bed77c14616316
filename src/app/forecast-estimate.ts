/** Requests and time, from what each object will cost. Averages over many objects; the assumptions are said with the result. */
import type { Location, Migration } from '../config/index.ts';
import { cutObject, planPartSize } from '../core/parts.ts';
import type { Item } from '../core/item.ts';
import type { StoreFacts } from '../ports/storage.ts';
import { copyOptions } from './options.ts';

type Counts = Record<string, number>;

/** What decides how an object is copied. */
export interface Pair {
  readonly migration: Migration;
  readonly source: StoreFacts;
  readonly destination: StoreFacts;
  readonly multipart: boolean;
  /** The destination copies by itself; no byte crosses this machine. */
  readonly serverSide: boolean;
}

/** Assumed where no limit is set: a usual line, and what one machine asks of one store without being throttled. */
const ASSUMED_BANDWIDTH = 125_000_000;
const ASSUMED_REQUESTS = 500;
const ASSUMED_FILES = 1000;
const PAGE = 1000;

export class Estimate {
  readonly #pair: Pair;
  readonly #cut: ReturnType<typeof copyOptions>;
  readonly #source: Counts = {};
  readonly #destination: Counts = {};
  #bytes = 0;
  #files = 0;

  constructor(pair: Pair) {
    this.#pair = pair;
    this.#cut = copyOptions(pair.migration);
  }

  /** An item to copy or to compare. */
  add(item: Item): void {
    if (item.code === 'compare') {
      add(this.#source, 'HeadObject', 1);
      add(this.#destination, 'HeadObject', 1);
      return;
    }
    this.#files++;
    if (item.kind === 'directory') return;
    if (this.#pair.serverSide) this.#addServerSide(item.size);
    else this.#addThrough(item);
    const { transform, fidelity } = this.#pair.migration;
    if (transform.tags.copy && fidelity.tags !== 'ignore' && this.#pair.source.maxTags > 0) add(this.#source, 'GetObjectTagging', 1);
  }

  #addThrough({ size }: Item): void {
    const { destination, multipart } = this.#pair;
    const { guards } = destination;
    this.#bytes += size;
    const cut = cutObject(size, destination, this.#cut.cut, multipart);
    if (cut.way !== 'parts') {
      add(this.#source, 'GetObject', 1);
      add(this.#destination, 'PutObject', 1);
      if (!guards.absent) add(this.#destination, 'HeadObject', 1);
      return;
    }
    add(this.#source, 'HeadObject', 1);
    add(this.#source, 'GetObject', cut.parts);
    add(this.#destination, 'CreateMultipartUpload', 1);
    add(this.#destination, 'UploadPart', cut.parts);
    add(this.#destination, 'CompleteMultipartUpload', 1);
    if (!guards.onComplete) add(this.#destination, 'HeadObject', 1);
  }

  #addServerSide(size: number): void {
    const { destination } = this.#pair;
    const { singleCopyLimit } = this.#cut;
    add(this.#source, 'HeadObject', 1);
    add(this.#destination, 'HeadObject', 1);
    if (size <= Math.min(singleCopyLimit, destination.maxSingleCopy)) {
      add(this.#destination, 'CopyObject', 1);
      return;
    }
    const partSize = planPartSize(size, destination, Math.ceil(singleCopyLimit / 8));
    add(this.#destination, 'CreateMultipartUpload', 1);
    add(this.#destination, 'UploadPartCopy', Math.ceil(size / partSize));
    add(this.#destination, 'CompleteMultipartUpload', 1);
  }

  /** By store; a folder or a made-up store answers no requests. The closing listing sees what was there and what came. */
  requests(listed: { readonly sourcePages: number; readonly destinationPages: number; readonly arriving: number }): { readonly source: Counts; readonly destination: Counts } {
    const { source, destination } = this.#pair.migration;
    const closing = listed.destinationPages + Math.ceil(listed.arriving / PAGE);
    return {
      source: isRemote(source) ? { ListObjects: listed.sourcePages, ...this.#source } : {},
      destination: isRemote(destination) ? { ListObjects: listed.destinationPages + (listed.arriving > 0 ? closing : 0), ...this.#destination } : {},
    };
  }

  /** The slowest of what limits: the line, the requests at the busier store, the files of a folder. */
  duration(requests: { readonly source: Counts; readonly destination: Counts }): { readonly ms: number; readonly limitedBy: string } | undefined {
    const { limits } = this.#pair.migration;
    const busiest = Math.max(...[requests.source, requests.destination].map((counts) => Object.values(counts).reduce((sum, count) => sum + count, 0)));
    const candidates = [
      { ms: (this.#bytes / (limits.bandwidth ?? ASSUMED_BANDWIDTH)) * 1000, limitedBy: limits.bandwidth === undefined ? `the line (no limit is set: ${showRate(ASSUMED_BANDWIDTH)} assumed)` : `limits.bandwidth: ${showRate(limits.bandwidth)}` },
      { ms: (busiest / (limits.requests ?? ASSUMED_REQUESTS)) * 1000, limitedBy: limits.requests === undefined ? `requests (no limit is set: ${ASSUMED_REQUESTS}/s at each store assumed)` : `limits.requests: ${limits.requests}/s` },
      { ms: (this.#files / ASSUMED_FILES) * 1000, limitedBy: `files and objects (${ASSUMED_FILES}/s assumed)` },
    ];
    const slowest = candidates.reduce((a, b) => (b.ms > a.ms ? b : a));
    return slowest.ms > 0 ? slowest : undefined;
  }
}

function add(counts: Counts, op: string, count: number): void {
  counts[op] = (counts[op] ?? 0) + count;
}

function isRemote({ kind }: Location): boolean {
  return kind === 's3';
}

/** `50 Mbit/s`: lines are sold in bits. */
function showRate(bytesPerSecond: number): string {
  const bits = bytesPerSecond * 8;
  for (const [unit, size] of [['Gbit/s', 1e9], ['Mbit/s', 1e6], ['kbit/s', 1e3]] as const) if (bits >= size) return `${Number((bits / size).toFixed(1))} ${unit}`;
  return `${bits} bit/s`;
}
