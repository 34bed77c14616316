/** Goes through packed lines without an object or a string for each: for who compares millions of them with something, and finds nearly all as they should be. */
import type { ByteReader } from './bytes.ts';
import type { Item, ItemState } from './item.ts';
import type { Key } from './key.ts';
import { KeyBytes } from './key-bytes.ts';
import { type Columns, DESTINATION, FORM, MORE, openLines, type OpenLines, SHAPE, skipChecksum, skipToken, stateOf } from './line-columns.ts';
import { readLine, readToken } from './lines.ts';
import type { Token } from './object.ts';

const QUOTE = 0x22;
const DIGITS = Buffer.from('0123456789abcdef');

export class LineCursor {
  readonly #lines: OpenLines;
  readonly #key = new KeyBytes();
  readonly #from: Columns<number> = { shared: 0, length: 0, suffix: 0, shape: 0, size: 0, token: 0, version: 0, checksum: 0, word: 0, attempts: 0 };
  #passed = 0;
  #first: Buffer | undefined;
  #shape = 0;
  #more = 0;
  /** Where the destination's token is. */
  #there = 0;

  /** `plain`: as of packLines(). @throws RangeError as unpackLines, then and with each step */
  constructor(plain: Buffer) {
    this.#lines = openLines(plain);
  }

  /** Goes to the next line, at first to the first one; false: there is none. */
  next(): boolean {
    if (this.isOver) return false;
    this.#passed++;
    const { columns } = this.#lines;
    this.#key.follow(columns.shared.varint(), columns.suffix, columns.length.varint());
    this.#first ??= Buffer.from(this.#key.view());
    this.#mark(columns);
    this.#pass(columns);
    return true;
  }

  /** Of the lines that it passed: the first and the last key. Valid until the next step; undefined before the first. */
  get range(): { readonly first: Buffer; readonly last: Buffer } | undefined {
    return this.#first === undefined ? undefined : { first: this.#first, last: this.#key.view() };
  }

  /** Nothing is left. */
  get isOver(): boolean {
    return this.#passed === this.#lines.count;
  }

  /** As compareKeys: of the key where it stands, and this one. */
  compareKey(key: Key): number {
    return this.#key.compare(key);
  }

  get state(): ItemState {
    return stateOf(this.#shape);
  }

  get isDirectory(): boolean {
    return (this.#shape & SHAPE.directory) !== 0;
  }

  /** Whether the item says that this stands at the destination. */
  isThere(token: Token): boolean {
    if ((this.#more & MORE.destination) === DESTINATION.absent) return false;
    const column = this.#lines.columns.token;
    const form = column.view()[this.#there] as number;
    return form === (FORM.digest | FORM.quoted) ? isQuotedDigest(column.view(), this.#there + 1, token) : this.#readFrom(column, this.#there) === token;
  }

  /** The item as a whole, for the few that need it. */
  item(): Item {
    const { columns, words } = this.#lines;
    for (const name of ['shape', 'size', 'token', 'version', 'checksum', 'word', 'attempts'] as const) columns[name].return(this.#from[name]);
    return readLine(columns, words, this.#key.text()).item;
  }

  #readFrom(column: ByteReader, at: number): Token {
    const behind = column.at;
    column.return(at);
    const token = readToken(column);
    column.return(behind);
    return token;
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
    skipChecksum(checksum);
    word.varint();
    word.varint();
    word.varint();
  }
}

/** Whether these 16 bytes are this token's digest, between quotes. */
function isQuotedDigest(bytes: Buffer, at: number, token: Token): boolean {
  if (token.length !== 34 || token.charCodeAt(0) !== QUOTE || token.charCodeAt(33) !== QUOTE) return false;
  for (let i = 0; i < 16; i++) {
    const byte = bytes[at + i] as number;
    if (token.charCodeAt(1 + 2 * i) !== DIGITS[byte >> 4] || token.charCodeAt(2 + 2 * i) !== DIGITS[byte & 15]) return false;
  }
  return true;
}
