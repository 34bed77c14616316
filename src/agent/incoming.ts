/** The bytes of a request as they come in. A slow client has time; one that stalls gets an answer and loses its connection. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { s3Error } from './errors.ts';

export interface Pace {
  /** Milliseconds over which a body is watched. */
  readonly bodyIdleMs: number;
  /** The fewest bytes per second that a body brings, measured over that time. */
  readonly minBytesPerSecond: number;
}

interface Watched {
  /** Bytes since the window began. */
  seen: number;
  since: number;
  /** Whether it is the client that is waited for: a slow disk of ours is not its fault. */
  readonly waits: () => boolean;
  readonly giveUp: () => void;
}

/** One timer for all bodies. */
export class Patience {
  private readonly pace: Pace;
  private readonly bodies = new Set<Watched>();
  private readonly timer: NodeJS.Timeout;

  constructor(pace: Pace) {
    this.pace = pace;
    this.timer = setInterval(() => this.look(performance.now()), Math.max(10, Math.min(1000, pace.bodyIdleMs / 4)));
    this.timer.unref();
  }

  watch(body: Pick<Watched, 'waits' | 'giveUp'>): Watched {
    const watched = { ...body, seen: 0, since: performance.now() };
    this.bodies.add(watched);
    return watched;
  }

  release(watched: Watched): void {
    this.bodies.delete(watched);
  }

  private look(now: number): void {
    for (const body of this.bodies) {
      const passed = now - body.since;
      if (passed < this.pace.bodyIdleMs) continue;
      if (body.waits() && body.seen < (this.pace.minBytesPerSecond * passed) / 1000) body.giveUp();
      body.seen = 0;
      body.since = now;
    }
  }

  close(): void {
    clearInterval(this.timer);
  }
}

/** Requests whose client still waits for a word before it sends the body. */
const waiting = new WeakSet<IncomingMessage>();

export const expectsContinue = (incoming: IncomingMessage): void => void waiting.add(incoming);
export const awaitsContinue = (incoming: IncomingMessage): boolean => waiting.has(incoming);

/** Pulls pieces out of a request. Its connection is left alone when the reader stops early: the answer must still go out. */
class Puller {
  private readonly incoming: IncomingMessage;
  private wake: (() => void) | undefined;
  private ended = false;
  private failure: Error | undefined;

  constructor(incoming: IncomingMessage) {
    this.incoming = incoming;
    this.ended = incoming.readableEnded;
    incoming.on('readable', () => this.stir());
    incoming.on('end', () => { this.ended = true; this.stir(); });
    incoming.on('error', () => this.fail(s3Error('IncompleteBody'))); // only ever that the client went away
    incoming.on('close', () => { if (!incoming.complete) this.fail(s3Error('IncompleteBody')); });
  }

  get waits(): boolean {
    return this.wake !== undefined;
  }

  private stir(): void {
    this.wake?.();
    this.wake = undefined;
  }

  fail(error: Error): void {
    this.failure ??= error;
    this.stir();
  }

  async pull(): Promise<Buffer | undefined> {
    for (;;) {
      if (this.failure !== undefined) throw this.failure;
      const piece = this.incoming.read() as Buffer | null;
      if (piece !== null) return piece;
      if (this.ended) return undefined;
      await new Promise<void>((resolve) => { this.wake = resolve; });
    }
  }
}

/** The body of a request. @throws S3Error IncompleteBody, RequestTimeout */
export function bodyOf(incoming: IncomingMessage, response: ServerResponse, patience: Patience): AsyncIterable<Buffer> {
  return {
    async *[Symbol.asyncIterator]() {
      if (awaitsContinue(incoming)) response.writeContinue();
      waiting.delete(incoming);
      const puller = new Puller(incoming);
      const watched = patience.watch({ waits: () => puller.waits, giveUp: () => puller.fail(s3Error('RequestTimeout', { headers: { connection: 'close' } })) });
      try {
        for (let piece = await puller.pull(); piece !== undefined; piece = await puller.pull()) {
          watched.seen += piece.length;
          yield piece;
        }
      } finally {
        patience.release(watched);
      }
    },
  };
}

/** What a client may still send after its answer, so that it gets to read the answer before the connection ends. */
const maxLeftoverBytes = 16 * 2 ** 20;
const maxLeftoverMs = 10_000;

/** Reads away what was not read of the body. A connection reset under a client that is still sending would take the answer with it. */
export function discardRest(incoming: IncomingMessage): void {
  if (incoming.readableEnded || incoming.destroyed) return;
  if (incoming.complete) {
    incoming.resume();
    return;
  }
  let left = maxLeftoverBytes;
  const timer = setTimeout(() => incoming.socket.destroy(), maxLeftoverMs).unref();
  incoming.once('close', () => clearTimeout(timer));
  incoming.once('end', () => clearTimeout(timer));
  incoming.on('data', (piece: Buffer) => {
    left -= piece.length;
    if (left < 0) incoming.socket.destroy();
  });
  incoming.resume();
}
