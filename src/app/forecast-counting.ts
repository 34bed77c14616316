/** A sink for the planner that counts instead of recording. Memory does not grow with the number of objects. */
import type { Count, Item, Problem } from '../core/item.ts';
import { type Key, ownKey } from '../core/key.ts';
import { GiB, KiB, MiB, TiB } from '../core/units.ts';
import type { Estimate } from './forecast-estimate.ts';
import { awkwardIn } from './forecast-names.ts';
import type { CodeCount, Forecast } from './forecast-types.ts';

const EXAMPLES = 20;
const LARGEST = 10;
/** Codes and classes come from outside: more than these are counted together. */
const MOST_CODES = 100;
const SIZES = [0, KiB, 16 * KiB, 128 * KiB, MiB, 16 * MiB, 128 * MiB, GiB, 16 * GiB, 128 * GiB, TiB, Infinity];

class Sum {
  objects = 0;
  bytes = 0;

  add(bytes: number): void {
    this.objects++;
    this.bytes += bytes;
  }

  get count(): Count {
    return { objects: this.objects, bytes: this.bytes };
  }
}

/** Counts by code, each with the first keys. */
class Codes {
  readonly #codes = new Map<string, { readonly sum: Sum; readonly message: string; readonly keys: Key[] }>();

  add({ code, message }: { readonly code: string; readonly message: string }, { key, size }: Item): void {
    let entry = this.#codes.get(code);
    if (entry === undefined) this.#codes.set(code, entry = { sum: new Sum(), message, keys: [] });
    entry.sum.add(size);
    if (entry.keys.length < EXAMPLES) entry.keys.push(ownKey(key));
  }

  list(): readonly CodeCount[] {
    return [...this.#codes].map(([code, { sum, message, keys }]) => ({ code, message, keys, ...sum.count })).sort((a, b) => b.objects - a.objects);
  }
}

type Counted = Pick<Forecast, 'listed' | 'copy' | 'compare' | 'unchanged' | 'skipped' | 'refused' | 'extra' | 'awkward' | 'histogram' | 'largest' | 'storageClasses'>;

export class CountingSink {
  readonly #estimate: Estimate;
  readonly #listed = new Sum();
  readonly #copy = new Sum();
  readonly #compare = new Sum();
  readonly #unchanged = new Sum();
  readonly #extra = new Sum();
  readonly #skipped = new Codes();
  readonly #refused = new Codes();
  readonly #awkward = new Codes();
  readonly #histogram = SIZES.map((upTo) => ({ upTo, sum: new Sum() }));
  readonly #classes = new Map<string, Sum>();
  #largest: { readonly key: Key; readonly size: number }[] = [];

  constructor(estimate: Estimate) {
    this.#estimate = estimate;
  }

  add(item: Item, problem: Problem | undefined): void {
    if (item.state === 'extra') {
      this.#extra.add(item.size);
      return;
    }
    this.#listed.add(item.size);
    this.#describe(item);
    const why = problem ?? { code: item.code ?? 'unknown', message: '' };
    if (item.state === 'skipped') this.#skipped.add(why, item);
    else if (item.state === 'failed') this.#refused.add(why, item);
    else if (item.state === 'unchanged') this.#unchanged.add(item.size);
    else this.#addWork(item);
  }

  #addWork(item: Item): void {
    (item.code === 'compare' ? this.#compare : this.#copy).add(item.size);
    this.#estimate.add(item);
  }

  #describe(item: Item): void {
    const { key, size, storageClass, kind } = item;
    if (kind === 'object') for (const found of awkwardIn(key)) this.#awkward.add(found, item);
    this.#histogram.find(({ upTo }) => size <= upTo)?.sum.add(size);
    if (storageClass !== undefined) this.#addClass(storageClass, size);
    if (this.#largest.length < LARGEST || size > (this.#largest.at(-1)?.size ?? 0)) this.#addLargest(key, size);
  }

  #addClass(name: string, size: number): void {
    const known = this.#classes.has(name) || this.#classes.size < MOST_CODES ? name : 'others';
    const sum = this.#classes.get(known) ?? new Sum();
    this.#classes.set(known, sum);
    sum.add(size);
  }

  #addLargest(key: Key, size: number): void {
    const at = this.#largest.findIndex((other) => size > other.size);
    this.#largest.splice(at === -1 ? this.#largest.length : at, 0, { key: ownKey(key), size });
    this.#largest = this.#largest.slice(0, LARGEST);
  }

  counted(): Counted {
    return {
      listed: this.#listed.count, copy: this.#copy.count, compare: this.#compare.count, unchanged: this.#unchanged.count, extra: this.#extra.count,
      skipped: this.#skipped.list(), refused: this.#refused.list(), awkward: this.#awkward.list(),
      histogram: this.#histogram.map(({ upTo, sum }) => ({ upTo, ...sum.count })), largest: this.#largest,
      storageClasses: [...this.#classes].map(([name, sum]) => ({ name, ...sum.count })).sort((a, b) => b.objects - a.objects),
    };
  }
}
