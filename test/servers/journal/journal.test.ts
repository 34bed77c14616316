// The journal on real servers: conditional writes are proven, races for an epoch have one winner each, a frozen coordinator is fenced, and what
// was acknowledged is read back.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { BrigadeError } from '../../../src/core/errors.ts';
import { Secret } from '../../../src/core/secret.ts';
import { openJournal, proveConditionalWrites } from '../../../src/journal/index.ts';
import type { Claim, CoordinatorJournal, Journal, PlanRecord } from '../../../src/ports/journal.ts';
import type { Store } from '../../../src/ports/storage.ts';
import { applyProbed, controlOf, createS3Store, findProfile, probeStore } from '../../../src/stores/s3/index.ts';
import { systemClock } from '../../../src/telemetry/clock.ts';
import { systemRandom } from '../../../src/telemetry/random.ts';
import { type Server, type ServerKind, serverKinds } from '../harness/index.ts';

const RACES = 30;
const RACERS = 4;
const clock = systemClock();
const says = (n: number): PlanRecord[] => [{ type: 'totals', run: 1, totals: { bytesSent: n } }];
const isCode = (thrown: unknown, ...codes: string[]): boolean => thrown instanceof BrigadeError && codes.includes(thrown.code);

for (const kind of serverKinds().filter(({ name }) => name === 'versitygw' || name === 'radosgw')) describe(`the journal on ${kind.name}`, () => onServer(kind));

function onServer(kind: ServerKind): void {
  let server: Server;
  let open: (prefix: string) => Store;
  const stores: Store[] = [];

  before(async () => {
    server = await kind.start();
    const credentials = { describe: 'the harness', resolve: async () => ({ accessKeyId: server.accessKeyId, secretAccessKey: new Secret(server.secretAccessKey) }), invalidate: () => undefined };
    const options = (prefix: string) => ({ endpoint: server.endpoint, region: server.region, bucket: 'journal', prefix, credentials, clock });
    const bare = createS3Store({ ...options(''), profile: await findProfile(options('')) });
    await controlOf(bare)?.createBucket();
    await bare.close();
    const profile = await findProfile(options(''));
    const first = createS3Store({ ...options(''), profile });
    stores.push(first);
    const measured = await probeStore(first, systemRandom());
    open = (prefix) => {
      const store = createS3Store({ ...options(prefix), profile });
      stores.push(store);
      if (measured !== undefined) applyProbed(store, measured);
      return store;
    };
  });

  after(async () => {
    for (const store of stores) await store.close();
    await server.stop();
  });

  const journalIn = (prefix: string): Journal => openJournal({ store: open(prefix), clock, random: systemRandom() });

  test('F106: conditional writes are proven by a race', () => proveConditionalWrites(open('proof/'), systemRandom()));

  test(`F106: in ${RACES} races of ${RACERS} coordinators for an epoch one wins each; the one before is fenced, what it wrote counts`, async () => {
    const racers = Array.from({ length: RACERS }, () => journalIn('race/'));
    let over: Claim | undefined;
    let holder: CoordinatorJournal | undefined;
    const acknowledged: number[] = [];
    for (let round = 0; round < RACES; round++) {
      const results = await Promise.allSettled(racers.map((racer, i) => racer.claim({ holder: `${round}/${i}`, over })));
      const won = results.filter((result) => result.status === 'fulfilled').map((result) => result.value);
      for (const result of results) if (result.status === 'rejected') assert.ok(isCode(result.reason, 'E_LOCKED_RUN'), String(result.reason));
      assert.equal(won.length, 1, `round ${round}`);
      if (holder !== undefined) await assert.rejects(holder.append(says(-1)), (thrown) => isCode(thrown, 'E_JOURNAL_FENCED'));
      holder = won[0] as CoordinatorJournal;
      over = holder.claim;
      await holder.append(says(round));
      acknowledged.push(round);
    }
    const heard: number[] = [];
    for await (const { records = [], damage } of journalIn('race/').plans()) {
      assert.equal(damage, undefined);
      for (const record of records) if (record.type === 'totals') heard.push(record.totals.bytesSent ?? 0);
    }
    assert.deepEqual(heard, acknowledged);
  });

  test('F106: a coordinator that goes on writing while another takes over is fenced; all it was told stands', async () => {
    for (let round = 0; round < 10; round++) {
      const [one, two] = [journalIn(`over-${round}/`), journalIn(`over-${round}/`)];
      const old = await one.claim({ holder: 'old', over: undefined });
      const acknowledged: number[] = [];
      const writing = (async () => {
        for (let n = 0; n < 1000; n++) {
          await old.append(says(n));
          acknowledged.push(n);
        }
      })();
      const fenced = assert.rejects(writing, (thrown) => isCode(thrown, 'E_JOURNAL_FENCED'));
      const next = await two.claim({ holder: 'new', over: old.claim });
      await fenced;
      await next.append(says(5000));
      const heard: number[] = [];
      for await (const { records = [] } of one.plans()) for (const record of records) if (record.type === 'totals') heard.push(record.totals.bytesSent ?? 0);
      assert.deepEqual(heard, [...acknowledged, 5000]);
    }
  });

  test('F094: of two reports of one task none is lost, and the same one again is known', async () => {
    const workers = Array.from({ length: RACERS }, () => journalIn('reports/'));
    const work = { epoch: 1, seq: 0, task: 0 };
    const report = (worker: string) => ({ worker, outcomes: [], close: true, parts: [] });
    const placed = await Promise.all(workers.map((one, i) => one.report(work, report(`w${i}`))));
    assert.deepEqual(placed.map(({ nth }) => nth).toSorted((a, b) => a - b), [0, 1, 2, 3]);
    assert.deepEqual((await Promise.all(workers.map((one, i) => one.report(work, report(`w${i}`))))).map(({ nth }) => nth), placed.map(({ nth }) => nth));
  });
}
