/** Answers of a server that is broken in one way at a time: made by a seed, with what a careful client may make of them. */

/** A small generator of numbers, so that a seed tells all (mulberry32). */
export class Dice {
  #state: number;

  constructor(seed: number) {
    this.#state = seed >>> 0;
  }

  below(limit: number): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0;
    let t = this.#state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) % limit;
  }

  chance(percent: number): boolean {
    return this.below(100) < percent;
  }

  pick<T>(from: readonly T[]): T {
    return from[this.below(from.length)] as T;
  }
}

/** What the server does with its bytes. */
export interface Play {
  /** Bytes of the answer, all that may ever be sent. */
  readonly bytes: Buffer;
  /** Writes end at these places; between two the event loop turns. */
  readonly cuts: readonly number[];
  /** After this many bytes: `end` (half-close), `destroy`, `stall`; undefined: the connection lives on. */
  readonly stop?: { readonly at: number; readonly how: 'end' | 'destroy' | 'stall' };
  /** PUT: the answer goes out before the body of the request was read. */
  readonly early?: boolean;
}

/** What the client may say of it: exactly this, or an error; `good` must succeed. */
export interface Case {
  readonly method: 'GET' | 'PUT';
  readonly name: string;
  readonly play: Play;
  /** GET: with a buffer to land in. PUT: in one piece, not streamed. */
  readonly whole: boolean;
  /** GET: the reader goes after the first chunk. */
  readonly leaves: boolean;
  /** The body that a GET asks for, or a PUT sends. */
  readonly content: Buffer;
  /** Bytes that a client may take for the body of the answer; undefined: none, it must fail. */
  readonly acceptable: Buffer | undefined;
  readonly status: number;
  readonly good: boolean;
}

const SIZES = [0, 1, 2, 17, 100, 1000, 1460, 5000, 16_383, 16_384, 16_385, 33_000, 70_000, 300_000];
const CRLF = '\r\n';

export function contentOf(dice: Dice, size: number): Buffer {
  const bytes = Buffer.allocUnsafe(size);
  const tag = dice.below(2 ** 30);
  for (let i = 0; i + 4 <= size; i += 4) bytes.writeUInt32LE((tag + Math.imul(i, 2_654_435_761)) >>> 0, i);
  for (let i = size & ~3; i < size; i++) bytes[i] = tag >>> (8 * (i & 3));
  return bytes;
}

function headLines(dice: Dice, length: number): string[] {
  const lines = [`${dice.pick(['Content-Length', 'content-length', 'CONTENT-LENGTH'])}:${dice.pick([' ', '', '\t', '  '])}${length}${dice.pick(['', ' '])}`];
  for (let i = dice.below(5); i > 0; i--) lines.splice(dice.below(lines.length + 1), 0, `x-${dice.below(1000)}: ${'v'.repeat(dice.below(60))}`);
  if (dice.chance(5)) lines.push('Keep-Alive: timeout=9');
  return lines;
}

const joined = (first: string, lines: readonly string[]): Buffer => Buffer.from([first, ...lines, '', ''].join(CRLF), 'latin1');

/** The body behind a head, as a reader takes it who finds exactly one plain length in it; undefined where there is doubt. */
function bodyBy(bytes: Buffer): Buffer | undefined {
  const end = bytes.indexOf('\r\n\r\n');
  if (end < 0) return undefined;
  const [first = '', ...lines] = bytes.toString('latin1', 0, end).split(CRLF);
  const lengths = lines.map((line) => /^content-length:[ \t]*(\d+)[ \t]*$/i.exec(line)?.[1]).filter((found) => found !== undefined);
  if (/^HTTP\/1\.1 (204|304)/.test(first) && lengths.length <= 1) return Buffer.alloc(0);
  if (lengths.length !== 1 || lines.some((line) => /^transfer-encoding/i.test(line))) return undefined;
  const length = Number(lengths[0]);
  return bytes.length < end + 4 + length ? undefined : bytes.subarray(end + 4, end + 4 + length);
}

export function makeCase(seed: number): Case {
  const dice = new Dice(seed);
  const method = dice.chance(65) ? 'GET' : 'PUT';
  const content = contentOf(dice, dice.pick(SIZES));
  const status = method === 'GET' ? 200 : dice.pick([200, 200, 200, 204, 412, 503]);
  const body = method === 'GET' ? content : status < 300 ? Buffer.alloc(0) : Buffer.from('<Error><Code>X</Code></Error>');
  const lines = status === 204 ? headLines(dice, 0).filter((line) => !/^content-length/i.test(line)) : headLines(dice, body.length);
  const good = Buffer.concat([joined(`HTTP/1.1 ${status} ${dice.pick(['OK', 'Whatever', ''])}`, lines), body]);
  const base = { method, content, status, whole: dice.chance(60), leaves: method === 'GET' && dice.chance(4) } as const;
  const [name, make] = dice.pick(WAYS);
  return { ...base, name, ...make({ dice, good, body, lines, head: good.length - body.length, status, method }) };
}

interface Given {
  readonly dice: Dice;
  readonly good: Buffer;
  readonly body: Buffer;
  readonly lines: readonly string[];
  readonly head: number;
  readonly status: number;
  readonly method: 'GET' | 'PUT';
}

type Made = Pick<Case, 'play' | 'acceptable' | 'good'>;
type Way = readonly [name: string, make: (given: Given) => Made];

const someCuts = (dice: Dice, length: number): number[] => Array.from({ length: dice.below(4) }, () => dice.below(length + 1)).sort((a, b) => a - b);

/** Where things happen: near the head, and near the ends of what is read in one go. */
function place(dice: Dice, { good, head }: Given): number {
  const near = dice.pick([dice.below(head + 1), head, good.length, head + 16_384, good.length - 16_384, dice.below(good.length + 1)]) + dice.below(5) - 2;
  return Math.max(0, Math.min(good.length, near));
}

function stopped(given: Given, how: 'end' | 'destroy' | 'stall'): Made {
  const { dice, good, body } = given;
  const at = place(dice, given);
  return { play: { bytes: good, cuts: someCuts(dice, at), stop: { at, how } }, acceptable: at >= good.length ? body : undefined, good: false };
}

function mutated(given: Given): Made {
  const { dice, good, head } = given;
  const bytes = [...good.subarray(0, head)];
  for (let i = 1 + dice.below(2); i > 0; i--) {
    const at = dice.below(bytes.length);
    const value = dice.pick([0, 9, 10, 13, 32, 48 + dice.below(10), 58, 127, 128, dice.below(256)]);
    if (dice.chance(40)) bytes[at] = value;
    else if (dice.chance(50)) bytes.splice(at, 0, value);
    else bytes.splice(at, 1 + dice.below(3));
  }
  const sent = Buffer.concat([Buffer.from(bytes), good.subarray(head)]);
  return { play: { bytes: sent, cuts: someCuts(dice, sent.length), stop: { at: sent.length, how: dice.pick(['end', 'stall', 'destroy']) } }, acceptable: bodyBy(sent), good: false };
}

function wrongLength(given: Given): Made {
  const { dice, body, status, lines } = given;
  const n = body.length;
  const others = lines.filter((line) => !/^content-length/i.test(line));
  const wrong = dice.pick([
    [`content-length: ${n + 1 + dice.below(100)}`], [`content-length: ${n}`, `content-length: ${n}`], [`content-length: ${n}`, `content-length: ${n + 1}`], [`content-length: ${n}, ${n}`], [`content-length: +${n}`],
    [`content-length: 0x${n.toString(16)}`], [`content-length: ${n}`, 'transfer-encoding: chunked'], ['content-length: 99999999999999999999'], ['content-length:'], [`content-length: -${n}`], [`content-length\t: ${n}`], [`content-length: ${n}\n`],
  ]);
  const bytes = Buffer.concat([joined(`HTTP/1.1 ${status} OK`, [...others, ...wrong]), body]);
  return { play: { bytes, cuts: someCuts(dice, bytes.length), stop: { at: bytes.length, how: dice.pick(['end', 'destroy', 'stall']) } }, acceptable: undefined, good: false };
}

/** More bytes than the answer has. They may be found at once, or when the connection rests; never may they be the next answer. */
function smuggled({ dice, good, body }: Given): Made {
  const evil = dice.pick(['HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nevil', 'x', '\r\n', `HTTP/1.1 200 OK\r\nx: ${'y'.repeat(3000)}\r\ncontent-length: 0\r\n\r\n`, 'z'.repeat(40_000)]);
  const bytes = Buffer.concat([good, Buffer.from(evil, 'latin1')]);
  return { play: { bytes, cuts: dice.chance(50) ? [] : someCuts(dice, good.length - 1) }, acceptable: body, good: false };
}

function chunked({ dice, body, status, lines, method }: Given): Made {
  const parts: Buffer[] = [];
  for (let at = 0; at < body.length;) {
    const size = Math.min(1 + dice.below(5000), body.length - at);
    parts.push(Buffer.from(size.toString(16) + CRLF), body.subarray(at, at + size), Buffer.from(CRLF));
    at += size;
  }
  const broken = dice.chance(40);
  const coded = Buffer.concat([...parts, Buffer.from('0\r\n\r\n')]);
  if (broken && coded.length > 0) coded[dice.below(coded.length)] = dice.below(256);
  const bytes = Buffer.concat([joined(`HTTP/1.1 ${status} OK`, [...lines.filter((line) => !/^content-length/i.test(line)), 'Transfer-Encoding: chunked']), coded]);
  // A byte changed inside the content is not for the framing to find.
  const acceptable = broken && method === 'PUT' ? ANY : body;
  return { play: { bytes, cuts: someCuts(dice, bytes.length), ...(broken ? { stop: { at: bytes.length, how: 'end' as const } } : {}) }, acceptable, good: false };
}

/** Anything goes, as long as it ends. */
export const ANY = Buffer.from('any');

const WAYS: readonly Way[] = [
  ['good', ({ dice, good, body }) => ({ play: { bytes: good, cuts: someCuts(dice, good.length) }, acceptable: body, good: true })],
  ['good, in one piece', ({ good, body }) => ({ play: { bytes: good, cuts: [] }, acceptable: body, good: true })],
  ['dripping', ({ dice, good, body, head }) => {
    const from = dice.below(head);
    return { play: { bytes: good, cuts: Array.from({ length: 40 }, (_, i) => Math.min(from + i, good.length)) }, acceptable: body, good: false };
  }],
  ['interim answers', ({ dice, good, body }) => ({ play: { bytes: Buffer.concat([Buffer.from(dice.pick(['HTTP/1.1 100 Continue\r\n\r\n', 'HTTP/1.1 103 E\r\nlink: x\r\n\r\n', 'HTTP/1.1 102 P\r\n\r\n'.repeat(3)])), good]), cuts: someCuts(dice, good.length) }, acceptable: body, good: true })],
  ['cut, half-closed', (given) => stopped(given, 'end')],
  ['cut, destroyed', (given) => stopped(given, 'destroy')],
  ['cut, destroyed', (given) => stopped(given, 'destroy')],
  ['stalled', (given) => (given.dice.chance(30) ? stopped(given, 'stall') : stopped(given, 'end'))],
  ['mutated head', mutated],
  ['mutated head', mutated],
  ['wrong length', wrongLength],
  ['smuggled', smuggled],
  ['smuggled', smuggled],
  ['chunked', chunked],
  ['old or close-delimited', ({ dice, good, head, status, body }) => {
    const bytes = dice.chance(50) ? Buffer.concat([Buffer.from('HTTP/1.0'), good.subarray(8)]) : Buffer.concat([Buffer.from(`HTTP/1.1 ${status} OK\r\n\r\n`), good.subarray(head)]);
    return { play: { bytes, cuts: [], stop: { at: bytes.length, how: 'end' } }, acceptable: status === 204 ? body : undefined, good: false };
  }],
  ['early', ({ dice, good, body }) => ({ play: { bytes: good, cuts: someCuts(dice, good.length), early: true }, acceptable: body, good: false })],
  ['close', ({ dice, good, body, head }) => ({ play: { bytes: Buffer.concat([good.subarray(0, head - 2), Buffer.from('Connection: close\r\n\r\n'), good.subarray(head)]), cuts: someCuts(dice, head), ...(dice.chance(50) ? { stop: { at: good.length + 19, how: 'end' as const } } : {}) }, acceptable: body, good: true })],
];
