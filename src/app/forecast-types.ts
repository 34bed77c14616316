/** What `plan` says before anything is moved. Counts of objects, sizes in bytes, times in milliseconds. */
import type { Environment, Migration } from '../config/index.ts';
import type { Count } from '../core/item.ts';
import type { Key } from '../core/key.ts';
import type { Clock, Random } from '../ports/clock.ts';
import type { Events } from '../ports/events.ts';

export interface CodeCount extends Count {
  readonly code: string;
  readonly message: string;
  /** A few keys as examples. */
  readonly keys: readonly Key[];
}

export interface Forecast {
  readonly migration: string;
  /** Addresses for people. */
  readonly source: string;
  readonly destination: string;
  /** Everything selected at the source: `listed = copy + compare + unchanged + skipped + refused`. */
  readonly listed: Count;
  readonly copy: Count;
  /** Stand at both ends without a record: compared during the run, copied where they differ. */
  readonly compare: Count;
  readonly unchanged: Count;
  readonly skipped: readonly CodeCount[];
  /** Cannot be held by this destination; they will fail. */
  readonly refused: readonly CodeCount[];
  /** Only at the destination; reported, never touched. */
  readonly extra: Count;
  /** Copied, but worth knowing: names with control characters, leading slashes, very long keys … */
  readonly awkward: readonly CodeCount[];
  /** By size, ascending; `upTo` is inclusive, `Infinity` for the last class. */
  readonly histogram: readonly (Count & { readonly upTo: number })[];
  /** The ten largest, largest first. */
  readonly largest: readonly { readonly key: Key; readonly size: number }[];
  readonly storageClasses: readonly (Count & { readonly name: string })[];
  /** Estimated requests by operation. */
  readonly requests: { readonly source: Readonly<Record<string, number>>; readonly destination: Readonly<Record<string, number>> };
  /** At the limits of the file; absent where none is set and nothing was measured. */
  readonly duration?: { readonly ms: number; readonly limitedBy: string };
  readonly warnings: readonly string[];
}

export interface ForecastAround {
  readonly stateDir: string;
  readonly env: Environment;
  readonly clock: Clock;
  readonly random: Random;
  /** Listing progress goes here. */
  readonly events: Events;
  readonly signal: AbortSignal;
}

/** Lists both sides, writes nothing. */
export type Forecaster = (migration: Migration, around: ForecastAround) => Promise<Forecast>;
