/** `--queue` as it is written, against real engines: opened, made, examined, and its dead letters sorted out by the command line. */
import assert from 'node:assert/strict';
import { chmodSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { openQueue } from '../../../src/app/fleet/queue.ts';
import { brigade, tempFolder } from '../../../src/cli/fixture.test.ts';
import { KEY, message, writeJournal } from '../../../src/cli/journal.test-kit.ts';
import type { MessageQueue } from '../../../src/ports/message-queue.ts';
import { systemClock } from '../../../src/telemetry/clock.ts';
import { seededRandom } from '../../../src/telemetry/random.ts';
import { type NatsServer, type Server, startMoto, startNats } from '../harness/index.ts';

const ENV = { FLEET_ACCESS_KEY_ID: 'AKIDEXAMPLE', FLEET_SECRET_ACCESS_KEY: 'not a real one', BRIGADE_KEY: KEY, NATS_PASSWORD: 'right' };
const around = { env: ENV, cwd: '/', clock: systemClock(), random: seededRandom(1) };
let moto: Server;
let nats: NatsServer;

before(async () => {
  moto = await startMoto();
  nats = await startNats({ user: 'brigade', password: 'right' });
});
after(async () => {
  await nats?.stop();
  await moto?.stop();
});

const sqsText = (name: string, more = ''): string => `sqs:${name}?region=us-east-1&endpoint=${moto.endpoint}&credentials=env:FLEET&lease=10s${more}`;
const natsText = (name: string, more = ''): string => `nats:${name}@${nats.endpoint}?user=brigade&password=env:NATS_PASSWORD&lease=10s${more}`;

async function using(text: string, work: (queue: MessageQueue) => Promise<void>): Promise<void> {
  const queue = await openQueue(text, around);
  try {
    await work(queue);
  } finally {
    await queue.close();
  }
}

const now = (): AbortSignal => new AbortController().signal;

for (const [engine, text] of [['sqs', sqsText], ['nats', natsText]] as const) {
  test(`${engine}: a queue is made only where the text says so, and found by all others`, async () => {
    await assert.rejects(openQueue(text('absent'), around), { code: 'E_QUEUE_MISSING', kind: 'premise' });
    await assert.rejects(openQueue(text('absent', '&create=true'), { ...around, create: false }), { code: 'E_QUEUE_MISSING' });
    await using(text('made', '&create=true'), async (queue) => {
      await queue.send([{ id: 'one', body: 'hello' }]);
      assert.equal(queue.limits.leaseMs, 10_000);
    });
    await using(text('made'), async (queue) => {
      const [delivery] = await queue.receive(1, 5000, now());
      assert.equal(delivery?.body, 'hello');
      await delivery?.ack();
    });
  });

  test(`${engine}: dead letters are explained, sent again and thrown away by the command line`, async () => {
    using folder = tempFolder();
    mkdirSync(join(folder.path, 'journals'));
    const written = await writeJournal(join(folder.path, 'journals'), 2);
    await using(text('letters', '&create=true'), async (queue) => {
      const bodies = [await message(1), await message(4), 'hello'];
      await queue.send(bodies.map((body, i) => ({ id: `m${i}`, body })));
      for (let left = bodies.length; left > 0;) {
        for (const delivery of await queue.receive(10, 5000, now())) {
          await delivery.park(`why “${left--}”`);
        }
      }
    });
    const args = ['dead-letters', '--queue', text('letters'), '--message-key', 'env:BRIGADE_KEY', '--journal', 'journals'];
    const redriven = await brigade(folder.path, [...args, '--redrive', '-o', 'json'], { env: ENV });
    assert.equal(redriven.exit, 0, redriven.err);
    const { letters, done, open, unopened, redrive } = JSON.parse(redriven.out) as Record<string, unknown> & { letters: { reason: string; state: string; deliveries: number }[] };
    assert.deepEqual([done, open, unopened, redrive, letters.length], [1, 1, 1, 1, 3]);
    for (const { reason, deliveries } of letters) assert.deepEqual([/^why “\d”$/.test(reason), deliveries], [true, 1]);
    await using(text('letters'), async (queue) => {
      const [delivery] = await queue.receive(1, 5000, now());
      assert.equal(delivery?.body, await message(4));
      await delivery?.ack();
      assert.equal((await queue.counts()).dead, 2);
    });
    await written.close();
  });

  test(`${engine}: doctor says how it is set up, sends nothing, and makes nothing`, async () => {
    using folder = tempFolder();
    folder.write('from/a', 'a');
    mkdirSync(join(folder.path, 'to'));
    const file = folder.write('pair.yml', 'name: pair\nsource: from\ndestination: to\n');
    const examine = async (queue: string): Promise<Map<string, string>> => {
      const { out, err } = await brigade(folder.path, ['doctor', file, '--queue', queue, '--message-key', 'env:BRIGADE_KEY', '-o', 'json'], { env: ENV });
      const { checks } = JSON.parse(out === '' ? err : out) as { checks: { name: string; status: string; message: string }[] };
      return new Map(checks.map(({ name, status, message: says }) => [name, `${status} ${says}`]));
    };
    await using(text('examined', '&create=true'), async (queue) => {
      const found = await examine(text('examined'));
      assert.match(found.get('queue: reach') ?? '', /^OK .*examined; messages up to 254\.0 KiB, parked after 100 deliveries$/);
      assert.match(found.get('queue: lease') ?? '', /^OK 10 s, prolonged every 3/);
      assert.match(found.get('queue: messages') ?? '', /^OK about 0 waiting/);
      assert.deepEqual(await queue.counts(), { waiting: 0, inFlight: 0, delayed: 0, dead: 0 });
    });
    assert.match((await examine(text('unmade', '&create=true'))).get('queue: reach') ?? '', /^FAIL/);
    await assert.rejects(openQueue(text('unmade'), around), { code: 'E_QUEUE_MISSING' });
  });
}

test('sqs: a queue by its URL, of a server that is not AWS', async () => {
  await using(sqsText('by-url', '&create=true'), async (queue) => {
    await using(`${queue.describe.replace(/^sqs:https?:\/\/[^/]+/, `sqs:${moto.endpoint}`)}?region=us-east-1&credentials=env:FLEET`, async (same) => {
      await same.send([{ id: 'x', body: 'through the URL' }]);
      assert.equal((await queue.receive(1, 5000, now()))[0]?.body, 'through the URL');
      assert.equal((await same.deadLetters(1)).length, 0);
    });
  });
});

async function eventually(work: () => Promise<void>): Promise<void> {
  for (let tries = 1; ; tries++) {
    try {
      await work();
      return;
    } catch (thrown) {
      if (tries >= 50) throw thrown;
      await sleep(100);
    }
  }
}

test('D7: a password that arrives late is told meanwhile as refused, and the connection comes back with it', async () => {
  using folder = tempFolder();
  const file = join(folder.path, 'password');
  const put = (password: string): void => { writeFileSync(file, password); chmodSync(file, 0o600); };
  put('right');
  await using(`nats:rotated@${nats.endpoint}?user=brigade&password=file:${file}&create=true`, async (queue) => {
    put('the one to come');
    await nats.crash();
    await nats.restart();
    for (let refused = 0; refused < 4;) refused += await queue.receive(1, 300, now()).then(() => 0, (error: Error & { code?: string }) => { assert.equal(error.code, 'E_CREDENTIALS'); return 1; });
    put('right');
    // What is sent while it is refused may be lost with that connection; that is told, and the same id stores it once.
    await eventually(async () => { assert.equal((await queue.send([{ id: 'x', body: 'x' }]))[0]?.error, undefined); });
    assert.equal((await queue.receive(1, 3000, now()))[0]?.body, 'x');
  });
});
