/**
 * Asks a second time for bytes that come far slower than others do (hedging.ts says when): the rest of the same version from the next byte
 * on, over another connection. Both go on; who first has the next MiB, or the rest where that is less, goes on alone, and the other one is
 * given up. Outermost, so that the second request is limited, counted, gated and retried like any other. Reads only: docs/adr/009.
 */
import { BrigadeError } from '../../core/errors.ts';
import type { Events } from '../../ports/events.ts';
import type { ObjectRead, ReadRequest, Store } from '../../ports/storage.ts';
import { HEDGED_FROM, type Hedging, type Watch } from './hedging.ts';
import { instead, layer } from './layer.ts';

export interface HedgedOptions {
  readonly side: 'source' | 'destination';
  readonly events: Events;
  readonly hedging: Hedging;
}

/** Both run for this many bytes, which are held for the second one. */
const RACE = 1024 * 1024;

type Open = (request: ReadRequest) => Promise<ObjectRead>;
type Result = IteratorResult<Uint8Array, undefined>;
const DONE: Result = { done: true, value: undefined };

export function hedged(store: Store, options: HedgedOptions): Store {
  const { hedging } = options;
  const counted = layer(store, {
    call: (_, run) => {
      hedging.request();
      return run();
    },
  });
  // Of small objects there are many, and they are not hedged: nothing is put around their requests.
  return instead(counted, {
    read(request) {
      hedging.request();
      if (request.pin === undefined || lengthOf(request) < HEDGED_FROM) return store.read(request);
      return new HedgedRead(request, (again) => store.read(again), options).opened();
    },
    write(request) {
      hedging.request();
      return store.write(request);
    },
  });
}

function lengthOf({ range, expectedSize }: ReadRequest): number {
  return range?.length ?? expectedSize;
}

/** A signal of its own, which fires with the request's too. */
class Runner {
  readonly #stop = new AbortController();
  readonly #outer: AbortSignal | undefined;
  readonly #abort = (): void => this.#stop.abort();
  read: ObjectRead | undefined;
  chunks: AsyncIterator<Uint8Array> | undefined;

  constructor(outer: AbortSignal | undefined) {
    this.#outer = outer;
    if (outer?.aborted === true) this.#stop.abort();
    else outer?.addEventListener('abort', this.#abort, { once: true });
  }

  async open(open: Open, request: ReadRequest): Promise<ObjectRead> {
    const read = await open({ ...request, signal: this.#stop.signal });
    this.read = read;
    if (this.#stop.signal.aborted) read.discard();
    return read;
  }

  next(): Promise<IteratorResult<Uint8Array>> {
    this.chunks ??= (this.read as ObjectRead).chunks[Symbol.asyncIterator]();
    return this.chunks.next();
  }

  /** Came to its end. */
  release(): void {
    this.#outer?.removeEventListener('abort', this.#abort);
  }

  /** Given up: frees the connection; a request that is still being opened or repeated ends too. What it still has to say is of no use. */
  give(): void {
    this.release();
    this.#stop.abort();
    this.read?.discard();
    this.chunks?.return?.().catch(() => undefined);
  }
}

/** The second one, once it has won: the bytes that were held, then the rest as it comes. */
interface Ahead {
  readonly runner: Runner;
  readonly held: Uint8Array[];
}

interface Asking {
  resolve(result: Result): void;
  reject(error: unknown): void;
}

class HedgedRead implements AsyncIterator<Uint8Array, undefined> {
  readonly #request: ReadRequest;
  readonly #open: Open;
  readonly #options: HedgedOptions;
  readonly #length: number;
  readonly #watch: Watch;
  readonly #first: Runner;
  #second: Runner | undefined;
  /** The second one has won, and takes over when the next chunk is asked for: the last one still belongs to the consumer. */
  #ahead: Ahead | undefined;
  #delivered = 0;
  /** The first one wins when it has come so far. */
  #goal = Infinity;
  #asking: Asking | undefined;
  #over = false;
  #info: ((read: ObjectRead) => void) | undefined;

  constructor(request: ReadRequest, open: Open, options: HedgedOptions) {
    this.#request = request;
    this.#open = open;
    this.#options = options;
    this.#length = lengthOf(request);
    this.#first = new Runner(request.signal);
    this.#watch = options.hedging.begin(this.#length, () => void this.#hedge());
  }

  /** The read, as soon as either of the two is open and, if that is the second, has won. */
  opened(): Promise<ObjectRead> {
    return new Promise((resolve, reject) => {
      this.#info = ({ info }) => resolve({ info, chunks: { [Symbol.asyncIterator]: () => this }, discard: () => this.#end(false) });
      this.#watch.waits();
      this.#first.open(this.#open, this.#request).then((read) => {
        if (this.#ahead !== undefined || this.#over) return;
        this.#watch.came();
        if (read.bytes === undefined) return this.#info?.(read);
        this.#end(true);
        resolve(read);
      }, (error: unknown) => {
        if (this.#ahead !== undefined) return;
        this.#end(false);
        reject(error as Error);
      });
    });
  }

  next(): Promise<Result> {
    if (this.#over) return Promise.resolve(DONE);
    this.#watch.waits();
    return new Promise((resolve, reject) => {
      this.#asking = { resolve, reject };
      if (this.#ahead !== undefined) this.#fromSecond(this.#ahead);
      else this.#first.next().then((result) => this.#cameFromFirst(result), (error: unknown) => this.#ahead === undefined && this.#fail(error));
    });
  }

  return(): Promise<Result> {
    this.#end(false);
    return Promise.resolve(DONE);
  }

  #cameFromFirst(result: IteratorResult<Uint8Array>): void {
    if (this.#ahead !== undefined || this.#over) return;
    this.#delivered += result.done === true ? 0 : result.value.length;
    if (this.#delivered >= this.#goal) this.#dropSecond();
    this.#answer(result);
  }

  #fromSecond({ runner, held }: Ahead): void {
    this.#first.give();
    const ready = held.shift();
    if (ready !== undefined) this.#answer({ value: ready });
    else runner.next().then((result) => this.#answer(result), (error: unknown) => this.#fail(error));
  }

  #answer(result: IteratorResult<Uint8Array>): void {
    this.#watch.came();
    const asking = this.#asking;
    this.#asking = undefined;
    if (result.done !== true) return asking?.resolve({ value: result.value });
    this.#end(true);
    asking?.resolve(DONE);
  }

  #fail(error: unknown): void {
    const asking = this.#asking;
    this.#asking = undefined;
    this.#end(false);
    asking?.reject(error);
  }

  /** Its errors are nobody's: the first one is still there. */
  async #hedge(): Promise<void> {
    const second = new Runner(this.#request.signal);
    this.#second = second;
    const from = this.#delivered;
    this.#goal = from + Math.min(this.#length - from, RACE);
    try {
      const read = await second.open(this.#open, this.#restFrom(from));
      if (read.info.token !== this.#request.pin?.token) throw new BrigadeError({ code: 'E_SRC_CHANGED', kind: 'changed', op: 'read', message: 'the object changed while it was read' });
      const held = await holdFirst(second, this.#goal - from);
      if (this.#over || this.#second !== second) second.give();
      else this.#takeOver(second, read, held, from);
    } catch {
      if (this.#second === second) this.#dropSecond();
    }
  }

  #restFrom(from: number): ReadRequest {
    const { into: _, ...request } = this.#request;
    const start = request.range?.offset ?? 0;
    return from === 0 ? request : { ...request, range: { offset: start + from, length: this.#length - from } };
  }

  #takeOver(runner: Runner, read: ObjectRead, held: readonly Uint8Array[], from: number): void {
    this.#ahead = { runner, held: behind(held, this.#delivered - from) };
    this.#options.hedging.won();
    this.#tell(true);
    if (this.#asking !== undefined) this.#fromSecond(this.#ahead);
    else if (this.#first.read === undefined) this.#openSecond(read);
  }

  #openSecond(read: ObjectRead): void {
    this.#first.give();
    this.#watch.came();
    this.#info?.(read);
  }

  #dropSecond(): void {
    this.#goal = Infinity;
    if (this.#second === undefined) return;
    this.#second.give();
    this.#second = undefined;
    if (this.#ahead === undefined) this.#tell(false);
  }

  #tell(won: boolean): void {
    this.#options.events.emit({ type: 'hedged', side: this.#options.side, key: this.#request.key, won });
  }

  #end(whole: boolean): void {
    if (this.#over) return;
    this.#over = true;
    this.#watch.ended(whole);
    this.#dropSecond();
    if (whole && this.#ahead === undefined) this.#first.release();
    else this.#first.give();
  }
}

/** The chunks of the first `bytes` bytes, or a little more: copies, but for the last one, which is ours until we ask on. */
async function holdFirst(runner: Runner, bytes: number): Promise<Uint8Array[]> {
  const held: Uint8Array[] = [];
  for (let left = bytes; left > 0;) {
    const { done, value } = await runner.next();
    if (done === true) return held;
    left -= value.length;
    held.push(left > 0 ? Buffer.from(value) : value);
  }
  return held;
}

/** Without the first `bytes` bytes. */
function behind(chunks: readonly Uint8Array[], bytes: number): Uint8Array[] {
  let skip = bytes;
  return chunks.flatMap((chunk) => {
    const rest = chunk.subarray(Math.min(skip, chunk.length));
    skip -= chunk.length - rest.length;
    return rest.length === 0 ? [] : [rest];
  });
}
