/** A store with accidents, from a seed: for tests and simulations of everything above it. Never part of a real run. */
import { BrigadeError, type ErrorKind } from '../../core/errors.ts';
import type { Key } from '../../core/key.ts';
import type { Clock, Random } from '../../ports/clock.ts';
import type { ObjectRead, ReadRequest, Store } from '../../ports/storage.ts';
import { layer, type Call, type Op } from './layer.ts';

export interface Fault {
  /** Absent: all. */
  readonly ops?: readonly Op[];
  readonly key?: Key | RegExp;
  /** Of each matching request, 0–1. Default 1. */
  readonly probability?: number;
  /** Only the nth matching request, from 1. */
  readonly nth?: number;
  /** At most so often. */
  readonly times?: number;
  /** Only between these two moments of the clock, monotonic milliseconds. */
  readonly during?: readonly [from: number, until: number];
  readonly effect: Effect;
}

export type Effect =
  /** Fails before the store is asked. */
  | { readonly kind: 'throw'; readonly error: ErrorKind; readonly code?: string; readonly status?: number; readonly retryAfterMs?: number }
  /** The store does it, then the answer is lost. */
  | { readonly kind: 'drop-answer' }
  | { readonly kind: 'delay'; readonly ms: number }
  /** The body breaks off after so many bytes: with an error, or as if it were whole. */
  | { readonly kind: 'cut'; readonly after: number; readonly silently?: boolean }
  /** The body goes silent after so many bytes, and never ends. */
  | { readonly kind: 'stall'; readonly after: number }
  /** One byte of the body is wrong. */
  | { readonly kind: 'wrong-byte'; readonly at: number }
  /** So many bytes follow after the last one. */
  | { readonly kind: 'surplus'; readonly bytes: number }
  /** The pin is not honoured: whatever version stands there answers. */
  | { readonly kind: 'unpinned' }
  /** A range is refused as a driver does it that was answered with the whole body. */
  | { readonly kind: 'range-ignored' };

export interface FaultyOptions {
  readonly faults: readonly Fault[];
  readonly random: Random;
  readonly clock: Clock;
}

export interface FaultyStore extends Store {
  /** How often each fault struck, in their order. */
  readonly struck: readonly number[];
  /** Requests that arrived, by operation. */
  readonly requests: Readonly<Partial<Record<Op, number>>>;
  /** Bodies handed out and not yet ended or discarded. */
  readonly openBodies: number;
}

export function faulty(store: Store, options: FaultyOptions): FaultyStore {
  const dice = new Dice(options);
  const { clock } = options;
  const outer = layer(store, {
    async call(call, run) {
      const effect = dice.roll(call, (effect) => !BODY.includes(effect.kind));
      if (effect === undefined) return run();
      if (effect.kind === 'throw') throw failure(call, effect);
      if (effect.kind === 'delay') await clock.sleep(effect.ms, call.signal);
      const result = await run();
      if (effect.kind === 'drop-answer') throw failure(call, { error: 'transient' });
      return result;
    },
    async read(request, open) {
      const call: Call = { op: 'read', key: request.key, signal: request.signal };
      const effect = dice.roll(call, (effect) => effect.kind !== 'range-ignored' || request.range !== undefined);
      if (effect?.kind === 'throw') throw failure(call, effect);
      if (effect?.kind === 'range-ignored') throw failure(call, { error: 'unsupported', code: 'E_RANGE_IGNORED' });
      if (effect?.kind === 'delay') await clock.sleep(effect.ms, request.signal);
      const read = await open(effect?.kind === 'unpinned' ? unpinned(request) : request);
      if (effect?.kind === 'drop-answer') {
        read.discard();
        throw failure(call, { error: 'transient' });
      }
      return dice.counted(effect === undefined ? read : spoilt(read, call, effect));
    },
  });
  const counts = { struck: { value: dice.struck }, requests: { value: dice.requests }, openBodies: { get: () => dice.openBodies } };
  return Object.defineProperties(outer, counts) as FaultyStore;
}

const BODY: readonly Effect['kind'][] = ['cut', 'stall', 'wrong-byte', 'surplus', 'unpinned', 'range-ignored'];

class Dice {
  readonly struck: number[];
  readonly requests: Partial<Record<Op, number>> = {};
  openBodies = 0;
  readonly #options: FaultyOptions;
  readonly #matched: number[];

  constructor(options: FaultyOptions) {
    this.#options = options;
    this.struck = options.faults.map(() => 0);
    this.#matched = options.faults.map(() => 0);
  }

  /** The first fault that strikes this request. */
  roll(call: Call, applies: (effect: Effect) => boolean): Effect | undefined {
    this.requests[call.op] = (this.requests[call.op] ?? 0) + 1;
    const index = this.#options.faults.findIndex((fault, i) => applies(fault.effect) && matches(fault, call) && this.#strikes(fault, i));
    if (index === -1) return undefined;
    this.struck[index] = (this.struck[index] ?? 0) + 1;
    return this.#options.faults[index]?.effect;
  }

  #strikes({ nth, times = Infinity, probability = 1, during }: Fault, i: number): boolean {
    const now = this.#options.clock.monotonic();
    if (during !== undefined && (now < during[0] || now >= during[1])) return false;
    const count = (this.#matched[i] = (this.#matched[i] ?? 0) + 1);
    if (nth !== undefined && count !== nth) return false;
    return (this.struck[i] ?? 0) < times && (probability >= 1 || this.#options.random.next() < probability);
  }

  counted(read: ObjectRead): ObjectRead {
    if (read.bytes !== undefined) return read; // it has ended already
    this.openBodies++;
    let over = false;
    const end = () => {
      if (!over) this.openBodies--;
      over = true;
    };
    return { ...read, chunks: endsWith(read.chunks, end), discard: () => (read.discard(), end()) };
  }
}

async function* endsWith(chunks: AsyncIterable<Uint8Array>, end: () => void): AsyncIterable<Uint8Array> {
  try {
    yield* chunks;
  } finally {
    end();
  }
}

function matches({ ops, key }: Fault, call: Call): boolean {
  if (ops !== undefined && !ops.includes(call.op)) return false;
  if (key === undefined) return true;
  return typeof key === 'string' ? key === call.key : call.key !== undefined && key.test(call.key);
}

function failure(call: Call, { error, code, status, retryAfterMs }: { readonly error: ErrorKind; readonly code?: string; readonly status?: number; readonly retryAfterMs?: number }): BrigadeError {
  const optional = { ...(status === undefined ? {} : { status }), ...(retryAfterMs === undefined ? {} : { retryAfterMs }) };
  return new BrigadeError({ code: code ?? `E_INJECTED_${error.toUpperCase()}`, kind: error, op: call.op, message: 'an injected fault', ...optional });
}

function unpinned(request: ReadRequest): ReadRequest {
  const { pin: _, ...rest } = request;
  return rest;
}

function spoilt(read: ObjectRead, call: Call, effect: Effect): ObjectRead {
  const stop = new AbortController();
  call.signal?.addEventListener('abort', () => stop.abort(), { once: true });
  const discard = () => {
    stop.abort();
    read.discard();
  };
  return { info: read.info, chunks: spoiltChunks(read.chunks, call, effect, stop.signal), discard };
}

async function* spoiltChunks(chunks: AsyncIterable<Uint8Array>, call: Call, effect: Effect, stop: AbortSignal): AsyncIterable<Uint8Array> {
  const breaksAt = effect.kind === 'cut' || effect.kind === 'stall' ? effect.after : Infinity;
  let at = 0;
  for await (const chunk of chunks) {
    const rest = chunk.subarray(0, Math.max(0, breaksAt - at));
    if (rest.length > 0) yield effect.kind === 'wrong-byte' ? withWrongByte(rest, effect.at - at) : rest;
    at += chunk.length;
    if (at < breaksAt) continue;
    if (effect.kind === 'stall') await aborted(stop);
    if (effect.kind === 'cut' && effect.silently === true) return;
    throw failure(call, { error: 'transient', code: 'E_SHORT_READ' });
  }
  if (effect.kind === 'surplus') yield new Uint8Array(effect.bytes);
}

function withWrongByte(chunk: Uint8Array, at: number): Uint8Array {
  if (at < 0 || at >= chunk.length) return chunk;
  const copy = Uint8Array.from(chunk);
  copy[at] = (copy[at] ?? 0) ^ 0x01;
  return copy;
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    signal.addEventListener('abort', () => resolve(), { once: true });
  });
}
