/** Keeps a store below a number of requests and bytes per second. */
import type { Clock } from '../../ports/clock.ts';
import type { Body, Store } from '../../ports/storage.ts';
import { createBucket, type Rate } from './bucket.ts';
import { layer, throughBody } from './layer.ts';

/** Absent: no limit. 0: nothing goes until another limit is set. */
export interface Limits {
  readonly requestsPerSecond?: number;
  readonly bytesPerSecond?: number;
}

/** The limits of one side of a migration, shared by all that must stay below them together. */
export interface Limiter {
  request(signal?: AbortSignal): Promise<void>;
  bytes(count: number, signal?: AbortSignal): Promise<void>;
  /** From now on, also for those who already wait. */
  setLimits(limits: Limits): void;
  readonly limits: Limits;
  /** Nothing is limited: nobody would wait. */
  readonly free: boolean;
}

const KiB = 1024;
/** What may be saved up, in seconds of the rate: enough to not lose rate to coarse timers, too little to be felt on the link. */
const BURST_SECONDS = 0.1;
/** Bodies in memory that last longer than this at the limited rate are sent in slices. */
const SMOOTH_SECONDS = 0.25;

export function createLimiter(clock: Clock, initial: Limits = {}): Limiter {
  let limits = initial;
  const requests = createBucket(clock, requestRate(limits));
  const bytes = createBucket(clock, byteRate(limits));
  return {
    request: (signal) => requests.take(1, signal),
    bytes: (count, signal) => bytes.take(count, signal),
    setLimits(next) {
      limits = next;
      requests.setRate(requestRate(next));
      bytes.setRate(byteRate(next));
    },
    get limits() {
      return limits;
    },
    get free() {
      return limits.requestsPerSecond === undefined && limits.bytesPerSecond === undefined;
    },
  };
}

function requestRate({ requestsPerSecond = Infinity }: Limits): Rate {
  return rateOf(requestsPerSecond);
}

function byteRate({ bytesPerSecond = Infinity }: Limits): Rate {
  return rateOf(bytesPerSecond);
}

function rateOf(perSecond: number): Rate {
  return { perSecond, burst: perSecond === 0 ? 0 : Math.max(1, perSecond * BURST_SECONDS) };
}

export function limited(store: Store, limiter: Limiter): Store {
  return layer(store, {
    async call({ signal }, run) {
      await limiter.request(signal);
      return run();
    },
    async read(request, open) {
      await limiter.request(request.signal);
      const read = await open(request);
      const { bytesPerSecond = Infinity } = limiter.limits;
      if (read.bytes !== undefined && read.bytes.length <= bytesPerSecond * SMOOTH_SECONDS) {
        await limiter.bytes(read.bytes.length, request.signal);
        return read;
      }
      const { bytes: _, ...streamed } = read;
      return throughBody(streamed, (chunks) => paced(chunks, limiter, request.signal), () => undefined);
    },
    async body(body, signal) {
      const { bytesPerSecond = Infinity } = limiter.limits;
      if (body.bytes !== undefined && body.size <= bytesPerSecond * SMOOTH_SECONDS) {
        await limiter.bytes(body.size, signal);
        return body;
      }
      return pacedBody(body, limiter, signal);
    },
  });
}

/** The body without its buffer, so that the driver streams it at our pace. A second open() pays again: the bytes cross the wire again. */
function pacedBody(body: Body, limiter: Limiter, signal: AbortSignal | undefined): Body {
  return {
    size: body.size,
    ...(body.checksum === undefined ? {} : { checksum: body.checksum }),
    ...(body.inFlight === undefined ? {} : { inFlight: body.inFlight }),
    open: () => paced(body.open(), limiter, signal),
  };
}

/** Each chunk when its bytes are allowed. Large ones are cut, so that a low limit is smooth instead of a burst and a long silence. */
async function* paced(chunks: AsyncIterable<Uint8Array>, limiter: Limiter, signal: AbortSignal | undefined): AsyncIterable<Uint8Array> {
  for await (const chunk of chunks) {
    for (let at = 0; at < chunk.length; ) {
      const { bytesPerSecond = Infinity } = limiter.limits;
      const slice = chunk.subarray(at, at + Math.max(16 * KiB, bytesPerSecond * BURST_SECONDS));
      await limiter.bytes(slice.length, signal);
      yield slice;
      at += slice.length;
    }
  }
}
