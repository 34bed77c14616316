/**
 * Items as columns: alike values stand beside each other and compress well. Keys are front-coded, ETags that look like MD5 are packed to
 * 16 bytes, words that repeat go into a dictionary. The blocks of a ledger and the segments of a journal hold their items so.
 *
 *   count, dictionary, columns; each with its length before it (bytes.ts)
 */
import { ByteReader, ByteWriter } from './bytes.ts';
import { keyFromBytes, keyToBytes } from './key.ts';
import type { Evidence, Item, ItemState } from './item.ts';
import type { Mutable } from './mutable.ts';
import type { Checksum, ChecksumAlgorithm, Pin, Token } from './object.ts';

/** One item with what is kept beside it: the attributes that could not be carried (I12). */
export interface Line {
  readonly item: Item;
  readonly lost?: readonly string[];
}

// The order of these lists is part of the format: append only.
export const STATES: readonly ItemState[] = ['pending', 'copied', 'unchanged', 'skipped', 'failed', 'extra'];
export const EVIDENCES: readonly Evidence[] = ['none', 'in flight', 'store checksum', 'both ends re-read', 'destination re-read'];
const ALGORITHMS: readonly ChecksumAlgorithm[] = ['crc32', 'crc32c', 'crc64nvme', 'sha1', 'sha256', 'md5'];
const COLUMNS = ['shared', 'length', 'suffix', 'shape', 'size', 'token', 'version', 'checksum', 'word', 'attempts'] as const;
type Columns<T> = Record<(typeof COLUMNS)[number], T>;

const DESTINATION = { absent: 0, sameAsSource: 1, own: 2 } as const;
const FORM = { text: 0, digest: 1, digestOfParts: 2, quoted: 4 } as const;
const ETAG = /^("?)([0-9a-f]{32})(?:-([1-9][0-9]{0,8}))?\1$/;
const PACKABLE = /^(?:[0-9a-f]{2})*$/;

/** The bytes of these lines, not compressed yet. */
export function packLines(lines: readonly Line[]): Buffer {
  const columns = Object.fromEntries(COLUMNS.map((name) => [name, new ByteWriter()])) as Columns<ByteWriter>;
  const words = new Map<string, number>();
  let previous: Buffer = Buffer.alloc(0);
  for (const line of lines) {
    const key = keyToBytes(line.item.key);
    writeKey(columns, previous, key);
    writeLine(columns, words, line);
    previous = key;
  }
  return join(lines.length, words, columns);
}

/** @throws RangeError when the bytes are not those of packLines(); who reads them from a disk or a store holds them against a checksum first. */
export function unpackLines(plain: Buffer): Line[] {
  const reader = new ByteReader(plain);
  const count = reader.varint();
  const words = Array.from({ length: reader.varint() }, () => reader.text());
  const columns = Object.fromEntries(COLUMNS.map((name) => [name, new ByteReader(reader.bytes(reader.varint()))])) as Columns<ByteReader>;
  const lines: Line[] = [];
  let key: Buffer = Buffer.alloc(0);
  for (let i = 0; i < count; i++) {
    key = Buffer.concat([key.subarray(0, columns.shared.varint()), columns.suffix.bytes(columns.length.varint())]);
    lines.push(readLine(columns, words, keyFromBytes(key)));
  }
  return lines;
}

function join(count: number, words: ReadonlyMap<string, number>, columns: Columns<ByteWriter>): Buffer {
  const plain = new ByteWriter();
  plain.varint(count);
  plain.varint(words.size);
  for (const word of words.keys()) plain.text(word);
  for (const name of COLUMNS) {
    const column = columns[name].view();
    plain.varint(column.length);
    plain.bytes(column);
  }
  return plain.view();
}

function writeKey(columns: Columns<ByteWriter>, previous: Buffer, key: Buffer): void {
  const most = Math.min(previous.length, key.length);
  let shared = 0;
  while (shared < most && previous[shared] === key[shared]) shared++;
  columns.shared.varint(shared);
  columns.length.varint(key.length - shared);
  columns.suffix.bytes(key.subarray(shared));
}

function writeLine(columns: Columns<ByteWriter>, words: Map<string, number>, { item, lost }: Line): void {
  const { source, destination } = item;
  const mode = destination === undefined ? DESTINATION.absent : destination === source.token ? DESTINATION.sameAsSource : DESTINATION.own;
  columns.shape.byte(STATES.indexOf(item.state) | (item.kind === 'directory' ? 8 : 0) | (EVIDENCES.indexOf(item.evidence) << 4) | (item.undone === undefined ? 0 : 128));
  columns.shape.byte(mode | (source.versionId === undefined ? 0 : 4));
  columns.size.varint(item.size);
  writeToken(columns.token, source.token);
  if (source.versionId !== undefined) columns.version.text(source.versionId);
  if (destination !== undefined && mode === DESTINATION.own) writeToken(columns.token, destination);
  writeChecksum(columns.checksum, item.checksum);
  columns.attempts.varint(item.attempts);
  if (item.undone !== undefined) columns.attempts.varint(item.undone);
  for (const word of [item.code, item.storageClass, lost === undefined ? undefined : JSON.stringify(lost)]) columns.word.varint(wordNumber(words, word));
}

function readLine(columns: Columns<ByteReader>, words: readonly string[], key: string): Line {
  const shape = columns.shape.byte();
  const more = columns.shape.byte();
  const size = columns.size.varint();
  const token = readToken(columns.token);
  const source: Pin = (more & 4) === 0 ? { token } : { token, versionId: columns.version.text() };
  const item: Mutable<Item> = {
    key, size, source, kind: (shape & 8) === 0 ? 'object' : 'directory',
    state: STATES[shape & 7] as ItemState, evidence: EVIDENCES[(shape >> 4) & 7] as Item['evidence'], attempts: columns.attempts.varint(),
  };
  if ((shape & 128) !== 0) item.undone = columns.attempts.varint();
  if ((more & 3) === DESTINATION.sameAsSource) item.destination = token;
  if ((more & 3) === DESTINATION.own) item.destination = readToken(columns.token);
  const checksum = readChecksum(columns.checksum);
  if (checksum !== undefined) item.checksum = checksum;
  const [code, storageClass, lost] = [0, 1, 2].map(() => words[columns.word.varint() - 1]);
  if (code !== undefined) item.code = code;
  if (storageClass !== undefined) item.storageClass = storageClass;
  return lost === undefined ? { item } : { item, lost: JSON.parse(lost) as string[] };
}

/** Number of a word in the dictionary, from 1; 0 means there is none. */
function wordNumber(words: Map<string, number>, word: string | undefined): number {
  if (word === undefined) return 0;
  const known = words.get(word);
  if (known !== undefined) return known;
  words.set(word, words.size + 1);
  return words.size;
}

function writeToken(column: ByteWriter, token: Token): void {
  const etag = ETAG.exec(token);
  if (etag === null) {
    column.byte(FORM.text);
    column.text(token);
    return;
  }
  const [, quote, digest, parts] = etag;
  column.byte((parts === undefined ? FORM.digest : FORM.digestOfParts) | (quote === '' ? 0 : FORM.quoted));
  column.hex(digest as string);
  if (parts !== undefined) column.varint(Number(parts));
}

function readToken(column: ByteReader): Token {
  const form = column.byte();
  if (form === FORM.text) return column.text();
  const quote = (form & FORM.quoted) === 0 ? '' : '"';
  const digest = column.hex(16);
  return (form & 3) === FORM.digest ? `${quote}${digest}${quote}` : `${quote}${digest}-${column.varint()}${quote}`;
}

/** Algorithm from 1 (0: none), then the digest: its length twice, and packed when even, as text when odd. */
function writeChecksum(column: ByteWriter, checksum: Checksum | undefined): void {
  column.byte(checksum === undefined ? 0 : ALGORITHMS.indexOf(checksum.algorithm) + 1);
  if (checksum === undefined) return;
  const packable = PACKABLE.test(checksum.hex);
  column.varint(packable ? checksum.hex.length : 1);
  if (packable) column.hex(checksum.hex);
  else column.text(checksum.hex);
}

function readChecksum(column: ByteReader): Checksum | undefined {
  const algorithm = ALGORITHMS[column.byte() - 1];
  if (algorithm === undefined) return undefined;
  const length = column.varint();
  return { algorithm, hex: length === 1 ? column.text() : column.hex(length / 2) };
}
