/** How lines are laid out (lines.ts): the columns and the codes that stand in them. */
import { ByteReader, ByteWriter } from './bytes.ts';
import type { Evidence, ItemState } from './item.ts';
import type { ChecksumAlgorithm } from './object.ts';

// The order of these lists is part of the format: append only.
export const STATES: readonly ItemState[] = ['pending', 'copied', 'unchanged', 'skipped', 'failed', 'extra'];
export const EVIDENCES: readonly Evidence[] = ['none', 'in flight', 'store checksum', 'both ends re-read', 'destination re-read'];
export const ALGORITHMS: readonly ChecksumAlgorithm[] = ['crc32', 'crc32c', 'crc64nvme', 'sha1', 'sha256', 'md5'];
export const COLUMNS = ['shared', 'length', 'suffix', 'shape', 'size', 'token', 'version', 'checksum', 'word', 'attempts'] as const;
export type Columns<T> = Record<(typeof COLUMNS)[number], T>;

/** The first byte of a shape: state, kind, evidence, and whether it was undone. The second: where the destination's token is, and whether the source has a version. */
export const SHAPE = { state: 7, directory: 8, undone: 128 } as const;
export const MORE = { destination: 3, version: 4 } as const;
export const DESTINATION = { absent: 0, sameAsSource: 1, own: 2 } as const;
export const FORM = { text: 0, digest: 1, digestOfParts: 2, quoted: 4 } as const;

export const stateOf = (shape: number): ItemState => STATES[shape & SHAPE.state] as ItemState;
export const evidenceOf = (shape: number): Evidence | undefined => EVIDENCES[(shape >> 4) & 7];

/** Columns that were packed; nothing of them is read yet. */
export interface OpenLines {
  readonly count: number;
  readonly words: readonly string[];
  readonly columns: Columns<ByteReader>;
}

/** @throws RangeError when the bytes end too early */
export function openLines(plain: Buffer): OpenLines {
  const reader = new ByteReader(plain);
  const count = reader.varint();
  const words = Array.from({ length: reader.varint() }, () => reader.text());
  const columns = Object.fromEntries(COLUMNS.map((name) => [name, new ByteReader(reader.bytes(reader.varint()))])) as Columns<ByteReader>;
  return { count, words, columns };
}

/** Bytes for all lengths, and beside each word: enough for nearly all lines, so that they are laid down where they stay. */
const [HEADS, WORD] = [64, 4];

export function joinLines(count: number, words: Iterable<string>, columns: Columns<Buffer>): Buffer {
  const texts = [...words];
  const plain = new ByteWriter(HEADS + COLUMNS.reduce((sum, name) => sum + columns[name].length, texts.reduce((sum, { length }) => sum + WORD + length, 0)));
  plain.varint(count);
  plain.varint(texts.length);
  for (const word of texts) plain.text(word);
  for (const name of COLUMNS) {
    plain.varint(columns[name].length);
    plain.bytes(columns[name]);
  }
  return plain.view();
}

export function skipToken(column: ByteReader): void {
  const form = column.byte();
  if (form === FORM.text) return column.skipText();
  column.skip(16);
  if ((form & 3) === FORM.digestOfParts) column.varint();
}

/** The algorithm of a checksum that is passed over. */
export function skipChecksum(column: ByteReader): ChecksumAlgorithm | undefined {
  const algorithm = ALGORITHMS[column.byte() - 1];
  if (algorithm === undefined) return undefined;
  const length = column.varint();
  if (length === 1) column.skipText();
  else column.skip(length / 2);
  return algorithm;
}
