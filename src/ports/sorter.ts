/** Sorts listings of stores that do not list in key order (F050), outside memory. */
import type { ObjectEntry } from '../core/object.ts';

export interface EntrySorter {
  add(entries: readonly ObjectEntry[]): void;
  /** All entries in key order; call once, after the last add. A key listed twice comes once. */
  pages(): Iterable<readonly ObjectEntry[]>;
  close(): void;
}
