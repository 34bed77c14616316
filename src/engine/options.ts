/** What the engine is told about one migration: plain values, so that they cross to executors as they are. */
import type { Compare, OnConflict } from '../core/decide.ts';
import type { BatchLimits } from '../core/pack.ts';
import type { CutOptions } from '../core/parts.ts';
import type { Selection } from '../core/select.ts';

export type FidelityLevel = 'strict' | 'report' | 'ignore';
export type FidelityAttribute = 'contentHeaders' | 'userMetadata' | 'tags' | 'storageClass' | 'mtime' | 'mode';
export type VerifyLevel = 'none' | 'inline' | 'checksum' | 'full';

export interface CopyOptions {
  readonly cut: CutOptions;
  /** Parts of one object at once. */
  readonly partConcurrency: number;
  /** An operator said so: then it is of all executors together. */
  readonly partConcurrencyFixed?: boolean;
  readonly serverSideCopy: 'auto' | 'never';
  /** Server-side copies above this go in parts (bytes). */
  readonly singleCopyLimit: number;
  readonly verify: VerifyLevel;
  readonly compare: Compare;
  readonly onConflict: OnConflict;
  readonly sourceGone: 'skip' | 'fail';
  readonly fidelity: Readonly<Record<FidelityAttribute, FidelityLevel>>;
  readonly tags: { readonly copy: boolean; readonly set: Readonly<Record<string, string>> };
  readonly metadata: Readonly<Record<string, string>>;
  /** Overrides the source's class. */
  readonly storageClass?: string;
}

export interface PlanOptions {
  readonly selection: Selection;
  readonly batch: BatchLimits;
  readonly compare: Compare;
  readonly onConflict: OnConflict;
  readonly mtimeStepMs: number;
}

/** Tries of one object that end in an error of its own before it is `failed` (design truth 10). */
export const ATTEMPTS = 5;
/** Versions of a changing source that one attempt follows before it gives up (F026). */
export const VERSIONS = 3;
/** Code of a pending item of which only the listed size differs from what was copied: sizes of listings may lie (F022). */
export const SIZE_IN_DOUBT = 'size';
/** Code of a pending item that is compared by its bytes where no checksum decides: of what no ledger knows, every repeated message would write it anew. */
export const COMPARE_BY_READING = 'compare by reading';
