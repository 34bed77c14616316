/** One part of the page of figures. */
import type { AspectId } from './goals.ts';

/** One thing that a goal asks for, as it was measured. */
export interface Reached {
  readonly aspect: AspectId;
  /** One for each round. */
  readonly values: readonly number[];
  /** What the figure is of, where several are measured: the worst one is judged. */
  readonly of?: string;
  /** What was measured, where it is less than the goal asks for. */
  readonly only?: string;
}

export interface Section {
  readonly title: string;
  /** Markdown. */
  readonly text: string;
  /** Where somebody else does better, or a limit of our own is broken: lines of a list. */
  readonly losses: readonly string[];
  readonly commands: readonly string[];
  readonly reached: readonly Reached[];
}
