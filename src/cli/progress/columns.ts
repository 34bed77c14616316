/** Widths on a terminal, near enough for lines that must not wrap: East Asian wide characters and emoji take two columns, marks none. */
const WIDE: readonly (readonly [number, number])[] = [
  [0x1100, 0x115f], [0x2e80, 0x303e], [0x3041, 0x33ff], [0x3400, 0x4dbf], [0x4e00, 0x9fff], [0xa000, 0xa4cf], [0xac00, 0xd7a3],
  [0xf900, 0xfaff], [0xfe30, 0xfe6f], [0xff00, 0xff60], [0xffe0, 0xffe6], [0x1f000, 0x1faff], [0x20000, 0x3fffd],
];

function columnsOf(character: string): number {
  if (/^[\p{Mn}\p{Me}\u200b-\u200d\ufe0f]$/u.test(character)) return 0;
  const code = character.codePointAt(0) ?? 0;
  return WIDE.some(([from, to]) => code >= from && code <= to) ? 2 : 1;
}

export function width(text: string): number {
  return [...text].reduce((sum, character) => sum + columnsOf(character), 0);
}

/** The text in at most `columns`; what is cut off at its end is shown by `…`. */
export function fit(text: string, columns: number): string {
  if (width(text) <= columns) return text;
  let fitted = '';
  let used = 1;
  for (const character of text) {
    used += columnsOf(character);
    if (used > columns) break;
    fitted += character;
  }
  return columns < 1 ? '' : `${fitted}…`;
}
