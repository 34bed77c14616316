/** Counts what really goes to a store: requests, errors by code, bytes, latency. Innermost, so that every try is seen. */
import { asBrigadeError } from '../../core/errors.ts';
import type { Clock } from '../../ports/clock.ts';
import type { Events } from '../../ports/events.ts';
import type { ObjectRead, Store } from '../../ports/storage.ts';
import { layer, throughBody, type Op } from './layer.ts';

export interface OpCounts {
  readonly count: number;
  /** By code. For reads also those in the middle of the body. */
  readonly errors: Readonly<Record<string, number>>;
  /** Bytes of bodies, in either direction; for writes those of requests that succeeded. */
  readonly bytes: number;
  /** Requests by latency: index i counts those below 2^i ms that no smaller index counts; the last one all others. */
  readonly latency: readonly number[];
  /** Sum of all latencies, milliseconds. For reads the time until the body begins. */
  readonly ms: number;
}

export type Snapshot = Readonly<Partial<Record<Op, OpCounts>>>;

/** Counts of one side, shared by its stores. */
export interface Counters {
  snapshot(): Snapshot;
  request(op: Op, ms: number, error?: string): void;
  error(op: Op, code: string): void;
  bytes(op: Op, count: number): void;
}

/** 2^0 … 2^17 ms (131 s), and one for all above. */
const LATENCIES = 19;

interface Growing {
  count: number;
  errors: Map<string, number>;
  bytes: number;
  latency: number[];
  ms: number;
}

export function createCounters(): Counters {
  const ops = new Map<Op, Growing>();
  const of = (op: Op): Growing => {
    let counts = ops.get(op);
    if (counts === undefined) ops.set(op, (counts = { count: 0, errors: new Map(), bytes: 0, latency: Array.from({ length: LATENCIES }, () => 0), ms: 0 }));
    return counts;
  };
  const error = (op: Op, code: string): void => {
    const { errors } = of(op);
    errors.set(code, (errors.get(code) ?? 0) + 1);
  };
  return {
    error,
    request(op, ms, code) {
      const counts = of(op);
      counts.count++;
      counts.ms += ms;
      const index = latencyIndex(ms);
      counts.latency[index] = (counts.latency[index] ?? 0) + 1;
      if (code !== undefined) error(op, code);
    },
    bytes(op, count) {
      of(op).bytes += count;
    },
    snapshot: () => Object.fromEntries([...ops].map(([op, counts]) => [op, { ...counts, errors: Object.fromEntries(counts.errors), latency: [...counts.latency] }])),
  };
}

function latencyIndex(ms: number): number {
  return ms < 1 ? 0 : Math.min(LATENCIES - 1, Math.floor(Math.log2(ms)) + 1);
}

export interface InstrumentedOptions {
  readonly side: 'source' | 'destination';
  readonly clock: Clock;
  readonly events: Events;
  readonly counters: Counters;
}

/** A request that took so long, and what it ended in. */
export function noteRequest({ side, events, counters }: InstrumentedOptions, op: Op, ms: number, thrown?: unknown): void {
  const error = thrown === undefined ? undefined : asBrigadeError(thrown).code;
  counters.request(op, ms, error);
  events.emit(error === undefined ? { type: 'request', side, op, ms } : { type: 'request', side, op, ms, error });
}

/** Bytes of a body, and the error that it breaks with. */
export function meteredBody(read: ObjectRead, counters: Counters): ObjectRead {
  if (read.bytes !== undefined) counters.bytes('read', read.bytes.length);
  const metered = async function* (chunks: AsyncIterable<Uint8Array>): AsyncIterable<Uint8Array> {
    for await (const chunk of chunks) {
      counters.bytes('read', chunk.length);
      yield chunk;
    }
  };
  return throughBody(read, metered, (thrown) => {
    if (thrown !== undefined) counters.error('read', asBrigadeError(thrown).code);
  });
}

export function instrumented(store: Store, options: InstrumentedOptions): Store {
  const { clock, counters } = options;
  const timed = async <T>(op: Op, run: () => Promise<T>): Promise<T> => {
    const start = clock.monotonic();
    try {
      const result = await run();
      noteRequest(options, op, clock.monotonic() - start);
      return result;
    } catch (thrown) {
      noteRequest(options, op, clock.monotonic() - start, thrown);
      throw thrown;
    }
  };
  return layer(store, {
    async call({ op, bytes }, run) {
      const result = await timed(op, run);
      if (bytes !== undefined) counters.bytes(op, bytes);
      return result;
    },
    read: async (request, open) => meteredBody(await timed('read', () => open(request)), counters),
  });
}
