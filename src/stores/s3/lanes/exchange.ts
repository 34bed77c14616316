/** One request and its answer on one connection: what the connection serves, and the body that the caller reads, in one object. */
import { BrigadeError, cancelled } from '../../../core/errors.ts';
import { KiB, MiB } from '../../../core/units.ts';
import type { Aborts, Stoppable } from '../../../core/aborts.ts';
import { cutShort, networkError } from '../network.ts';
import { collectBody, headersTimeoutOf, SWALLOW } from '../transport.ts';
import type { HttpRequest, HttpResponse, ResponseBody, Timeouts } from '../transport.ts';
import type { LaneConnection, Served } from './connection.ts';
import { Dechunker } from './dechunk.ts';
import { endOfHead, HeadError, MOST_HEAD, parseHead, type Framing, type Head } from './head.ts';
import type { Burst } from './burst.ts';
import type { Deadlines, Timed } from '../deadlines.ts';
import { Copies, InPlace, Ring, type Crumbs, type Inflow, type RingBuffers } from './inflow.ts';
import { headOf, sendPieces } from './request.ts';

/** A chunk smaller than the step of its inflow is handed out when nothing more came for so long: each costs its way through all decorators. */
const FLUSH_MS = 20;
/** Bytes of an answer in chunks that may wait for the reader. */
const MOST_CHUNKED = 1 * MiB;
/** The end of a body is read through the scratch buffer, where what comes behind it is seen. */
const TAIL = MOST_HEAD;
const SHORT = 64 * KiB;
const MOST_INTERIM = 8;
const UNSENT_MS = 250;
/** A body that is awaited whole and does not end within this is handed out as it comes, where its silence is watched. */
const PATIENCE_MS = 300;

/** An answer that is not spoken here. */
export class Odd extends Error {
  /** Another reader may understand it; else it is broken for everybody. */
  readonly lawful: boolean;

  constructor(message: string, lawful: boolean) {
    super(message);
    this.lawful = lawful;
  }
}

export interface Around {
  readonly timeouts: Timeouts;
  readonly aborts: Aborts;
  readonly buffers: RingBuffers;
  readonly crumbs: Crumbs;
  readonly deadlines: Deadlines;
  readonly burst: Burst;
}

/** The connection is free: closed, or good for another exchange, for so many seconds where the server says so. */
export type Release = (how: 'closed' | number | undefined) => void;

type Step = IteratorResult<Uint8Array, undefined>;
const END: Step = { done: true, value: undefined };
const NOTHING = new Uint8Array(0);

export class LaneExchange implements Served, ResponseBody, AsyncIterator<Uint8Array, undefined>, Stoppable, Timed {
  readonly #request: HttpRequest;
  readonly #around: Around;
  #resolve: ((response: HttpResponse) => void) | undefined;
  #reject: ((error: Error) => void) | undefined;
  #connection: LaneConnection | undefined;
  #release: Release | undefined;
  #phase: 'head' | 'body' | 'ended' | 'failed' = 'head';
  #error: BrigadeError | undefined;
  /** Something of the request may have gone out. */
  #begun = false;
  /** How far the request is (Progress). */
  #handed = false;
  #sent = false;
  /** There is an answer, and still not all of the request is sent. */
  #tooEarly = false;
  #interim = 0;
  #persistent = false;
  #keepSeconds: number | undefined;
  /** Bytes of the body that have not arrived; unknown while a dechunker tells the end. */
  #left = 0;
  #dechunker: Dechunker | undefined;
  #inflow: Inflow;
  #paused = false;
  #discarded = false;
  #reader: { resolve(step: Step): void; reject(error: Error): void } | undefined;
  /** The reader has waited long enough for a full chunk. */
  #late = false;
  #flush: NodeJS.Timeout | undefined;
  /** Somebody awaits all of it. */
  #whole: (Timed & { tell(bytes: Uint8Array | undefined): void }) | undefined;
  /** Silence that is put up with now, milliseconds. */
  #patienceMs = 0;

  constructor(request: HttpRequest, around: Around, resolve: (response: HttpResponse) => void, reject: (error: Error) => void) {
    this.#request = request;
    this.#around = around;
    this.#resolve = resolve;
    this.#reject = reject;
    this.#inflow = new Copies(around.crumbs);
    if (request.signal?.aborted === false) around.aborts.add(request.signal, this);
  }

  /** It costs little to look at it as one piece. */
  get isBrief(): boolean {
    const { bodySize = Infinity, answerSize = 0 } = this.#request;
    return Math.max(bodySize, answerSize) <= SHORT;
  }

  get over(): boolean {
    return this.#phase === 'ended' || this.#phase === 'failed';
  }

  begin(connection: LaneConnection, release: Release): void {
    this.#connection = connection;
    this.#release = release;
    connection.serve(this);
    const { body, bodySize = 0 } = this.#request; // wire.ts sends nothing of unknown size this way
    this.#await(headersTimeoutOf(this.#request, this.#around.timeouts));
    if (this.isBrief) this.#around.burst.add(() => { if (this.#phase === 'head') this.#send(connection, body, bodySize); });
    else this.#send(connection, body, bodySize);
  }

  #send(connection: LaneConnection, body: HttpRequest['body'], bodySize: number): void {
    this.#begun = true;
    try {
      const head = headOf(this.#request);
      const handed = (): void => { this.#handed = true; };
      const sent = (): void => {
        this.#sent = true;
        if (this.#phase === 'head') connection.lookAgain();
      };
      if (body === undefined) {
        connection.sendHead(head);
        this.#sent = true;
      } else if (body instanceof Uint8Array) connection.send(head, body, { handed, sent });
      else sendPieces(connection, head, body, bodySize, { handed, sent, moved: () => { this.#awaitAnew(); }, goesOn: () => this.#phase === 'head' }).catch((thrown: unknown) => { this.fail(thrown); });
    } catch (thrown) {
      this.fail(thrown);
    }
  }

  /** The signal fired. */
  stop(): void {
    this.fail(cancelled());
  }

  room(): Uint8Array | undefined {
    return this.#phase === 'body' && !this.#discarded && this.#left > TAIL ? this.#inflow.room(this.#left - TAIL) : undefined;
  }

  landed(count: number): boolean {
    this.#left -= count;
    this.#inflow.landed(count);
    return this.#flow();
  }

  scratched(scratch: Buffer, filled: number): number {
    try {
      // An answer that nobody asked for, to a request that only waits for its turn.
      if (!this.#begun) throw new HeadError('bytes before the request', 'HPE_UNEXPECTED');
      if (this.#phase === 'head') return this.#readHead(scratch, filled);
      if (this.#phase === 'body') this.#readBody(scratch.subarray(0, filled));
    } catch (thrown) {
      this.fail(thrown);
    }
    return 0;
  }

  broken(error: unknown): void {
    this.fail(error);
  }

  /** Also before it began. Ends the connection. */
  fail(thrown: unknown): void {
    if (this.over) return;
    const error = this.#errorOf(thrown);
    this.#phase = 'failed';
    this.#settle();
    this.#connection?.destroy();
    this.#release?.('closed');
    this.#reject?.(error);
    this.#resolve = this.#reject = undefined;
    this.#error = error instanceof BrigadeError ? error : networkError(error, this.#request.origin);
    this.#deliver();
  }

  #errorOf(thrown: unknown): BrigadeError | Odd {
    if (thrown instanceof Odd) return thrown;
    const { origin } = this.#request;
    if (thrown instanceof HeadError && this.#phase === 'head' && thrown.code === 'HPE_STRICT') return new Odd(thrown.message, false);
    const error = networkError(thrown, origin);
    return this.#phase === 'body' && error.code === 'E_NETWORK' ? cutShort(error, origin) : error;
  }

  /** Bytes of the scratch buffer that are to stay. */
  #readHead(scratch: Buffer, filled: number): number {
    for (let rest = filled; ;) {
      const end = endOfHead(scratch, rest);
      if (end === undefined) return rest;
      const head = parseHead(scratch.toString('latin1', 0, end));
      if (head.status >= 200 && head.status < 300 && this.#handed && !this.#sent && !this.#tooEarly) {
        this.#waitUntilSent();
        return rest;
      }
      if (head.status >= 200) {
        this.#answered(head);
        this.#readBody(scratch.subarray(end, rest));
        return 0;
      }
      if (head.status === 101 || ++this.#interim > MOST_INTERIM) throw new HeadError('an interim answer');
      scratch.copyWithin(0, end, rest);
      rest -= end;
    }
  }

  /** A success counts once all of the request is known to be sent. Who has read all of it let us send all of it: a moment is enough. */
  #waitUntilSent(): void {
    this.#around.deadlines.clear(this);
    setTimeout(() => {
      this.#tooEarly = true;
      if (this.#phase === 'head') this.#connection?.lookAgain();
    }, UNSENT_MS);
  }

  #answered(head: Head): void {
    const { status, framing } = head;
    const { body } = this.#request;
    if (this.#request.method === 'HEAD') {
      this.#beginBody(head, { kind: 'length', length: 0 });
      return;
    }
    if (framing.kind === 'odd') throw new Odd(framing.why, true);
    // Large answers tell their length; it is errors that come in chunks, and those of a request that must not be repeated here are read.
    if (framing.kind === 'chunked' && body === undefined && status < 300) throw new Odd('Transfer-Encoding', true);
    if (!this.#sent && status < 300) throw new BrigadeError({ code: 'E_PROTOCOL', kind: 'transient', message: `the answer (${status}) came before the request was sent`, location: this.#request.origin });
    this.#beginBody(head, framing);
  }

  #beginBody({ status, headers, persistent, keepSeconds }: Head, framing: Exclude<Framing, { readonly kind: 'odd' }>): void {
    this.#persistent = persistent && this.#sent;
    this.#keepSeconds = keepSeconds;
    this.#phase = 'body';
    if (framing.kind === 'chunked') this.#dechunker = new Dechunker();
    else this.#expect(status, framing.length);
    this.#await(this.#around.timeouts.idle);
    this.#resolve?.({ status, headers, body: this });
    this.#resolve = this.#reject = undefined;
  }

  #expect(status: number, length: number): void {
    const { into } = this.#request;
    this.#left = length;
    if (into?.length === length && (status === 200 || status === 206)) this.#inflow = new InPlace(into);
    else if (length > SHORT) this.#inflow = new Ring(this.#around.buffers);
  }

  #readBody(bytes: Buffer): void {
    if (this.#dechunker !== undefined) {
      this.#dechunker.feed(bytes, (content) => { this.#copy(content); });
      if (this.#inflow.waiting > MOST_CHUNKED) throw new HeadError('a large answer in chunks');
      if (this.#dechunker.over) this.#end();
    } else {
      if (bytes.length > this.#left) throw new HeadError('bytes behind the answer');
      this.#left -= bytes.length;
      this.#copy(bytes);
      if (this.#left === 0) this.#end();
    }
    if (this.#phase === 'body') this.#flow();
  }

  #copy(bytes: Buffer): void {
    if (!this.#discarded) this.#inflow.copy(bytes);
  }

  #end(): void {
    this.#phase = 'ended';
    this.#settle();
    if (!this.#persistent) this.#connection?.destroy();
    this.#release?.(this.#persistent ? this.#keepSeconds : 'closed');
    this.#deliver();
  }

  #await(ms: number): void {
    this.#patienceMs = ms;
    this.#around.deadlines.set(this, ms);
  }

  #awaitAnew(): void {
    this.#around.deadlines.set(this, this.#patienceMs);
  }

  #settle(): void {
    this.#around.deadlines.clear(this);
    const { signal } = this.#request;
    if (signal !== undefined) this.#around.aborts.delete(signal, this);
  }

  /** After bytes have come. False: no more for now. */
  #flow(): boolean {
    this.#awaitAnew();
    const { waiting } = this.#inflow;
    if (this.#reader !== undefined && (waiting >= this.#inflow.step || (this.#late && waiting > 0))) this.#deliver();
    if (this.#inflow.waiting < this.#inflow.ahead || this.#dechunker !== undefined) return true;
    this.#paused = true;
    this.#around.deadlines.clear(this);
    this.#giveUpWhole();
    return false;
  }

  #resumeIfTaken(): void {
    if (!this.#paused || this.#phase !== 'body' || this.#inflow.waiting >= this.#inflow.ahead / 2) return;
    this.#paused = false;
    this.#await(this.#around.timeouts.idle);
    this.#connection?.resume();
  }

  /** Nothing came for too long. */
  late(): void {
    const code = this.#phase === 'head' ? 'UND_ERR_HEADERS_TIMEOUT' : 'UND_ERR_BODY_TIMEOUT';
    this.fail(Object.assign(new Error(code), { code }));
  }

  /** Gives the waiting reader what there is: bytes before the end, bytes before an error. */
  #deliver(): void {
    if (this.#whole !== undefined && (this.over || this.#discarded)) this.#giveUpWhole();
    const reader = this.#reader;
    if (reader === undefined) return;
    const chunk = this.#discarded ? undefined : this.#inflow.take();
    if (chunk === undefined && !this.over && !this.#discarded) return;
    clearTimeout(this.#flush);
    this.#late = false;
    this.#reader = undefined;
    if (chunk !== undefined) reader.resolve({ done: false, value: chunk });
    else if (this.#error !== undefined && !this.#discarded) reader.reject(this.#error);
    else reader.resolve(END);
    this.#resumeIfTaken();
  }

  [Symbol.asyncIterator](): AsyncIterator<Uint8Array, undefined> {
    return this;
  }

  next(): Promise<Step> {
    return new Promise((resolve, reject) => {
      this.#reader = { resolve, reject };
      if (this.over || this.#discarded || this.#inflow.waiting >= this.#inflow.step) {
        this.#deliver();
        return;
      }
      this.#flush = setTimeout(() => {
        this.#late = true;
        this.#deliver();
      }, FLUSH_MS);
      this.#resumeIfTaken();
    });
  }

  whole(): Uint8Array | undefined | Promise<Uint8Array | undefined> {
    if (this.#phase === 'ended') return this.#takeAll();
    if (this.#phase !== 'body' || this.#discarded || this.#paused) return undefined;
    return new Promise((resolve) => {
      this.#whole = { tell: resolve, late: () => { this.#giveUpWhole(); } };
      this.#around.deadlines.set(this.#whole, PATIENCE_MS);
    });
  }

  #takeAll(): Uint8Array | undefined {
    return this.#discarded ? undefined : this.#inflow.take() ?? NOTHING;
  }

  /** Whoever awaits all of it gets it, or, where it is not there, is to read piece by piece. */
  #giveUpWhole(): void {
    if (this.#whole === undefined) return;
    const whole = this.#whole;
    this.#whole = undefined;
    this.#around.deadlines.clear(whole);
    whole.tell(this.#phase === 'ended' ? this.#takeAll() : undefined);
  }

  return(): Promise<Step> {
    this.discard();
    return Promise.resolve(END);
  }

  collect(limit: number): Promise<Buffer> {
    // A chunk is ours only until the next one is asked for.
    return collectBody(this, limit, this.#request.origin, (chunk) => Buffer.from(chunk));
  }

  discard(): void {
    if (this.#discarded) return;
    this.#discarded = true;
    this.#inflow = new Copies(this.#around.crumbs);
    this.#deliver();
    if (this.#phase !== 'body') return;
    // The rest would still land in the reader's buffer, if that is where the next read goes.
    const swallow = this.#dechunker === undefined && this.#left <= SWALLOW && this.#connection?.readsIntoScratch === true;
    if (swallow) this.#resumeIfTaken();
    else this.fail(cancelled());
  }
}
