/**
 * The usual case in one step. A small object is two requests that go through all decorators, and each of them costs promises although
 * nothing limits, nothing fails and the body comes whole: here one function does what they would have done then. Whatever is not so,
 * a limit that holds, an error, a body that comes in pieces, goes on with them from where it stands.
 */
import { MiB } from '../../core/units.ts';
import type { ObjectRead, ReadRequest, Store, WriteRequest, Written } from '../../ports/storage.ts';
import { gatedBody, sampleOf, verdictOn } from './gated.ts';
import type { Governor, Permit } from './governor.ts';
import { meteredBody, noteRequest, type InstrumentedOptions } from './instrumented.ts';
import { instead } from './layer.ts';
import type { Limiter } from './limited.ts';
import { isWhole, resumable, type ResumeOptions } from './resuming.ts';
import { firstTry, triedAgain, type RetryOptions } from './retrying.ts';
import type { BodyWatch } from './watched.ts';

/** Larger bodies would gain nothing; and while one goes by, a limit may be set that holds for the rest of it. */
const SMALL = 1 * MiB;

export interface DirectOptions extends InstrumentedOptions, ResumeOptions, RetryOptions {
  readonly limiter: Limiter;
  readonly governor: Governor;
  readonly watch: BodyWatch;
}

/** The stores that a request passes on the long way, from the wire outwards. */
export interface Steps {
  readonly raw: Store;
  /** One try: counted, limited, with a permit. */
  readonly once: Store;
  /** Tried again where that helps. */
  readonly patient: Store;
  /** All of it. */
  readonly whole: Store;
}

export function direct(steps: Steps, options: DirectOptions): Store {
  const ways = new Direct(steps, options);
  return instead(steps.whole, { read: (request) => ways.read(request), write: (request) => ways.write(request) });
}

class Direct {
  readonly #steps: Steps;
  readonly #options: DirectOptions;

  constructor(steps: Steps, options: DirectOptions) {
    this.#steps = steps;
    this.#options = options;
  }

  read(request: ReadRequest): Promise<ObjectRead> {
    const length = request.range?.length ?? request.expectedSize;
    return length <= SMALL && this.#options.limiter.free ? this.#read(request) : this.#steps.whole.read(request);
  }

  async #read(request: ReadRequest): Promise<ObjectRead> {
    const { clock, counters, watch, governor } = this.#options;
    const { raw, once, patient } = this.#steps;
    firstTry(this.#options);
    const permit = governor.tryAcquire(request.signal) ?? await governor.acquire(request.signal);
    const start = clock.monotonic();
    let first: ObjectRead;
    try {
      const read = await raw.read(request);
      const ms = clock.monotonic() - start;
      noteRequest(this.#options, 'read', ms);
      first = gatedBody(meteredBody(watch(read, request.key), counters), permit, sampleOf('read', 0, ms));
    } catch (thrown) {
      this.#failed('read', start, thrown, permit);
      first = await triedAgain(thrown, this.#options, { op: 'read', signal: request.signal }, () => once.read(request));
    }
    return isWhole(first, request) ? first : resumable(raw.address, request, first, (again) => patient.read(again), this.#options);
  }

  write(request: WriteRequest): Promise<Written> {
    return request.body.size <= SMALL && this.#options.limiter.free ? this.#write(request) : this.#steps.whole.write(request);
  }

  async #write(request: WriteRequest): Promise<Written> {
    const { clock, counters, governor } = this.#options;
    const { raw, once } = this.#steps;
    const { size } = request.body;
    firstTry(this.#options);
    const permit = governor.tryAcquire(request.signal) ?? await governor.acquire(request.signal);
    const start = clock.monotonic();
    try {
      const written = await raw.write(request);
      const ms = clock.monotonic() - start;
      noteRequest(this.#options, 'write', ms);
      counters.bytes('write', size);
      permit.release('answered', sampleOf('write', size, ms));
      return written;
    } catch (thrown) {
      this.#failed('write', start, thrown, permit);
      return triedAgain(thrown, this.#options, { op: 'write', signal: request.signal }, () => once.write(request));
    }
  }

  #failed(op: 'read' | 'write', start: number, thrown: unknown, permit: Permit): void {
    noteRequest(this.#options, op, this.#options.clock.monotonic() - start, thrown);
    permit.release(verdictOn(thrown));
  }
}
