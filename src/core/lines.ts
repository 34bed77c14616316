/**
 * Items as columns: alike values stand beside each other and compress well. Keys are front-coded, ETags that look like MD5 are packed to
 * 16 bytes, words that repeat go into a dictionary. The blocks of a ledger and the segments of a journal hold their items so.
 *
 *   count, dictionary, columns; each with its length before it (bytes.ts)
 */
import { ByteReader, ByteWriter } from './bytes.ts';
import { KeyBytes } from './key-bytes.ts';
import type { Evidence, Item, ItemState } from './item.ts';
import { ALGORITHMS, COLUMNS, type Columns, DESTINATION, EVIDENCES, evidenceOf, FORM, MORE, openLines, joinLines, SHAPE, stateOf, STATES } from './line-columns.ts';
import type { Mutable } from './mutable.ts';
import type { Checksum, Pin, Token } from './object.ts';

/** One item with what is kept beside it: the attributes that could not be carried (I12). */
export interface Line {
  readonly item: Item;
  readonly lost?: readonly string[];
}

const ETAG = /^("?)([0-9a-f]{32})(?:-([1-9][0-9]{0,8}))?\1$/;
const BARE_DIGEST = /^[0-9a-f]{32}$/;
const QUOTED_DIGEST = /^"[0-9a-f]{32}"$/;
const PACKABLE = /^(?:[0-9a-f]{2})*$/;

/** Takes lines one after the other and keeps nothing of them but their bytes. Of no use any more once it threw. */
export class LineWriter {
  readonly #columns = Object.fromEntries(COLUMNS.map((name) => [name, new ByteWriter()])) as Columns<ByteWriter>;
  readonly #words = new Map<string, number>();
  #key = new KeyBytes();
  #previous = new KeyBytes();
  #count = 0;

  get count(): number {
    return this.#count;
  }

  add(line: Line): void {
    const [key, previous] = [this.#key, this.#previous];
    key.set(line.item.key);
    writeKey(this.#columns, previous, key);
    writeLine(this.#columns, this.#words, line);
    this.#key = previous;
    this.#previous = key;
    this.#count++;
  }

  /** The bytes of all of them, not compressed yet; from here on it begins anew. */
  take(): Buffer {
    const views = Object.fromEntries(COLUMNS.map((name) => [name, this.#columns[name].view()])) as Columns<Buffer>;
    const bytes = joinLines(this.#count, this.#words.keys(), views);
    for (const name of COLUMNS) this.#columns[name].clear();
    this.#words.clear();
    this.#previous.set('');
    this.#count = 0;
    return bytes;
  }
}

/** The bytes of these lines, not compressed yet. */
export function packLines(lines: readonly Line[]): Buffer {
  const writer = new LineWriter();
  for (const line of lines) writer.add(line);
  return writer.take();
}

/** @throws RangeError when the bytes are not those of a LineWriter; who reads them from a disk or a store holds them against a checksum first. */
export function unpackLines(plain: Buffer): Line[] {
  return [...eachLine(plain)];
}

/** One line at a time: nobody holds the others meanwhile. @throws RangeError as unpackLines */
export function* eachLine(plain: Buffer): Generator<Line, void, undefined> {
  const { count, words, columns } = openLines(plain);
  const key = new KeyBytes();
  for (let i = 0; i < count; i++) {
    key.follow(columns.shared.varint(), columns.suffix, columns.length.varint());
    yield readLine(columns, words, key.text());
  }
}

export const lineCount = (plain: Buffer): number => new ByteReader(plain).varint();

/** What can be told of lines without taking them apart. */
export interface Survey {
  readonly firstKey: Buffer;
  readonly lastKey: Buffer;
  /** Each key comes after the one before it. */
  readonly ascending: boolean;
}

/** Tells `each` of the lines what kind of thing it says. There must be one line at least. @throws RangeError as unpackLines */
export function surveyLines(plain: Buffer, each: (state: ItemState, evidence: Evidence, size: number) => void): Survey {
  const { count, columns } = openLines(plain);
  for (let i = 0; i < count; i++) {
    const shape = columns.shape.byte();
    columns.shape.byte();
    each(stateOf(shape), evidenceOf(shape) as Evidence, columns.size.varint());
  }
  return surveyKeys(columns, count);
}

function surveyKeys({ shared, length, suffix }: Columns<ByteReader>, count: number): Survey {
  const key = new KeyBytes();
  let [ascending, firstKey] = [true, Buffer.alloc(0)];
  for (let i = 0; i < count; i++) {
    const comesAfter = key.follow(shared.varint(), suffix, length.varint());
    if (i === 0) firstKey = Buffer.from(key.view());
    else ascending &&= comesAfter;
  }
  return { firstKey, lastKey: Buffer.from(key.view()), ascending };
}

function writeKey(columns: Columns<ByteWriter>, previous: KeyBytes, key: KeyBytes): void {
  const shared = key.shared(previous);
  columns.shared.varint(shared);
  columns.length.varint(key.length - shared);
  key.writeFrom(shared, columns.suffix);
}

function writeLine(columns: Columns<ByteWriter>, words: Map<string, number>, { item, lost }: Line): void {
  const { source, destination } = item;
  const mode = destination === undefined ? DESTINATION.absent : destination === source.token ? DESTINATION.sameAsSource : DESTINATION.own;
  columns.shape.byte(STATES.indexOf(item.state) | (item.kind === 'directory' ? SHAPE.directory : 0) | (EVIDENCES.indexOf(item.evidence) << 4) | (item.undone === undefined ? 0 : SHAPE.undone));
  columns.shape.byte(mode | (source.versionId === undefined ? 0 : MORE.version));
  columns.size.varint(item.size);
  writeToken(columns.token, source.token);
  if (source.versionId !== undefined) columns.version.text(source.versionId);
  if (destination !== undefined && mode === DESTINATION.own) writeToken(columns.token, destination);
  writeChecksum(columns.checksum, item.checksum);
  columns.attempts.varint(item.attempts);
  if (item.undone !== undefined) columns.attempts.varint(item.undone);
  columns.word.varint(wordNumber(words, item.code));
  columns.word.varint(wordNumber(words, item.storageClass));
  columns.word.varint(lost === undefined ? 0 : wordNumber(words, JSON.stringify(lost)));
}

/** Of the line where these columns stand. */
export function readLine(columns: Columns<ByteReader>, words: readonly string[], key: string): Line {
  const shape = columns.shape.byte();
  const more = columns.shape.byte();
  const size = columns.size.varint();
  const token = readToken(columns.token);
  const source: Pin = (more & MORE.version) === 0 ? { token } : { token, versionId: columns.version.text() };
  const item: Mutable<Item> = {
    key, size, source, kind: (shape & SHAPE.directory) === 0 ? 'object' : 'directory',
    state: stateOf(shape), evidence: evidenceOf(shape) as Evidence, attempts: columns.attempts.varint(),
  };
  if ((shape & SHAPE.undone) !== 0) item.undone = columns.attempts.varint();
  if ((more & MORE.destination) === DESTINATION.sameAsSource) item.destination = token;
  if ((more & MORE.destination) === DESTINATION.own) item.destination = readToken(columns.token);
  const checksum = readChecksum(columns.checksum);
  if (checksum !== undefined) item.checksum = checksum;
  const code = words[columns.word.varint() - 1];
  const storageClass = words[columns.word.varint() - 1];
  const lost = words[columns.word.varint() - 1];
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
  // What most stores answer for most objects, without the pieces of a match.
  if (token.length === 32 && BARE_DIGEST.test(token)) {
    column.byte(FORM.digest);
    column.hex(token);
    return;
  }
  if (token.length === 34 && QUOTED_DIGEST.test(token)) {
    column.byte(FORM.digest | FORM.quoted);
    column.hex(token.slice(1, 33));
    return;
  }
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

export function readToken(column: ByteReader): Token {
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
