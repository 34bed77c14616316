/**
 * The edge of a simulated process. Everything it does to the world, and everything it hears, goes through here: so it can be killed (nothing of it ever
 * goes on), frozen and woken (what it awaits stalls, then goes on as if nothing had been), cut off from what it talks to, and given a clock of its own.
 */
import { BrigadeError, cancelled } from '../../src/core/errors.ts';
import type { Clock, Random } from '../../src/ports/clock.ts';
import type { RunEvent } from '../../src/ports/events.ts';
import type { MessageDelivery, MessageQueue } from '../../src/ports/message-queue.ts';
import type { ObjectRead, Store, WriteRequest } from '../../src/ports/storage.ts';
import { instead, layer } from '../../src/stores/decorators/layer.ts';
import { seededRandom } from '../../src/telemetry/random.ts';

export type Place = 'source' | 'destination' | 'journal' | 'queue';
/** `request`: it never gets there. `answer`: it is done, and nobody hears of it. */
export type Cut = 'request' | 'answer';

export interface Request {
  readonly place: Place;
  readonly op: string;
  readonly what?: string | undefined;
  readonly signal?: AbortSignal | undefined;
  /** What is left of it when its process is killed while it is on its way; absent: it arrives whole or not at all. */
  readonly torn?: (() => void) | undefined;
}

/** A blow that waits for a certain request: it falls while that is on its way there, or while its answer is on its way back. */
interface Snare {
  readonly at: RegExp;
  readonly when: 'going' | 'done';
  readonly strike: () => void;
}

export interface ProcessOptions {
  readonly name: string;
  readonly clock: Clock;
  readonly seed: string;
  /** Of one way of one request, milliseconds: at most. */
  readonly latencyMs: number;
  readonly trace: (line: string) => void;
}

/** How long who is cut off waits for an answer. */
const SILENCE_MS = 5000;
const NOTES_KEPT = 200;

export class SimulatedProcess {
  readonly name: string;
  readonly clock: Clock;
  /** For what it runs. */
  readonly random: Random;
  readonly stop = new AbortController();
  readonly notes: string[] = [];
  readonly events = { emit: (event: RunEvent): void => this.#hear(event) };
  readonly #options: ProcessOptions;
  /** For what happens to it. */
  readonly #chance: Random;
  readonly #cuts = new Map<Place, Cut>();
  readonly #killed = new AbortController();
  #stalled: (() => void)[] = [];
  #frozen = false;
  #wallMs = 0;
  #snare: Snare | undefined;

  constructor(options: ProcessOptions) {
    this.name = options.name;
    this.#options = options;
    this.random = seededRandom(`${options.seed} ${options.name}`);
    this.#chance = seededRandom(`${options.seed} ${options.name} chance`);
    const { clock } = options;
    this.clock = {
      now: () => clock.now() + this.#wallMs,
      monotonic: () => clock.monotonic(),
      sleep: (ms, signal) => new Promise((resolve, reject) => {
        clock.sleep(ms, signal).then(() => this.#goOn(resolve), (error: unknown) => this.#goOn(() => reject(error)));
      }),
    };
  }

  get dead(): boolean {
    return this.#killed.signal.aborted;
  }

  get frozen(): boolean {
    return this.#frozen;
  }

  kill(): void {
    this.#stalled = [];
    this.#killed.abort();
  }

  freeze(): void {
    this.#frozen = true;
  }

  thaw(): void {
    if (this.dead || !this.#frozen) return;
    this.#frozen = false;
    for (const goOn of this.#stalled.splice(0)) goOn();
  }

  /** Its wall clock alone is so far from everybody else's now (F084). */
  jump(ms: number): void {
    this.#wallMs = ms;
  }

  /** Of requests told as `destination complete`. */
  snare(snare: Snare): void {
    this.#snare = snare;
  }

  spare(): void {
    this.#snare = undefined;
  }

  #fallInto(request: Request, when: Snare['when']): void {
    const snare = this.#snare;
    if (snare === undefined || snare.when !== when || this.dead || !snare.at.test(`${request.place} ${request.op}`)) return;
    this.#snare = undefined;
    snare.strike();
  }

  cut(place: Place, cut: Cut): void {
    this.#cuts.set(place, cut);
  }

  mend(place?: Place): void {
    if (place === undefined) this.#cuts.clear();
    else this.#cuts.delete(place);
  }

  /** Now, or when it wakes; never, when it is dead. */
  #goOn(work: () => void): void {
    if (this.dead) return;
    if (this.#frozen) this.#stalled.push(work);
    else work();
  }

  #awake(): Promise<void> {
    return new Promise((resolve) => this.#goOn(resolve));
  }

  /** One request and its answer, each on its way for a while. */
  async request<T>(request: Request, run: () => Promise<T>): Promise<T> {
    if (this.dead || this.#frozen) await this.#awake();
    const { signal, op, place } = request;
    if (signal?.aborted === true) throw cancelled(op);
    return new Promise<T>((resolve, reject) => {
      let over = false;
      const heard = (tell: () => void, said: string): void => {
        if (over) return;
        over = true;
        signal?.removeEventListener('abort', stopped);
        this.#options.trace(`${this.name} ${place} ${op} ${request.what ?? ''} ${said}`);
        this.#goOn(tell);
      };
      const stopped = (): void => heard(() => reject(cancelled(op)), 'cancelled');
      signal?.addEventListener('abort', stopped, { once: true });
      this.#travel(request, run).then((value) => heard(() => resolve(value), 'ok'), (error: unknown) => heard(() => reject(error), error instanceof BrigadeError ? error.code : String(error)));
    });
  }

  async #travel<T>(request: Request, run: () => Promise<T>): Promise<T> {
    const { clock } = this.#options;
    const cut = this.#cuts.get(request.place);
    // Drawn whether it is needed or not, so that a seed means the same for its neighbours.
    const [there, back, lot] = [this.#latency(), this.#latency(), this.#chance.next()];
    await clock.sleep(there);
    if (request.signal?.aborted === true) throw cancelled(request.op);
    this.#fallInto(request, 'going');
    if (this.dead && lot < 0.6) {
      if (lot < 0.4) request.torn?.();
      return new Promise(() => undefined);
    }
    if (cut === 'request') return this.#unanswered(request);
    const value = await run();
    this.#fallInto(request, 'done');
    await clock.sleep(back);
    if (cut === 'answer' || this.#cuts.get(request.place) !== undefined) return this.#unanswered(request);
    return value;
  }

  async #unanswered({ op, place }: Request): Promise<never> {
    await this.#options.clock.sleep(SILENCE_MS);
    throw new BrigadeError({ code: 'E_NETWORK', kind: 'transient', op, location: place, message: 'no answer' });
  }

  #latency(): number {
    return Math.ceil(this.#chance.next() ** 3 * this.#options.latencyMs);
  }

  /** A store as this process reaches it. `torn`: what a write leaves that is cut off in the middle. */
  store(place: Place, inner: Store, tear?: (request: WriteRequest) => void): Store {
    const reached = layer(inner, {
      call: (call, run) => this.request({ place, op: call.op, what: call.key, signal: call.signal }, run),
      read: async (request, open) => {
        const read = await this.request({ place, op: 'read', what: request.key, signal: request.signal }, () => open(request));
        return this.#body(read);
      },
    });
    if (tear === undefined) return reached;
    return instead(reached, { write: (write) => this.request({ place, op: 'write', what: write.key, signal: write.signal, torn: () => tear(write) }, () => inner.write(write)) });
  }

  #body(read: ObjectRead): ObjectRead {
    if (read.bytes !== undefined) return read;
    const process = this;
    const chunks = async function* (): AsyncGenerator<Uint8Array> {
      for await (const chunk of read.chunks) {
        await process.clock.sleep(process.#latency());
        yield chunk;
      }
    };
    return { info: read.info, chunks: chunks(), discard: () => read.discard() };
  }

  queue(inner: MessageQueue): MessageQueue {
    return {
      ...inner,
      send: (messages, signal) => this.request({ place: 'queue', op: 'send', what: String(messages.length), signal }, () => inner.send(messages)),
      receive: async (most, waitMs, signal) => {
        const either = AbortSignal.any([signal, this.#killed.signal]);
        const deliveries = await this.request({ place: 'queue', op: 'receive', signal }, () => inner.receive(most, waitMs, either));
        return deliveries.map((delivery) => this.#delivery(delivery));
      },
      bury: (letter, reason) => this.request({ place: 'queue', op: 'bury', what: letter.id }, () => inner.bury(letter, reason)),
      counts: (signal) => this.request({ place: 'queue', op: 'counts', signal }, () => inner.counts()),
    };
  }

  #delivery(delivery: MessageDelivery): MessageDelivery {
    const ask = <T>(op: string, run: () => Promise<T>): Promise<T> => this.request({ place: 'queue', op, what: delivery.id }, run);
    return {
      id: delivery.id, body: delivery.body, receives: delivery.receives,
      leaseLeftMs: () => delivery.leaseLeftMs(),
      extend: (leaseMs) => ask('extend', () => delivery.extend(leaseMs)),
      ack: () => ask('ack', () => delivery.ack()),
      release: (delayMs) => ask('release', () => delivery.release(delayMs)),
      park: (reason) => ask('park', () => delivery.park(reason)),
    };
  }

  #hear(event: RunEvent): void {
    if (event.type !== 'note') return;
    this.notes.push(event.text);
    if (this.notes.length > NOTES_KEPT) this.notes.shift();
  }
}
