/** Goes through packed lines without an object or a string for each: for who compares millions of them with something, and finds nearly all as they should be. */
import { ByteReader } from './bytes.ts';
import type { Evidence, Item, ItemState } from './item.ts';
import type { Key } from './key.ts';
import { KeyBytes } from './key-bytes.ts';
import { type Columns, DESTINATION, evidenceOf, FORM, MORE, openLines, type OpenLines, SHAPE, skipChecksum, skipToken, stateOf } from './line-columns.ts';
import { readLine, readToken } from './lines.ts';
import type { ChecksumAlgorithm, Token } from './object.ts';

/** The columns of which readLine reads. */
const READ = ['shape', 'size', 'token', 'version', 'checksum', 'word', 'attempts'] as const;
type Read = (typeof READ)[number];

const QUOTE = 0x22;
const DIGITS = Buffer.from('0123456789abcdef');

export class LineCursor {
  readonly #lines: OpenLines;
  readonly #key = new KeyBytes();
  readonly #from: Record<Read, number> = { shape: 0, size: 0, token: 0, version: 0, checksum: 0, word: 0, attempts: 0 };
  #passed = 0;
  #shape = 0;
  #more = 0;
  #words = 0;
  #algorithm: ChecksumAlgorithm | undefined;
  /** Where the destination's token is. */
  #there = 0;
  readonly #asError: (thrown: unknown) => unknown;

  /**
   * `plain`: as of packLines(). `asError`: what is thrown in place of what was found wrong with them.
   * @throws RangeError as unpackLines, then and with each step
   */
  constructor(plain: Buffer, asError: (thrown: unknown) => unknown = (thrown) => thrown) {
    this.#lines = openLines(plain);
    this.#asError = asError;
  }

  /** Goes to the next line, at first to the first one; false: there is none. */
  next(): boolean {
    if (this.isOver) return false;
    try {
      this.#step(this.#lines.columns);
    } catch (thrown) {
      throw this.#asError(thrown);
    }
    return true;
  }

  /** Also before the first step; empty where there are no lines. */
  firstKey(): Buffer {
    const { count, columns: { length, suffix } } = this.#lines;
    return count === 0 ? Buffer.alloc(0) : Buffer.from(suffix.view().subarray(0, new ByteReader(length.view()).varint()));
  }

  /** Of the line where it stands. Valid until the next step. */
  keyBytes(): Buffer {
    return this.#key.view();
  }

  /** It stands on the last line, or there is none. */
  get isOver(): boolean {
    return this.#passed === this.#lines.count;
  }

  /** Behind the last line nothing stands in any column. */
  get isSpent(): boolean {
    return this.isOver && Object.values(this.#lines.columns).every(({ left }) => left === 0);
  }

  /** As compareKeys: of the key where it stands, and this one. */
  compareKey(key: Key): number {
    return this.#key.compare(key);
  }

  get state(): ItemState {
    return stateOf(this.#shape);
  }

  /** Undefined for one that this build does not know. */
  get evidence(): Evidence | undefined {
    return evidenceOf(this.#shape);
  }

  get isDirectory(): boolean {
    return (this.#shape & SHAPE.directory) !== 0;
  }

  /** It has no version, code, storage class or lost attribute, is no directory and was never undone. */
  get isPlain(): boolean {
    return this.#words === 0 && (this.#shape & (SHAPE.directory | SHAPE.undone)) === 0 && (this.#more & MORE.version) === 0;
  }

  get checksumAlgorithm(): ChecksumAlgorithm | undefined {
    return this.#algorithm;
  }

  /** Whether the item says that this stands at the destination. */
  isThere(token: Token): boolean {
    if ((this.#more & MORE.destination) === DESTINATION.absent) return false;
    const column = this.#lines.columns.token;
    const form = column.view()[this.#there] as number;
    if (form === FORM.digest) return token.length === 32 && isDigest(column.view(), this.#there + 1, token, 0);
    if (form === (FORM.digest | FORM.quoted)) return isQuoted(token) && isDigest(column.view(), this.#there + 1, token, 1);
    // The last one of its line: behind it the column stands where it stood.
    column.return(this.#there);
    return readToken(column) === token;
  }

  /** The item as a whole, for the few that need it. */
  item(): Item {
    const { columns, words } = this.#lines;
    for (const name of READ) columns[name].return(this.#from[name]);
    return readLine(columns, words, this.#key.text()).item;
  }

  #step(columns: Columns<ByteReader>): void {
    this.#passed++;
    this.#key.follow(columns.shared.varint(), columns.suffix, columns.length.varint());
    this.#mark(columns);
    this.#pass(columns);
  }

  #mark({ shape, size, token, version, checksum, word, attempts }: Columns<ByteReader>): void {
    const from = this.#from;
    from.shape = shape.at;
    from.size = size.at;
    from.token = token.at;
    from.version = version.at;
    from.checksum = checksum.at;
    from.word = word.at;
    from.attempts = attempts.at;
  }

  /** As readLine does. */
  #pass({ shape, size, token, version, checksum, word, attempts }: Columns<ByteReader>): void {
    this.#shape = shape.byte();
    this.#more = shape.byte();
    size.varint();
    this.#there = token.at;
    skipToken(token);
    if ((this.#more & MORE.version) !== 0) version.skipText();
    attempts.varint();
    if ((this.#shape & SHAPE.undone) !== 0) attempts.varint();
    if ((this.#more & MORE.destination) === DESTINATION.own) {
      this.#there = token.at;
      skipToken(token);
    }
    this.#algorithm = skipChecksum(checksum);
    this.#words = word.varint() + word.varint() + word.varint();
  }
}

function isQuoted(token: Token): boolean {
  return token.length === 34 && token.charCodeAt(0) === QUOTE && token.charCodeAt(33) === QUOTE;
}

/** Whether these 16 bytes are the digest that stands in the token from there on. */
function isDigest(bytes: Buffer, at: number, token: Token, from: number): boolean {
  for (let i = 0; i < 16; i++) {
    const byte = bytes[at + i] as number;
    if (token.charCodeAt(from + 2 * i) !== DIGITS[byte >> 4] || token.charCodeAt(from + 1 + 2 * i) !== DIGITS[byte & 15]) return false;
  }
  return true;
}
