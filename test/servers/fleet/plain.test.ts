/** Workers behind a producer that knows nothing of them: it fills the queue with messages of its own (S0.21), as a Lambda would; boto3 looks at what came of it. */
import assert from 'node:assert/strict';
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { jetstream } from '@nats-io/jetstream';
import { connect } from '@nats-io/transport-node';
import { tempFolder } from '../../../src/cli/fixture.test.ts';
import { binaries, startMoto, startNats, startVersitygw } from '../harness/index.ts';

const MAIN = join(import.meta.dirname, '../../../src/cli/main.ts');
const STRANGER = join(import.meta.dirname, 'stranger.py');

interface Ran { readonly exit: number; readonly out: string; readonly err: string }

interface Engine {
  readonly queue: string;
  readonly env: Readonly<Record<string, string>>;
  /** By a client that is none of ours. */
  send(bodies: readonly string[]): Promise<void>;
  stop(): Promise<void>;
}

function python(args: readonly string[], env: Readonly<Record<string, string>>, input = ''): Promise<string> {
  return new Promise((resolve, reject) => {
    const child = execFile(binaries().python, [STRANGER, ...args], { env: { PATH: process.env['PATH'] ?? '', ...env }, maxBuffer: 1 << 26 }, (error, out, err) => {
      if (error === null) resolve(out);
      else reject(new Error(`${args[0]}: ${err}`));
    });
    child.stdin?.end(input);
  });
}

const AWS = { AWS_ACCESS_KEY_ID: 'test', AWS_SECRET_ACCESS_KEY: 'test', AWS_DEFAULT_REGION: 'us-east-1' };

const ENGINES: Readonly<Record<string, () => Promise<Engine>>> = {
  nats: async () => {
    const server = await startNats();
    const send = async (bodies: readonly string[]): Promise<void> => {
      const connection = await connect({ servers: server.endpoint });
      for (const body of bodies) await jetstream(connection).publish('plain.tasks', body);
      await connection.drain();
    };
    return { queue: `nats:plain@${server.endpoint}?create=true&lease=5s`, env: {}, send, stop: () => server.stop() };
  },
  sqs: async () => {
    const server = await startMoto();
    const send = async (bodies: readonly string[]): Promise<void> => { await python(['send', server.endpoint, 'plain'], AWS, bodies.join('\n')); };
    return { queue: `sqs:plain?endpoint=${server.endpoint}&region=us-east-1&create=true&lease=5s`, env: AWS, send, stop: () => server.stop() };
  },
};

/** A generous limit: machines are busy. */
async function found<T>(what: string, look: () => Promise<T | undefined> | T | undefined, said: () => string): Promise<T> {
  for (const end = performance.now() + 90_000; performance.now() < end; await sleep(500)) {
    const one = await look();
    if (one !== undefined) return one;
  }
  throw new Error(`not in time: ${what}\n${said()}`);
}

const key = (number: number): string => `docs/${String(number).padStart(3, '0')}`;
const plain = (keys: readonly string[], to = 'media-copy'): string => JSON.stringify({ source_bucket: 'media', dest_bucket: to, keys, sent_by: 'a function of theirs' });
const range = (from: number, to: number): string[] => Array.from({ length: to - from }, (_, i) => key(from + i));

async function site(engine: Engine) {
  const gateway = await startVersitygw();
  const folder = tempFolder();
  const s3 = { AWS_ACCESS_KEY_ID: gateway.accessKeyId, AWS_SECRET_ACCESS_KEY: gateway.secretAccessKey, AWS_DEFAULT_REGION: gateway.region };
  const env = { ...engine.env, BRIGADE_MESSAGE_KEY: 'k'.repeat(32), PATH: process.env['PATH'] ?? '', HOME: folder.path, ENDS_ACCESS_KEY_ID: gateway.accessKeyId, ENDS_SECRET_ACCESS_KEY: gateway.secretAccessKey };
  mkdirSync(join(folder.path, 'journals'));
  const file = folder.write('media.yml', `name: media
connections:
  gateway: { provider: versitygw, endpoint: ${gateway.endpoint}, region: ${gateway.region}, credentials: env:ENDS, path_style: true }
source: { s3: media, connection: gateway }
destination: { s3: media-copy, connection: gateway }
transfer: { multipart_threshold: 8 MiB }
`);
  const fleet = ['--queue', engine.queue, '--journal', 'journals'];
  const workers: ChildProcess[] = [];
  let log = '';
  await python(['seed', gateway.endpoint], s3);
  return {
    file, fleet, workers,
    said: () => log,
    judge: async (): Promise<Record<string, unknown>> => JSON.parse(await python(['same', gateway.endpoint], s3)) as Record<string, unknown>,
    work(...more: readonly string[]): ChildProcess {
      const child = spawn(process.execPath, [MAIN, 'worker', ...fleet, '--processes', '1', '--spot-notice', 'off', '--drain', '5s', ...more], { cwd: folder.path, env, stdio: ['ignore', 'ignore', 'pipe'] });
      child.stderr?.setEncoding('utf8').on('data', (text: string) => { log += text; });
      workers.push(child);
      return child;
    },
    brigade: (...args: readonly string[]): Promise<Ran> => new Promise((resolve) => {
      execFile(process.execPath, [MAIN, ...args], { cwd: folder.path, env, timeout: 240_000 }, (error, out, err) => resolve({ exit: error === null ? 0 : Number(error.code ?? -1), out, err }));
    }),
    async [Symbol.asyncDispose]() {
      for (const child of workers) child.kill('SIGKILL');
      await Promise.all([gateway.stop(), engine.stop()]);
      folder[Symbol.dispose]();
    },
  };
}

interface Account { readonly messages: number; readonly open: number; readonly asked: number; readonly copied: number; readonly unchanged: number; readonly failed: number; readonly skipped: number; readonly reasons: readonly { readonly code: string; readonly objects: number }[] }

describe('plain messages of another producer', () => {
  for (const [name, start] of Object.entries(ENGINES)) {
    test(`${name}: three of twenty keys, one of them missing, one sent twice, and a pair of buckets that nobody offered`, { timeout: 10 * 60_000 }, async () => {
      const engine = await start();
      await using here = await site(engine);
      const account = async (): Promise<Account> => JSON.parse((await here.brigade('report', 'media', '--plain', '--journal', 'journals', '-o', 'json')).out) as Account;
      const settled = (messages: number): Promise<Account> => found(`${messages} messages are done`, async () => {
        const now = await account();
        return now.messages === messages && now.open === 0 ? now : undefined;
      }, here.said);
      const letters = async (): Promise<readonly { readonly state: string; readonly why: string; readonly reason: string; readonly task?: string; readonly failures: readonly { readonly code: string; readonly key: string }[] }[]> => (JSON.parse((await here.brigade('dead-letters', ...here.fleet, '-o', 'json')).out) as { readonly letters: never }).letters;

      const deaf = here.work();
      await found('the queue is there', async () => ((await here.brigade('dead-letters', ...here.fleet)).exit === 0 ? true : undefined), here.said);
      await engine.send([plain([key(0)])]);
      await found('it is told what would take it', () => (/a message is put aside: .*--accept-plain-messages \[E_MESSAGE_FOREIGN\]/.test(here.said()) ? true : undefined), here.said);
      deaf.kill('SIGTERM');
      await found('it lies among the dead letters', async () => ((await letters()).some(({ state, why }) => state === 'unopened' && /a plain message/.test(why)) ? true : undefined), here.said);

      const offered = await here.brigade('offer', here.file, '--journal', 'journals');
      assert.equal(offered.exit, 0, offered.err);
      assert.match(offered.out, /media: plain messages may ask for s3:\/\/media.* → s3:\/\/media-copy/);
      for (let i = 0; i < 2; i++) here.work('--accept-plain-messages');
      const second = plain(range(19, 39));
      await engine.send([plain([...range(0, 19), 'docs/large']), plain([key(1)], 'other'), second, plain([...range(39, 58), 'docs/missing'])]);
      const first = await settled(3);
      assert.deepEqual({ asked: first.asked, copied: first.copied, unchanged: first.unchanged, failed: first.failed, skipped: first.skipped }, { asked: 60, copied: 58, unchanged: 1, failed: 1, skipped: 0 });
      assert.deepEqual(first.reasons.map(({ code, objects }) => [code, objects]), [['E_SOURCE_GONE', 1]]);
      await engine.send([second]);
      const again = await settled(4);
      assert.equal(again.copied, 58, 'nothing is copied twice');
      assert.equal(again.unchanged, 21);
      await found('it is told that nobody offered the other pair', () => (/plain messages wait: they ask for media → other, and no migration that is offered goes there; .*\[E_PLAIN_UNKNOWN\]/.test(here.said()) ? true : undefined), here.said);
      assert.deepEqual(await here.judge(), { missing: [], beyond: [], other: [], differ: [], uploads: 0, objects: 59 });
      const told = await found('the failed one lies among the dead letters', async () => (await letters()).find(({ state }) => state === 'failed'), here.said);
      assert.deepEqual(told.failures.map(({ code, key: name }) => [code, name]), [['E_SOURCE_GONE', 'docs/missing']]);

      const run = await here.brigade('coordinator', here.file, ...here.fleet, '--progress', 'none');
      assert.equal(run.exit, 0, run.out + run.err);
      assert.match(run.out, /59 listed = 0 copied \+ 59 unchanged/);
      const verified = await here.brigade('verify', 'media');
      assert.match(verified.out, /0 differences/, verified.err);
      assert.equal((await here.brigade('ledger', 'check', 'media', '--journal', 'journals')).exit, 0);
    });
  }

  test('nats: beside a coordinator of the same migration, while workers are killed', { timeout: 10 * 60_000 }, async () => {
    const engine = await (ENGINES['nats'] as () => Promise<Engine>)();
    await using here = await site(engine);
    const offered = await here.brigade('offer', here.file, '--journal', 'journals');
    assert.equal(offered.exit, 0, offered.err);
    const first = here.work('--accept-plain-messages');
    await found('the queue is there', async () => ((await here.brigade('dead-letters', ...here.fleet)).exit === 0 ? true : undefined), here.said);
    const running = here.brigade('coordinator', here.file, ...here.fleet, '--progress', 'none');
    const all = [...range(0, 58), 'docs/large'];
    for (let at = 0; at < all.length; at += 5) await engine.send([plain(all.slice(at, at + 5))]);
    const second = here.work('--accept-plain-messages');
    for (const worker of [first, second]) {
      await sleep(1500);
      worker.kill('SIGKILL');
      here.work('--accept-plain-messages');
    }
    const run = await running;
    assert.equal(run.exit, 0, run.out + run.err);
    assert.match(run.out, /59 listed = \d+ copied \+ \d+ unchanged/);
    await found('all messages are done', async () => {
      const { messages, open } = JSON.parse((await here.brigade('report', 'media', '--plain', '--journal', 'journals', '-o', 'json')).out) as Account;
      return messages === 12 && open === 0 ? true : undefined;
    }, here.said);
    assert.deepEqual(await here.judge(), { missing: [], beyond: [], other: [], differ: [], uploads: 0, objects: 59 });
    assert.match((await here.brigade('verify', 'media')).out, /0 differences/);
    assert.equal((await here.brigade('ledger', 'check', 'media', '--journal', 'journals')).exit, 0);
  });
});
