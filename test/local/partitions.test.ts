/** What several do with a partitioned queue: who sits where, and that a change of their number hands nothing to two and loses nothing. On one simulated clock. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { openShelf } from '../../src/journal/index.ts';
import type { MessageDelivery, MessageQueue } from '../../src/ports/message-queue.ts';
import type { Shelf } from '../../src/ports/shelf.ts';
import { openPartitions, type PartitionsOptions } from '../../src/queues/partitions/index.ts';
import { memberOf, partitionOf, PARTITIONS, startsFor } from '../../src/queues/partitions/share.ts';
import { createMemoryStore } from '../../src/stores/memory/index.ts';
import { simulatedClock } from '../../src/telemetry/clock.ts';
import { seededRandom } from '../../src/telemetry/random.ts';
import { Frozen } from './frozen.ts';

const LEASE_MS = 30_000;
const forever = (): AbortSignal => new AbortController().signal;

function site() {
  const clock = simulatedClock();
  const store = createMemoryStore({ clock });
  const plain = openShelf(store);
  const requests = new Map<string, number>();
  let opened = 0;
  const lines: string[] = [];
  const counted = (who: string): Shelf => {
    const count = (): void => { requests.set(who, (requests.get(who) ?? 0) + 1); };
    return {
      describe: plain.describe,
      put: (...args) => { count(); return plain.put(...args); },
      replace: (...args) => { count(); return plain.replace(...args); },
      read: (...args) => { count(); return plain.read(...args); },
      names: (...args) => { count(); return plain.names(...args); },
      remove: (...args) => { count(); return plain.remove(...args); },
    };
  };
  const open = async (who: string, as: PartitionsOptions['as'], frozen = new Frozen(clock)): Promise<MessageQueue> => openPartitions({
    shelf: frozen.shelf(counted(who)), clock: frozen.clock, random: seededRandom(++opened), holder: who, as, tell: (line) => lines.push(`${who}: ${line}`), mostReceives: 100,
  });
  return {
    clock, requests, lines, plain, store,
    coordinator: async (members: number, who = `coordinator of ${members}`) => {
      const queue = await open(who, { role: 'coordinator', wanted: { members, leaseMs: LEASE_MS } });
      await queue.counts();
      return queue;
    },
    member: (member: number, members: number, who = `${member}/${members}`, frozen?: Frozen) => open(who, { role: 'member', member, members }, frozen),
  };
}

const told = (deliveries: readonly MessageDelivery[]): string[] => deliveries.map(({ body, receives }) => `${body} for the ${receives}.`).sort(); // eslint-disable-line @typescript-eslint/require-array-sort-compare -- short ASCII

const send = async (queue: MessageQueue, from: number, to: number): Promise<void> => {
  const messages = Array.from({ length: to - from }, (_, i) => ({ id: `m-${from + i}`, body: `${from + i}`, affinity: `task ${from + i}` }));
  for (const { error } of await queue.send(messages)) assert.equal(error, undefined);
};

/** Works until it is stopped, one message after the other; tells who had what, and whether anybody else had it at that time. */
class Hand {
  readonly done: string[] = [];
  readonly redelivered: string[] = [];
  readonly #stop = new AbortController();
  readonly #working: Promise<void>;
  readonly #queue: MessageQueue;

  constructor(queue: MessageQueue, clock: { sleep(ms: number): Promise<void> }, inHands: Map<string, MessageDelivery>, eachMs: number) {
    this.#queue = queue;
    this.#working = (async () => {
      while (!this.#stop.signal.aborted) {
        for (const delivery of await queue.receive(3, 20_000, this.#stop.signal).catch(() => [])) {
          const other = inHands.get(delivery.body);
          assert.ok(other === undefined || other.leaseLeftMs() === 0, `${delivery.body} is in two hands`);
          inHands.set(delivery.body, delivery);
          if (delivery.receives > 1) this.redelivered.push(delivery.body);
          await clock.sleep(eachMs);
          if (delivery.leaseLeftMs() === 0) continue;
          await delivery.ack();
          inHands.delete(delivery.body);
          this.done.push(delivery.body);
        }
      }
    })();
  }

  async stop(): Promise<void> {
    this.#stop.abort();
    await this.#working;
    await this.#queue.close();
  }
}

describe('partitions', () => {
  test('every number of members has all of them, in shares that differ by one, and a task stays in its partition', () => {
    for (const members of [1, 2, 3, 7, 100, 256]) {
      const starts = startsFor(members);
      const shares = new Array<number>(members).fill(0);
      for (let partition = 0; partition < PARTITIONS; partition++) (shares[memberOf(starts, partition) - 1] as number)++;
      assert.equal(shares.reduce((sum, share) => sum + share), PARTITIONS);
      assert.ok(Math.max(...shares) - Math.min(...shares) <= 1, `${members}: ${shares}`);
    }
    assert.equal(partitionOf('photos 1/2/3'), partitionOf('photos 1/2/3'));
    const used = new Set(Array.from({ length: 40_000 }, (_, i) => partitionOf(`photos 1/0/${i}`)));
    assert.ok(used.size > PARTITIONS * 0.99, `${used.size} are used by 40,000 tasks`);
  });

  test('a second worker for the same seat waits, says so once, and takes it when the first one has left', async () => {
    const { clock, coordinator, member, lines } = site();
    await clock.run((async () => {
      const lead = await coordinator(1);
      const first = await member(1, 1, 'first');
      assert.deepEqual(await first.receive(1, 5000, forever()), []);
      const second = await member(1, 1, 'second');
      await send(lead, 0, 2);
      assert.deepEqual(await second.receive(2, 120_000, forever()), []);
      const [one] = await first.receive(1, 10_000, forever());
      await one?.release(0);
      await first.close();
      const both = [...await second.receive(2, 30_000, forever()), ...await second.receive(2, 1000, forever())];
      // What the first one had touched is known to the one after it; the other message is fresh.
      assert.deepEqual(told(both), ['0 for the 2.', '1 for the 1.']);
      for (const delivery of both) await delivery.ack();
      await second.close();
      await lead.close();
    })());
    assert.deepEqual(lines.filter((line) => line.includes('sits there')), ['second: partition 1/1: first sits there: waiting until it has left, or was silent for 45 s']);
  });

  test('a worker whose number is not that of the map waits, says so in one line, and receives nothing', async () => {
    const { clock, coordinator, member, lines } = site();
    await clock.run((async () => {
      const early = await member(2, 3);
      assert.deepEqual(await early.receive(1, 10_000, forever()), []);
      const lead = await coordinator(2);
      await send(lead, 0, 20);
      assert.deepEqual(await early.receive(10, 60_000, forever()), []);
      await early.close();
      await lead.close();
    })());
    assert.deepEqual(lines.filter((line) => line.startsWith('2/3')), ['2/3: partition 2/3: no coordinator has made a map of partitions yet: waiting for one', '2/3: partition 2/3: the map has 2 members: waiting until a coordinator makes one of 3']);
  });

  test('F107: the seat of one that was killed is taken after its lease, and all it may have begun is told as delivered before; woken, it has nothing left', async () => {
    const { clock, coordinator, member } = site();
    await clock.run((async () => {
      const lead = await coordinator(1);
      const frozen = new Frozen(clock);
      const killed = await member(1, 1, 'killed', frozen);
      await send(lead, 0, 3);
      const [held] = await killed.receive(1, 30_000, forever());
      assert.equal(held?.receives, 1);
      frozen.freeze();
      const frozenAt = clock.monotonic();
      const next = await member(1, 1, 'next');
      const got: MessageDelivery[] = [];
      while (got.length < 3) got.push(...await next.receive(3, 20_000, forever()));
      assert.ok(clock.monotonic() - frozenAt > LEASE_MS, 'its lease was over');
      assert.equal(held?.leaseLeftMs(), 0);
      assert.deepEqual(told(got), ['0 for the 2.', '1 for the 2.', '2 for the 2.']);
      frozen.thaw();
      assert.deepEqual(await killed.receive(3, 1000, forever()), []);
      await assert.rejects(held?.extend(LEASE_MS) ?? Promise.resolve(), { code: 'E_LEASE_LOST' });
      for (const delivery of got) assert.equal(await delivery.ack(), 'acknowledged');
      assert.deepEqual(await killed.receive(3, 60_000, forever()), []);
      await Promise.all([next.close(), killed.close(), lead.close()]);
    })());
  });

  test('F098: what kills each worker that has it is counted beyond their deaths, and put aside in the end', async () => {
    const { clock, coordinator, plain } = site();
    await clock.run((async () => {
      const lead = await coordinator(1);
      await send(lead, 0, 1);
      for (let death = 0; death < 4; death++) {
        const frozen = new Frozen(clock);
        const queue = await openPartitions({ shelf: frozen.shelf(plain), clock: frozen.clock, random: seededRandom(death), holder: `victim ${death}`, as: { role: 'member', member: 1, members: 1 }, mostReceives: 3 });
        let got: readonly MessageDelivery[] = [];
        for (const end = clock.monotonic() + 120_000; got.length === 0 && clock.monotonic() < end;) got = await queue.receive(1, 10_000, forever());
        assert.deepEqual(got.map(({ receives }) => receives), death < 3 ? [death + 1] : []);
        frozen.freeze();
      }
      const [letter] = await lead.deadLetters(1);
      assert.deepEqual([letter?.body, letter?.reason], ['0', 'delivered 3 times and never acknowledged']);
      await lead.close();
    })());
  });

  test('2 → 7 → 3 members in the middle of the work: each message is done once, and none is in two hands', async () => {
    const { clock, coordinator, member, lines, plain } = site();
    const inHands = new Map<string, MessageDelivery>();
    const hands: Hand[] = [];
    const join = async (members: number): Promise<void> => {
      for (let one = 1; one <= members; one++) hands.push(new Hand(await member(one, members), clock, inHands, 1500));
    };
    await clock.run((async () => {
      let lead = await coordinator(2);
      await join(2);
      await send(lead, 0, 200);
      await clock.sleep(40_000);
      for (const members of [7, 3]) {
        await lead.close();
        lead = await coordinator(members);
        await join(members);
        await send(lead, members * 100, members * 100 + 100);
        await clock.sleep(30_000);
      }
      const done = (): Set<string> => new Set(hands.flatMap((hand) => hand.done));
      for (const end = clock.monotonic() + 600_000; done().size < 400 && clock.monotonic() < end;) await clock.sleep(1000);
      assert.equal(done().size, 400);
      assert.equal(hands.flatMap((hand) => hand.done).length, 400, 'none was done twice');
      const left: string[] = [];
      for await (const name of plain.names('inbox/')) left.push(name);
      assert.deepEqual(left, []);
      assert.ok(hands.slice(0, 2).every((hand) => hand.done.length > 0) && hands.slice(2, 9).every((hand) => hand.done.length > 0) && hands.slice(9).every((hand) => hand.done.length > 0), hands.map((hand) => hand.done.length).join());
      await Promise.all([...hands.map((hand) => hand.stop()), lead.close()]);
    })());
    assert.deepEqual(lines.filter((line) => /: map \d/.test(line)).map((line) => line.replace(/^[^:]*: /, '')), ['map 1 of partitions holds: 2 members', 'map 2 of partitions holds: 7 members', 'map 3 of partitions holds: 3 members']);
  });

  test('a message that cannot be believed is taken away when its map is over, and keeps none of the others where they were', async () => {
    const { clock, coordinator, plain, store } = site();
    const first = await coordinator(1);
    await send(first, 0, 40);
    store.put('inbox/00000001/0001/00000000000000-000000-torn', 'torn');
    store.put('dead/torn', 'torn');
    await first.bury({ id: 'letter', body: 'readable' }, 'why');
    assert.deepEqual((await first.deadLetters(10)).map(({ body }) => body), ['readable']);
    await first.close();
    const second = await coordinator(2);
    await clock.advance(5 * LEASE_MS);
    const left: string[] = [];
    for await (const name of plain.names('inbox/')) left.push(name);
    assert.equal(left.length, 40);
    assert.deepEqual(left.filter((name) => !name.startsWith('inbox/00000002/')), []);
    await second.close();
  });

  test('what a member holds for long is called back when another map is wanted; of one that is dead the seat is drained for it', async () => {
    const { clock, coordinator, member } = site();
    await clock.run((async () => {
      const lead = await coordinator(2);
      const frozen = new Frozen(clock);
      const members = [await member(1, 2), await member(2, 2, 'dead', frozen)];
      await send(lead, 0, 8);
      const [long] = await (members[0] as MessageQueue).receive(1, 30_000, forever());
      assert.ok(long !== undefined);
      assert.ok((await (members[1] as MessageQueue).receive(1, 30_000, forever())).length > 0);
      frozen.freeze();
      const asked = clock.monotonic();
      const other = await coordinator(1);
      const sole = await member(1, 1);
      // As a worker does: it keeps its lease until that is refused, then stops and gives back.
      for (;;) {
        await clock.sleep(LEASE_MS / 3);
        if (await long.extend(LEASE_MS).then(() => false, () => true)) break;
      }
      assert.ok(clock.monotonic() - asked >= 2 * LEASE_MS, 'it had time to finish');
      await long.release(0);
      const bodies = new Set<string>();
      while (bodies.size < 8) for (const delivery of await sole.receive(8, 20_000, forever())) {
        bodies.add(delivery.body);
        assert.equal(delivery.receives, 2);
        await delivery.ack();
      }
      assert.ok(clock.monotonic() - asked < 10 * LEASE_MS);
      frozen.thaw();
      await Promise.all([...members, sole, lead, other].map((queue) => queue.close()));
    })());
  });

  test('S1.31: who has nothing to do asks seldom, and who waits for a seat, too: about every other second', async () => {
    const { clock, coordinator, member, requests } = site();
    await clock.run((async () => {
      const lead = await coordinator(2);
      const idle = await member(1, 2, 'idle');
      const waiting = await member(1, 2, 'waiting');
      for (const end = clock.monotonic() + 60_000; clock.monotonic() < end;) await Promise.all([idle.receive(1, 20_000, forever()), waiting.receive(1, 20_000, forever())]);
      requests.clear();
      for (const end = clock.monotonic() + 3_600_000; clock.monotonic() < end;) await Promise.all([idle.receive(1, 20_000, forever()), waiting.receive(1, 20_000, forever())]);
      await Promise.all([idle.close(), waiting.close(), lead.close()]);
    })());
    // In an hour: 720 looks and 360 beats of three requests; of who waits, 720 times three; of the coordinator, a look each 5 s and at the seats each 30 s.
    assert.ok((requests.get('idle') ?? 0) <= 1900, `${requests.get('idle')}`);
    assert.ok((requests.get('waiting') ?? 0) <= 2300, `${requests.get('waiting')}`);
    assert.ok((requests.get('coordinator of 2') ?? 0) <= 1200, `${requests.get('coordinator of 2')}`);
  });
});
