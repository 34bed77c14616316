import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { startEndpoint, type RequestHook } from '../../agent/endpoint.ts';
import { memoryLayout } from '../../agent/memory.ts';
import { seedBucket } from '../../agent/seeding.ts';
import { type Migration, parseMigration, specHash } from '../../config/index.ts';
import { newShard, SetDigest } from '../../core/shard.ts';
import { GiB, MiB } from '../../core/units.ts';
import type { Item } from '../../core/item.ts';
import { openLedger } from '../../ledger/sqlite/index.ts';
import { systemClock } from '../../telemetry/clock.ts';
import { seededRandom } from '../../telemetry/random.ts';
import { doctor } from '../doctor.ts';
import type { DoctorLine, FleetAround } from '../doctor-types.ts';
import { ledgerPath } from '../state.ts';
import { abortLine, leaseLine } from './doctor.ts';
import { foresee } from './foresee.ts';
import { openJournals } from './journal.ts';
import { openQueue } from './queue.ts';

const ENV = { ID: 'AKIAEXAMPLE', SECRET: 'right-secret', KEY: 'k'.repeat(32), HERE_ACCESS_KEY_ID: 'AKIAEXAMPLE', HERE_SECRET_ACCESS_KEY: 'right-secret' };
let made = 0;

async function ground(t: TestContext, onRequest?: RequestHook) {
  const dir = mkdtempSync(join(tmpdir(), 'brigade-doctor-fleet-'));
  t.after(() => rmSync(dir, { recursive: true, force: true }));
  const layout = memoryLayout();
  for (const bucket of ['orig', 'dest', 'journals']) await seedBucket(layout, bucket);
  const endpoint = await startEndpoint({ storage: layout, accessKeys: [{ id: ENV.ID, secret: ENV.SECRET }], ...(onRequest === undefined ? {} : { onRequest }) });
  t.after(() => endpoint.close());
  const text = `name: pair
connections:
  here: { endpoint: "${endpoint.url}", credentials: { access_key_id: env:ID, secret_access_key: env:SECRET } }
source: { s3: orig, connection: here }
destination: { s3: dest, connection: here }
`;
  const migration = parseMigration(Buffer.from(text), join(dir, 'pair.yml'), ENV);
  const around = { env: ENV, cwd: dir, clock: systemClock(), random: seededRandom(7) };
  return {
    dir, migration, around, layout, stateDir: join(dir, 'state'), queue: `memory:doctor-${++made}`,
    journal: `s3://journals/?endpoint=${endpoint.url}&credentials=env:HERE`,
    examine: async (fleet: Partial<FleetAround>, of: Migration = migration): Promise<Map<string, DoctorLine[]>> => {
      const found = new Map<string, DoctorLine[]>();
      for await (const line of doctor(of, { stateDir: join(dir, 'state'), ...around, signal: new AbortController().signal, fleet: { cwd: dir, ...fleet } })) {
        assert.ok(line.status === 'OK' || (line.fix ?? '') !== '', line.message);
        found.set(line.name, [...found.get(line.name) ?? [], line]);
      }
      return found;
    },
  };
}

const told = (found: Map<string, DoctorLine[]>, name: string): [string, string] => { const [line] = found.get(name) ?? []; return [line?.status ?? 'none', line?.message ?? '']; };

test('a fleet that is right: queue, lease, journal, key; nothing is sent, nothing stays behind', async (t) => {
  const { examine, queue, journal, around, layout } = await ground(t);
  const found = await examine({ queue, journal, messageKeys: ['env:KEY'] });
  for (const name of ['queue: reach', 'queue: lease', 'queue: messages', 'journal: reach', 'journal: conditional writes', 'journal: whose', 'message key']) assert.equal(told(found, name)[0], 'OK', `${name}: ${told(found, name)[1]}`);
  assert.deepEqual(told(found, 'queue: setup'), ['WARN', 'memory: nothing outlives this process']);
  assert.match(told(found, 'queue: lease')[1], /^30 s, prolonged every 10 s; tasks take 1 min 0 s at most, as batch.seconds says; the largest object is not known/);
  assert.match(told(found, 'fleet: source')[1], /from the environment/);
  const opened = await openQueue(queue, around);
  assert.deepEqual(await opened.counts(), { waiting: 0, inFlight: 0, delayed: 0, dead: 0 });
  assert.deepEqual([...layout.scan('journals', Buffer.alloc(0))].map(({ key }) => key), []);
});

test('without a fleet nothing of it is asked', async (t) => {
  const { migration, around, stateDir } = await ground(t);
  for await (const { name } of doctor(migration, { ...around, stateDir, signal: new AbortController().signal })) assert.doesNotMatch(name, /queue|journal|fleet|abort/);
});

test('dead letters, a journal of another migration, a worker in trouble, a queue that is not there', async (t) => {
  const { examine, queue, dir, around, migration } = await ground(t);
  const opened = await openQueue(queue, around);
  await opened.send([{ id: 'a', body: 'x' }]);
  await (await opened.receive(1, 0, new AbortController().signal))[0]?.park('x');
  const root = join(dir, 'journals');
  mkdirSync(root);
  const journals = openJournals(root, around);
  const journal = await journals.open('pair');
  await journal.bind({ migration: 'pair', specHash: 'other', source: 's', destination: 'd' });
  await journal.claim({ holder: 'machine 7', over: undefined });
  await journal.beat({ worker: 'w1', beat: 1, host: 'm2', version: '1', tasks: 0, trouble: { code: 'E_CREDENTIALS', message: 'the variable ID is not set', hint: 'export ID' } });
  const found = await examine({ queue, journal: 'journals' });
  assert.match(told(found, 'queue: messages').join(), /^WARN,.*1 dead letter$/);
  assert.match(told(found, 'journal: whose').join(), /^FAIL,it is of another migration, or of this one with another source/);
  assert.match(told(found, 'journal: coordinator').join(), /^OK,machine 7 since .*\(epoch 1\)/);
  assert.match(told(found, 'journal: workers').join(), /^WARN,w1 on m2 cannot work on it: the variable ID is not set/);
  assert.deepEqual(readdirSync(join(root, 'pair/canaries')), []);
  await journals.close();
  const other = await examine({ queue: 'nats:x@nats://127.0.0.1:1?create=true', journal: 'nowhere' });
  assert.equal(told(other, 'queue: reach')[0], 'FAIL');
  assert.match(told(other, 'journal: reach').join(), /^FAIL,the directory of the journal is not there/);
  const own = openJournals(root, around);
  const mine = { ...migration, name: 'mine' };
  await (await own.open('mine')).bind({ migration: 'mine', specHash: specHash(mine), source: 's', destination: 'd' });
  await own.close();
  assert.match(told(await examine({ journal: 'journals' }, mine), 'journal: whose').join(), /^OK,of mine, as the file has it now/);
});

test('a directory as a place, and a key that is too short, are told', async (t) => {
  const { examine, dir, migration } = await ground(t);
  mkdirSync(join(dir, 'from'));
  const found = await examine({ messageKeys: ['env:ID'] }, { ...migration, source: { kind: 'file', path: join(dir, 'from') } });
  assert.match(told(found, 'fleet: source').join(), /^WARN,.*every worker must see the same one/);
  assert.match(told(found, 'message key').join(), /^FAIL,a message key has at least 32 bytes/);
  assert.match(told(await examine({ messageKeys: [] }), 'message key').join(), /^WARN,none is named here/);
});

const sized = (key: string, size: number): Item => ({ key, kind: 'object', size, state: 'pending', source: { token: 't' }, evidence: 'none', attempts: 0 });

test('S1.11, S1.40: what is to come is foreseen from the objects of the last plan', async (t) => {
  const { migration, stateDir, around } = await ground(t);
  assert.deepEqual(await foresee(migration, stateDir), { rate: 50 * MiB, taskMs: 60_000 });
  const ledger = await openLedger({ path: ledgerPath(stateDir, 'pair'), binding: { migration: 'pair', specHash: 'a', source: 's', destination: 'd' }, clock: around.clock, mode: 'create', holder: { pid: process.pid, host: 'here' } });
  const items = [...Array.from({ length: 2000 }, (_, i) => sized(`a/${String(i).padStart(5, '0')}`, 1000)), sized('b', 100 * GiB)];
  const shard = { ...newShard(0, {}), firstKey: items[0]?.key as string, lastKey: 'b', items: items.length, source: { objects: items.length, bytes: 1, digest: new SetDigest().hex }, sealed: true };
  ledger.beginRun('initial');
  ledger.addPlan(1, { tasks: [{ items: items.slice(0, -1), problems: new Map() }, { items: items.slice(-1), problems: new Map() }], shards: [shard], listing: { sealed: true, sourceObjects: items.length, sourceBytes: 1, destinationObjects: 0 } });
  await ledger.close();
  const { largest, taskMs } = await foresee(migration, stateDir);
  assert.deepEqual([largest?.bytes, Math.round((largest?.ms ?? 0) / 1000)], [100 * GiB, 2048]);
  assert.equal(Math.round(taskMs / 1000), 2048, 'of three tasks the slowest');
  const limited = await foresee({ ...migration, limits: { ...migration.limits, bandwidth: MiB } }, stateDir);
  assert.equal(Math.round((limited.largest?.ms ?? 0) / 1000), 102_400);
});

test('S1.11, S1.40: a lease is held against heartbeats, the p95 of tasks and the largest object', () => {
  const limits = { largestMessageBytes: 1, longestDelayMs: 1, longestLeaseMs: Infinity, leaseMs: 30_000, leasesVary: true, mostReceives: 100, countsAll: true, mostPerReceive: 10 };
  const line = (change: Partial<typeof limits>, largestMs = 60_000) => leaseLine({ limits: { ...limits, ...change } }, { rate: MiB, taskMs: 30_000, largest: { bytes: GiB, ms: largestMs } });
  assert.equal(line({}).status, 'OK');
  assert.match(line({}).message, /^30 s, prolonged every 10 s, then 45 s at a time as tasks take so long; tasks take 30 s \(p95\)/);
  assert.match(line({ leasesVary: false }).message, /^30 s, prolonged every 10 s; /);
  assert.equal(line({}, 86_400_000).status, 'OK', 'heartbeats prolong it');
  assert.match(JSON.stringify(line({ longestLeaseMs: 12 * 3_600_000 }, 13 * 3_600_000)), /WARN.*longer than the 12 h.* lets one worker hold a message/);
  assert.match(JSON.stringify(line({ leaseMs: 3000 })), /WARN.*loses its task/);
  assert.match(JSON.stringify(line({ leaseMs: 3_600_000 })), /WARN.*worker that dies wait so long/);
});

test('F072: a rule that aborts uploads lets the longest one end twice over, and there is one', async (t) => {
  const day = 86_400_000;
  assert.equal(abortLine([{ prefix: '', days: 7 }], 'to/', day).status, 'OK');
  assert.equal(abortLine([{ prefix: '', days: 7 }], 'to/', undefined).status, 'OK');
  assert.match(JSON.stringify(abortLine([], 'to/', day)), /WARN.*for ever.*to 7 days/);
  assert.match(JSON.stringify(abortLine([{ prefix: 'other/', days: 1 }], 'to/', day)), /WARN.*for ever/);
  assert.match(JSON.stringify(abortLine([{ prefix: '', days: 7 }, { prefix: 'to/part/', days: 3 }], 'to/', day)), /WARN.*after 3 days/);
  assert.match(JSON.stringify(abortLine([{ prefix: 't', days: 8 }], 'to/', 5 * day)), /WARN.*after 8 days.*to 10 days/);
  assert.match(JSON.stringify(abortLine([{ prefix: '', days: 1 }], '', 2 * day)), /FAIL.*aborted after 1 day;/);

  const rule = (days: number) => `<LifecycleConfiguration><Rule><Filter><Prefix></Prefix></Filter><Status>Enabled</Status><AbortIncompleteMultipartUpload><DaysAfterInitiation>${days}</DaysAfterInitiation></AbortIncompleteMultipartUpload></Rule></LifecycleConfiguration>`;
  let answer: ReturnType<RequestHook>;
  const { examine } = await ground(t, ({ query }) => (query.has('lifecycle') ? answer : undefined));
  const lineFor = async (given: ReturnType<RequestHook>) => { answer = given; return told(await examine({ messageKeys: ['env:KEY'] }), 'destination: abort rule').join(); };
  assert.match(await lineFor({ status: 200, body: rule(7) }), /^OK,unfinished uploads are aborted after 7 days/);
  assert.match(await lineFor({ status: 200, body: rule(2) }), /^WARN,uploads are aborted after 2 days/);
  assert.match(await lineFor(undefined), /^WARN,the bucket keeps unfinished uploads for ever/);
  assert.match(await lineFor({ code: 'AccessDenied' }), /^WARN,the bucket does not say/);
  assert.equal(await lineFor({ code: 'NotImplemented' }), 'none,');
});
