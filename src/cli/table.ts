/** Columns of text for a terminal. */
import { fit, width } from './progress/columns.ts';

export interface Column {
  readonly title: string;
  readonly right?: boolean;
  /** Columns at most; longer text is cut. */
  readonly most?: number;
}

export function renderTable(columns: readonly Column[], rows: readonly (readonly string[])[]): string {
  const cells = [columns.map(({ title }) => title), ...rows].map((row) => columns.map(({ most }, i) => fit(row[i] ?? '', most ?? Infinity)));
  const widths = columns.map((_, i) => cells.reduce((widest, row) => Math.max(widest, width(row[i] ?? '')), 0));
  return cells.map((row) => row.map((cell, i) => pad(cell, widths[i] ?? 0, columns[i]?.right === true)).join('  ').trimEnd()).join('\n');
}

function pad(cell: string, columns: number, right: boolean): string {
  const space = ' '.repeat(Math.max(0, columns - width(cell)));
  return right ? space + cell : cell + space;
}
