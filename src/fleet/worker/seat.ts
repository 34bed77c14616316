/** This worker's seat at the journal of one migration: it hears what the fleet is to do, and says that it is there and what hinders it. */
import { asBrigadeError, errorLine, isKind } from '../../core/errors.ts';
import { canonicalJson } from '../../core/canonical-json.ts';
import type { Problem } from '../../core/item.ts';
import type { Rates } from '../../core/timetable.ts';
import type { Clock } from '../../ports/clock.ts';
import type { Events } from '../../ports/events.ts';
import type { Control, Journal, Json } from '../../ports/journal.ts';

/** What the coordinator wants of all workers. */
export interface Orders {
  readonly pause: boolean;
  /** What is carried out; messages of earlier runs are over. Absent: nobody said. */
  readonly run?: number;
  /** Of the whole fleet. Absent: what the migration says. */
  readonly rates?: Rates;
  /** Processes that share the limits. */
  readonly workers: number;
  /** For so long it holds without being said anew. */
  readonly forMs?: number;
}

export interface Member {
  readonly tasks: number;
  /** Names of those that it told as begun. */
  readonly begun: readonly string[];
  readonly trouble: Problem | undefined;
  /** Messages in the queue that are no tasks: calls that it answers, or that wait for an answer. */
  readonly calls: number;
  obey(orders: Orders): void;
}

export interface SeatOptions {
  readonly spec: string;
  readonly worker: string;
  readonly host: string;
  readonly version: string;
  /** Of this machine, that began together. */
  readonly processes?: number;
  readonly clock: Clock;
  readonly events: Events;
}

const CONTROL_MS = 5000;
export const BEAT_MS = 10_000;
/** Names in one beat: a worker has a few tasks in work. */
const MOST_NAMED = 64;
/** Until the coordinator has heard of who came, and has told everybody. */
const UNCOUNTED_MS = 30_000;

export class Seat {
  readonly journal: Journal;
  readonly #options: SeatOptions;
  readonly #members = new Set<Member>();
  readonly #stop = new AbortController();
  #orders: Orders = { pause: false, workers: 1 };
  #heard = '';
  /** Processes that this one has seen by itself, while the coordinator may not have counted all of them; undefined: it has had the time to. */
  #seen: number | undefined;
  #heardMs: number;
  readonly #uncountedMs: number;
  #beat = 0;
  #beating: Promise<void> = Promise.resolve();
  #working: Promise<unknown> = Promise.resolve();
  readonly #told = new Set<string>();

  constructor(journal: Journal, options: SeatOptions) {
    this.journal = journal;
    this.#options = options;
    this.#heardMs = options.clock.monotonic();
    this.#seen = options.processes ?? 1;
    this.#uncountedMs = this.#heardMs + UNCOUNTED_MS;
  }

  /**
   * Workers that come at once are counted by the coordinator only some seconds later, and each of them would take the share of few: until then everybody
   * counts for himself, so that all together stay below the limits.
   */
  get orders(): Orders {
    return this.#seen === undefined ? this.#orders : { ...this.#orders, workers: Math.max(this.#orders.workers, this.#seen) };
  }

  get empty(): boolean {
    return this.#members.size === 0;
  }

  /** What is to be done is known before anything is. Errors: those of the journal. */
  async open(): Promise<void> {
    this.#hear(await this.journal.readControl(this.#stop.signal));
    const { clock } = this.#options;
    const every = async (ms: number, what: string, work: () => Promise<void>): Promise<void> => {
      while (!this.#stop.signal.aborted) {
        await clock.sleep(ms, this.#stop.signal).catch(() => undefined);
        if (!this.#stop.signal.aborted) await this.#attempt(what, work);
      }
    };
    this.#working = Promise.all([every(CONTROL_MS, 'control', () => this.#listen()), every(BEAT_MS, 'beat', async () => this.beat())]);
    await this.#attempt('beat', () => this.beat());
    await this.#attempt('beat', () => this.#count());
  }

  /** Who is there, where that decides over anything. */
  async #count(): Promise<void> {
    const { rates } = this.#orders;
    if (this.#seen === undefined) return;
    const before = this.orders.workers;
    if (this.#options.clock.monotonic() >= this.#uncountedMs) this.#seen = undefined;
    else if (rates?.bandwidth !== undefined || rates?.requests !== undefined) this.#seen = Math.max(this.#seen, (await this.journal.beats(this.#stop.signal)).filter(({ role }) => role !== 'coordinator').length);
    if (this.orders.workers !== before) for (const member of this.#members) member.obey(this.orders);
  }

  join(member: Member): void {
    this.#members.add(member);
    member.obey(this.orders);
  }

  leave(member: Member): void {
    this.#members.delete(member);
  }

  /** Says how it is now. One after the other: the newest is what stands. */
  beat(): Promise<void> {
    const { worker, host, version } = this.#options;
    const said = this.#beating.then(async () => {
      if (this.#stop.signal.aborted) return;
      const tasks = [...this.#members].reduce((sum, one) => sum + one.tasks, 0);
      // One of several, as of a run that was begun with other places, keeps nobody from the rest.
      const troubles = [...this.#members].flatMap((one) => one.trouble ?? []);
      const trouble = troubles.length === this.#members.size ? troubles[0] : undefined;
      const calls = [...this.#members].reduce((sum, one) => sum + one.calls, 0);
      const begun = [...this.#members].flatMap((one) => one.begun).slice(0, MOST_NAMED);
      const { run } = this.#orders;
      await this.journal.beat({
        worker, beat: ++this.#beat, host, version, tasks, ...(run === undefined ? {} : { run }), ...(begun.length === 0 ? {} : { begun }), ...(trouble === undefined ? {} : { trouble }), ...(calls === 0 ? {} : { calls }),
      });
    });
    this.#beating = said.catch(() => undefined);
    return said;
  }

  /** Something changed that somebody waits for. */
  beatSoon(): void {
    void this.#attempt('beat', () => this.beat());
  }

  async close(): Promise<void> {
    this.#stop.abort();
    await Promise.all([this.#working, this.#beating]);
    await this.#attempt('leave', () => this.journal.leave(this.#options.worker));
  }

  async #listen(): Promise<void> {
    this.#hear(await this.journal.readControl(this.#stop.signal));
    await this.#count();
    const { forMs } = this.#orders;
    const silentMs = this.#options.clock.monotonic() - this.#heardMs;
    if (forMs !== undefined && silentMs > forMs) this.#once(`silent ${this.#heardMs}`, `${this.#options.spec}: nothing heard of its coordinator for ${Math.round(silentMs / 1000)} s; what it said last still holds`);
  }

  #hear(control: Control | undefined): void {
    const text = canonicalJson(control ?? {});
    if (text === this.#heard) return;
    this.#heard = text;
    this.#heardMs = this.#options.clock.monotonic();
    const { run } = this.#orders;
    this.#orders = ordersOf(control ?? {});
    for (const member of this.#members) member.obey(this.orders);
    // Whoever ended a run waits to hear that nobody works on it any more.
    if (run !== undefined && run !== this.#orders.run) this.beatSoon();
  }

  /** A journal that does not answer hinders nobody who works; that it does not is said once. */
  async #attempt(what: string, work: () => Promise<void>): Promise<void> {
    try {
      await work();
      this.#told.delete(what);
    } catch (thrown) {
      const error = asBrigadeError(thrown, what);
      if (!isKind(error, 'cancelled')) this.#once(what, `${this.#options.spec}: the journal (${what}): ${errorLine(error)}`);
    }
  }

  #once(what: string, text: string): void {
    if (this.#told.has(what)) return;
    this.#told.add(what);
    this.#options.events.emit({ type: 'note', level: 'warn', text });
  }
}

/** What cannot be read as it should be is as if it were not said. */
export function ordersOf({ pause, run, rates, workers, forMs }: Control): Orders {
  return {
    pause: pause === true,
    ...(typeof run === 'number' ? { run } : {}),
    ...(isFields(rates) ? { rates: { ...amount('bandwidth', rates), ...amount('requests', rates) } } : {}),
    workers: typeof workers === 'number' && workers >= 1 ? Math.floor(workers) : 1,
    ...(typeof forMs === 'number' ? { forMs } : {}),
  };
}

function isFields(value: Json | undefined): value is { readonly [name: string]: Json } {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function amount<N extends keyof Rates>(name: N, fields: { readonly [name: string]: Json }): Rates {
  const value = fields[name];
  return typeof value === 'number' && value >= 0 ? { [name]: value } : {};
}
