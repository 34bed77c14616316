/** What is not there when a coordinator or a worker starts: told in one line, and by the exit code that a store would have. */
import assert from 'node:assert/strict';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { hurried } from '../fleet/coordinator/ground.test-kit.ts';
import { openLedger } from '../ledger/sqlite/index.ts';
import { openJournals } from '../app/fleet/journal.ts';
import { seededRandom } from '../telemetry/random.ts';
import { systemClock } from '../telemetry/clock.ts';
import { brigade, tempFolder } from './fixture.test.ts';

const env = { BRIGADE_MESSAGE_KEY: 'k'.repeat(32) };
/** Nobody listens there. */
const NO_QUEUE = 'nats:none@nats://127.0.0.1:1';

function site(): ReturnType<typeof tempFolder> {
  const folder = tempFolder();
  for (const name of ['from', 'to', 'journals']) mkdirSync(join(folder.path, name));
  writeFileSync(join(folder.path, 'from/a'), 'a');
  writeFileSync(join(folder.path, 'pair.yml'), 'source: ./from\ndestination: ./to\n');
  return folder;
}

const missing: readonly (readonly [string, string, string, RegExp])[] = [
  ['a directory of the journal', 'memory:q', 'nowhere', /the directory of the journal is not there.*\[E_NO_ROOT\]/],
  ['a queue', NO_QUEUE, 'journals', /\[E_(?:CONNECT|NETWORK)\]/],
];

for (const [what, queue, journal, line] of missing) {
  test(`${what} that is not there: nothing moved, exit 2; where there is a run to go on with, 5`, async () => {
    using folder = site();
    const command = ['pair.yml', '--queue', queue, '--journal', journal, '--progress', 'none'];
    const first = await brigade(folder.path, ['coordinator', ...command], { env });
    assert.match(first.err, line);
    assert.equal(first.exit, 2);
    const ledger = await openLedger({ path: join(folder.path, '.brigade/pair/ledger.db'), binding: { migration: 'pair', specHash: 'a', source: 's', destination: 'd' }, clock: systemClock(), mode: 'create', holder: { pid: process.pid, host: 'h' } });
    ledger.beginRun('initial');
    await ledger.close();
    const again = await brigade(folder.path, ['coordinator', ...command], { env });
    assert.match(again.err, line);
    assert.equal(again.exit, 5);
  });

  test(`${what} that is not there: a worker ends with 2`, async () => {
    using folder = site();
    const ended = await brigade(folder.path, ['worker', '--queue', queue, '--journal', journal, '--processes', '1'], { env });
    assert.match(ended.err, line);
    assert.equal(ended.exit, 2);
  });
}

test('a run whose every worker is in trouble pauses with what they said, unless it is to wait', async () => {
  using folder = site();
  const journals = openJournals(join(folder.path, 'journals'), { env: {}, cwd: '/', clock: systemClock(), random: seededRandom(1) });
  const journal = await journals.open('pair');
  const stop = new AbortController();
  const beating = (async () => {
    for (let beat = 1; !stop.signal.aborted; beat++) {
      await journal.beat({ worker: 'w', beat, host: 'h', version: '1', tasks: 0, trouble: { code: 'E_CREDENTIALS', message: 'expired' } });
      await systemClock().sleep(100, stop.signal).catch(() => undefined);
    }
  })();
  const ended = await brigade(folder.path, ['coordinator', 'pair.yml', '--queue', 'memory:q', '--journal', 'journals', '--progress', 'none', '--on-pause', 'auto'], { env, clock: hurried(20) });
  stop.abort();
  await beating;
  await journals.close();
  assert.equal(ended.exit, 5, ended.err);
  assert.match(ended.err, /paused: no worker can work: expired \[E_CREDENTIALS\].*\[E_FLEET_TROUBLE\]/);
});
