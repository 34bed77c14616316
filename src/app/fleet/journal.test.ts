import assert from 'node:assert/strict';
import { existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { startEndpoint } from '../../agent/endpoint.ts';
import { memoryLayout } from '../../agent/memory.ts';
import { systemClock } from '../../telemetry/clock.ts';
import { seededRandom } from '../../telemetry/random.ts';
import { openJournals, type Journals } from './journal.ts';

const BINDING = { migration: 'photos', specHash: 'a1', source: 's3://source', destination: 's3://destination' };

function folder(t: TestContext): string {
  const path = mkdtempSync(join(tmpdir(), 'brigade-fleet-'));
  t.after(() => rmSync(path, { recursive: true, force: true }));
  return path;
}

function open(t: TestContext, text: string, env: Record<string, string> = {}, seed = 1): Journals {
  const journals = openJournals(text, { env, cwd: '/', clock: systemClock(), random: seededRandom(seed) });
  t.after(() => journals.close());
  return journals;
}

async function bucket(t: TestContext): Promise<{ readonly text: string; readonly env: Record<string, string> }> {
  const endpoint = await startEndpoint({ storage: memoryLayout(), accessKeys: [{ id: 'AKIATEST', secret: 'a secret' }] });
  t.after(() => endpoint.close());
  return { text: `s3://journals/fleet/?endpoint=${endpoint.url}&credentials=env:J&create=true`, env: { J_ACCESS_KEY_ID: 'AKIATEST', J_SECRET_ACCESS_KEY: 'a secret' } };
}

test('a directory: each migration has its folder, another process finds what was written', async (t) => {
  const path = folder(t);
  const one = open(t, path);
  await (await one.open('photos')).bind(BINDING);
  await (await one.open('other')).keep(Buffer.from('document'));
  assert.deepEqual(new Set(readdirSync(path)), new Set(['photos', 'other']));
  const two = open(t, `file://${path}`, {}, 2);
  await assert.rejects((await two.open('photos')).bind({ ...BINDING, specHash: 'b2' }), { code: 'E_JOURNAL_OTHER' });
  assert.equal(two.describe, path);
});

test('a bucket: made where asked to, measured once, proven; another process finds what was written', async (t) => {
  const { text, env } = await bucket(t);
  const one = open(t, text, env);
  await one.prove('photos');
  const sha256 = await (await one.open('photos')).keep(Buffer.from('document'));
  const two = open(t, text.replace('&create=true', ''), env, 2);
  assert.equal(String(await (await two.open('photos')).document(sha256)), 'document');
  assert.equal(await (await two.open('other')).document(sha256), undefined);
  assert.equal((await two.store('photos')).facts.guards.absent, true);
  assert.equal(two.describe, 's3://journals/fleet/');
});

test('a board: one for all who name the same queue and place, and no migration can have its name', async (t) => {
  const path = folder(t);
  const [one, two] = [open(t, path), open(t, path, {}, 2)];
  await (await one.board('sqs:a')).beat({ worker: 'photos', beat: 1, host: 'h', version: '1', tasks: 7 });
  assert.deepEqual((await (await two.board('sqs:a')).beats()).map(({ worker, tasks }) => [worker, tasks]), [['photos', 7]]);
  assert.deepEqual(await (await two.board('sqs:b')).beats().catch((error: { code?: string }) => error.code), []);
  const [name = ''] = readdirSync(path);
  await assert.rejects(one.open(name), { code: 'E_CONFIG' });
});

test('to read, nothing is written', async (t) => {
  const path = folder(t);
  const journals = open(t, path);
  assert.equal(await (await journals.open('photos', 'read')).current().catch((error: { code?: string }) => error.code), 'E_NO_ROOT');
  assert.deepEqual(readdirSync(path), []);
  const { text, env } = await bucket(t);
  await (await open(t, text, env).open('photos')).bind(BINDING);
  const reader = open(t, text.replace('&create=true', ''), env, 2);
  assert.equal(await (await reader.open('photos', 'read')).current(), undefined);
});

test('a store without conditional writes carries no journal', async (t) => {
  const { text, env } = await bucket(t);
  const journals = open(t, `${text}&provider=generic`, env);
  const store = await journals.store('photos');
  Object.assign(store.facts.guards, { absent: false });
  await assert.rejects(journals.open('photos'), { code: 'E_JOURNAL_GUARDS', kind: 'usage' });
});

test('a directory that is not there is not made: it may be a mount that is missing', (t) => {
  const path = join(folder(t), 'missing');
  assert.throws(() => open(t, path), { code: 'E_NO_ROOT', kind: 'premise' });
  assert.ok(!existsSync(path));
});

test('the credentials of a journal may come from variables of its own', async (t) => {
  const { text } = await bucket(t);
  const journals = open(t, text.replace('&credentials=env:J', ''), { BRIGADE_JOURNAL_ACCESS_KEY_ID: 'AKIATEST', BRIGADE_JOURNAL_SECRET_ACCESS_KEY: 'a secret' });
  await (await journals.open('photos')).bind(BINDING);
});

test('a store that could not be opened is tried again by the next who asks', async (t) => {
  const { text } = await bucket(t);
  const env: Record<string, string> = {};
  const journals = open(t, text, env);
  await assert.rejects(journals.open('photos'), { code: 'E_CREDENTIALS' });
  Object.assign(env, { J_ACCESS_KEY_ID: 'AKIATEST', J_SECRET_ACCESS_KEY: 'a secret' });
  await (await journals.open('photos')).bind(BINDING);
});

const REFUSED: readonly (readonly [text: string, message: RegExp, location?: RegExp])[] = [
  ['memory://x', /neither a bucket nor a directory/],
  ['gs://bucket/x', /scheme gs:\/\/, which is not supported/],
  ['s3://x/', /does not name a bucket/],
  ['s3://bucket/?endpiont=http://x', /"endpiont" is not an option here/],
  ['s3://bucket/?endpoint=ftp://x', /is not the URL of a server/, /^--journal endpoint$/],
  ['s3://bucket/?provider=nobody', /nobody/, /^--journal provider$/],
  ['s3://bucket/?credentials=wJalrXUtnFEMI', /inline value, not a reference/, /^--journal credentials$/],
  ['~/journal', /starts with ~/],
];

for (const [text, message, location = /^--journal$/] of REFUSED) {
  test(`refused in one line: ${text}`, (t) => {
    assert.throws(() => open(t, text), (error: Error & { code?: string; kind?: string; location?: string; hint?: string }) => {
      assert.deepEqual([error.code, error.kind], ['E_CONFIG', 'usage']);
      assert.match(error.message, message);
      assert.match(error.location ?? '', location);
      assert.ok(!`${error.message}${error.hint}`.includes('wJalr'));
      return true;
    });
  });
}

test('I11: a name that would lead elsewhere is no migration', async (t) => {
  const journals = open(t, folder(t));
  for (const name of ['..', '../x', 'a/b', '', '.brigade']) await assert.rejects(journals.open(name), { code: 'E_CONFIG' });
});
