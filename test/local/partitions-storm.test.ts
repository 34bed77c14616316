/**
 * Partitions in a storm, from seeds: members and coordinators are frozen, woken, killed and replaced at any moment, requests fail and lose their answers, and the number of
 * members changes again and again. A member stops working when its lease is gone, as a worker does. No message is in two hands, none is lost.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { BrigadeError } from '../../src/core/errors.ts';
import { openShelf } from '../../src/journal/index.ts';
import type { Random } from '../../src/ports/clock.ts';
import type { MessageDelivery, MessageQueue } from '../../src/ports/message-queue.ts';
import type { Shelf } from '../../src/ports/shelf.ts';
import { openPartitions, type PartitionsOptions } from '../../src/queues/partitions/index.ts';
import { createMemoryStore } from '../../src/stores/memory/index.ts';
import { simulatedClock, type SimulatedClock } from '../../src/telemetry/clock.ts';
import { seededRandom } from '../../src/telemetry/random.ts';
import { Frozen } from './frozen.ts';

const SEEDS = Number(process.env['BRIGADE_STORM_SEEDS'] ?? 3);
const FIRST = Number(process.env['BRIGADE_STORM_FIRST'] ?? 1);
const LEASE_MS = 12_000;
const BLOWS = 15;
const MESSAGES = 60;
const CALM_MS = 1_800_000;

interface Weather { bad: number }

/** Requests take their time, fail before they arrive, or arrive and are never answered. */
function stormy(shelf: Shelf, clock: SimulatedClock, random: Random, weather: Weather): Shelf {
  const lost = (): BrigadeError => new BrigadeError({ code: 'E_NETWORK', kind: 'transient', op: 'shelf', message: 'no answer' });
  const over = async <T>(work: () => Promise<T>): Promise<T> => {
    await clock.sleep(random.next() * 400);
    if (random.next() < weather.bad) throw lost();
    const done = await work();
    await clock.sleep(random.next() * 400);
    if (random.next() < weather.bad) throw lost();
    return done;
  };
  return {
    describe: shelf.describe,
    put: (...args) => over(() => shelf.put(...args)),
    replace: (...args) => over(() => shelf.replace(...args)),
    read: (...args) => over(() => shelf.read(...args)),
    remove: (...args) => over(() => shelf.remove(...args)),
    names: async function* (...args) {
      yield* await over(async () => {
        const names: string[] = [];
        for await (const name of shelf.names(...args)) names.push(name);
        return names;
      });
    },
  };
}

interface Process { readonly frozen: Frozen; readonly stop: AbortController; readonly queue: Promise<MessageQueue>; readonly seat?: string; dead: boolean }

class Storm {
  readonly clock = simulatedClock();
  readonly done = new Set<string>();
  readonly #random: Random;
  readonly #weather: Weather = { bad: 0.03 };
  readonly #plain: Shelf;
  readonly #inHands = new Map<string, { readonly delivery: MessageDelivery; readonly frozen: Frozen }>();
  readonly #processes: Process[] = [];
  #members = 2;
  #opened = 0;
  #sent = 0;
  violation: string | undefined;

  constructor(seed: number) {
    this.#random = seededRandom(`partitions ${seed}`);
    this.#plain = openShelf(createMemoryStore({ clock: this.clock }));
  }

  async run(): Promise<void> {
    this.#coordinate();
    this.#staff();
    for (let blow = 0; blow < BLOWS; blow++) {
      void this.#send(MESSAGES / BLOWS);
      await this.clock.sleep(this.#random.next() * 15_000);
      this.#strike();
    }
    this.#weather.bad = 0;
    for (const { frozen } of this.#processes) frozen.thaw();
    for (const end = this.clock.monotonic() + CALM_MS; this.clock.monotonic() < end && this.done.size < MESSAGES && this.violation === undefined; await this.clock.sleep(5000)) {
      if (!this.#living('coordinator').some(({ dead }) => !dead)) this.#coordinate();
      this.#staff();
    }
    for (const one of this.#processes) one.stop.abort();
    await Promise.all(this.#processes.filter(({ dead }) => !dead).map(async ({ queue }) => (await queue.catch(() => undefined))?.close()));
  }

  #strike(): void {
    const random = this.#random;
    const some = this.#processes.filter(({ dead }) => !dead);
    const victim = some[Math.floor(random.next() * some.length)];
    const what = random.next();
    if (what < 0.25) {
      this.#members = 1 + Math.floor(random.next() * 5);
      this.#coordinate();
    } else if (what < 0.5 && victim !== undefined) {
      // Killed: frozen for good.
      victim.dead = true;
      victim.frozen.freeze();
    } else if (what < 0.75 && victim !== undefined) {
      victim.frozen.freeze();
      void this.clock.sleep(random.next() * 90_000).then(() => { if (!victim.dead) victim.frozen.thaw(); });
    } else if (victim?.seat !== undefined) {
      victim.stop.abort();
      victim.dead = true;
      void victim.queue.then((queue) => queue.close(), () => undefined);
    }
    if (!this.#living('coordinator').some(({ dead }) => !dead)) this.#coordinate();
    this.#staff();
  }

  #living(what: 'coordinator' | 'member'): readonly Process[] {
    return this.#processes.filter(({ dead, seat }) => !dead && (seat === undefined) === (what === 'coordinator'));
  }

  /** Somebody for each seat, and now and then one more. */
  #staff(): void {
    for (let member = 1; member <= this.#members; member++) {
      const seat = `${member}/${this.#members}`;
      if (!this.#living('member').some((one) => one.seat === seat) || this.#random.next() < 0.05) this.#work(member, this.#members);
    }
  }

  #open(as: PartitionsOptions['as'], seat?: string): Process {
    const frozen = new Frozen(this.clock);
    const name = `${seat ?? 'coordinator'} ${++this.#opened}`;
    const shelf = frozen.shelf(stormy(this.#plain, this.clock, seededRandom(`${name} ${this.#random.next()}`), this.#weather));
    const queue = openPartitions({ shelf, clock: frozen.clock, random: seededRandom(name), holder: name, as, mostReceives: 1000 });
    queue.catch(() => undefined);
    const process: Process = { frozen, stop: new AbortController(), queue, dead: false, ...(seat === undefined ? {} : { seat }) };
    this.#processes.push(process);
    return process;
  }

  #coordinate(): void {
    const one = this.#open({ role: 'coordinator', wanted: { members: this.#members, leaseMs: LEASE_MS } });
    // As a crew does: it counts again and again.
    void one.queue.then(async (queue) => {
      while (!one.stop.signal.aborted) {
        await queue.counts().catch(() => undefined);
        await one.frozen.clock.sleep(5000);
      }
    }, () => { one.dead = true; });
  }

  async #send(count: number): Promise<void> {
    const bodies = Array.from({ length: Math.ceil(count) }, () => `${this.#sent++}`).filter((body) => Number(body) < MESSAGES);
    for (let left = bodies; left.length > 0; await this.clock.sleep(1000)) {
      const queue = await this.#living('coordinator').at(-1)?.queue.catch(() => undefined);
      if (queue === undefined) continue;
      // One that is frozen in it never answers: another one sends it, too, as after a takeover.
      const sending = queue.send(left.map((body) => ({ id: `m-${body}`, body, affinity: body }))).catch(() => undefined);
      const results = await Promise.race([sending, this.clock.sleep(60_000).then(() => undefined)]);
      left = left.filter((_, i) => results === undefined || results[i]?.error !== undefined);
    }
  }

  #work(member: number, members: number): void {
    const one = this.#open({ role: 'member', member, members }, `${member}/${members}`);
    void one.queue.then(async (queue) => {
      while (!one.stop.signal.aborted) {
        const got = await queue.receive(2, 10_000, one.stop.signal).catch(() => []);
        await Promise.all(got.map((delivery) => this.#carry(delivery, one)));
      }
    }, () => { one.dead = true; });
  }

  /** Work goes on while the lease is kept, and a step of it is nowhere done by two. */
  async #carry(delivery: MessageDelivery, { frozen, stop }: Process): Promise<void> {
    const { body } = delivery;
    const steps = 1 + Math.floor(this.#random.next() * 8);
    for (let step = 0; step < steps; step++) {
      if (delivery.leaseLeftMs() <= 0 || stop.signal.aborted) return void await delivery.release(0).catch(() => undefined);
      const other = this.#inHands.get(body);
      // Sent twice, where no answer came, it may come twice to the same member, who tells by its name.
      if (other !== undefined && other.frozen !== frozen && other.delivery.leaseLeftMs() > 0) this.violation ??= `${body} is in two hands`;
      this.#inHands.set(body, { delivery, frozen });
      await frozen.clock.sleep(this.#random.next() * 4000);
      if (await delivery.extend(LEASE_MS).then(() => false, () => true)) return void await delivery.release(0).catch(() => undefined);
    }
    this.done.add(body);
    await delivery.ack().catch(() => undefined);
    this.#inHands.delete(body);
  }
}

for (let seed = FIRST; seed < FIRST + SEEDS; seed++) {
  test(`I3 I14 S1.14: a storm over partitions loses no message and puts none into two hands (seed ${seed})`, async () => {
    const storm = new Storm(seed);
    await storm.clock.run(storm.run());
    assert.equal(storm.violation, undefined);
    assert.equal(storm.done.size, MESSAGES, `${MESSAGES - storm.done.size} were not done`);
  });
}
