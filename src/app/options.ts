/** From the migration file to what the engine is told. */
import type { Migration, Moment } from '../config/index.ts';
import type { CopyOptions, PlanOptions } from '../engine/options.ts';
import { MiB } from '../core/units.ts';

const BUFFER_UP_TO = 8 * MiB;
const PARTS_AT_ONCE = 4;
/** Ranges of keys that are listed at once, at most; fewer where more bring nothing. */
const LISTINGS_AT_ONCE = 32;

export function listingLanes({ limits }: Pick<Migration, 'limits'>): number {
  return limits.listings === 'auto' ? LISTINGS_AT_ONCE : limits.listings;
}

export function copyOptions(migration: Migration): CopyOptions {
  const { transfer, transform } = migration;
  return {
    cut: { bufferUpTo: Math.min(BUFFER_UP_TO, transfer.multipartThreshold), streamUpTo: transfer.multipartThreshold, ...(transfer.partSize === 'auto' ? {} : { partSize: transfer.partSize }) },
    partConcurrency: transfer.partConcurrency === 'auto' ? PARTS_AT_ONCE : transfer.partConcurrency,
    partConcurrencyFixed: transfer.partConcurrency !== 'auto',
    serverSideCopy: transfer.serverSideCopy,
    singleCopyLimit: transfer.singleCopyLimit,
    verify: migration.verify,
    compare: migration.compare,
    onConflict: migration.onConflict,
    sourceGone: migration.sourceGone,
    fidelity: migration.fidelity,
    tags: transform.tags,
    metadata: transform.metadata.set,
    ...(transform.storageClass === undefined ? {} : { storageClass: transform.storageClass }),
  };
}

/** Ages count back from `nowMs`, the start of the run. */
export function planOptions(migration: Migration, nowMs: number, mtimeStepMs: number): PlanOptions {
  const { select } = migration;
  const before = Math.min(momentMs(select.modifiedBefore, nowMs) ?? Infinity, select.minAgeMs > 0 ? nowMs - select.minAgeMs : Infinity);
  const after = momentMs(select.modifiedAfter, nowMs);
  return {
    selection: {
      include: select.include, exclude: select.exclude,
      ...(select.minSize === undefined ? {} : { minSize: select.minSize }),
      ...(select.maxSize === undefined ? {} : { maxSize: select.maxSize }),
      ...(after === undefined ? {} : { modifiedAfterMs: after }),
      ...(before === Infinity ? {} : { modifiedBeforeMs: before }),
    },
    batch: migration.batch, compare: migration.compare, onConflict: migration.onConflict, mtimeStepMs,
  };
}

function momentMs(moment: Moment | undefined, nowMs: number): number | undefined {
  if (moment === undefined) return undefined;
  return moment.kind === 'instant' ? moment.ms : nowMs - moment.ms;
}
