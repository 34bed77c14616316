import assert from 'node:assert/strict';
import { test, type TestContext } from 'node:test';
import { hurried, until } from '../../fleet/coordinator/ground.test-kit.ts';
import { type PlayedMetadata, playMetadata } from './metadata.test-kit.ts';
import { type NoticeMode, watchForNotice } from './notice.ts';

const SPOT = 'spot/instance-action';
const LIFECYCLE = 'autoscaling/target-lifecycle-state';

function watched(t: TestContext, played: Pick<PlayedMetadata, 'endpoint'> | undefined, { mode = 'auto' as NoticeMode, env = {}, isEc2 = false } = {}) {
  const said: string[] = [];
  const endpoint = played === undefined ? {} : { AWS_EC2_METADATA_SERVICE_ENDPOINT: played.endpoint };
  const notice = watchForNotice({ mode, env: { ...endpoint, ...env }, clock: hurried(100), say: (text) => { said.push(text); }, isEc2: () => isEc2, patienceMs: 60_000 });
  t.after(() => notice.end());
  return { notice, said };
}

test('the notice of a spot machine drains in the time that is left, by the clock of who gave it', async (t) => {
  const played = await playMetadata(t);
  played.aheadMs = 3_600_000;
  const { notice, said } = watched(t, played);
  await until(() => played.asked.filter((one) => one.endsWith(SPOT)).length >= 3);
  assert.equal(notice.signal.aborted, false);
  played.says.set(SPOT, JSON.stringify({ action: 'terminate', time: new Date(Date.now() + played.aheadMs + 120_000).toISOString() }));
  await until(() => notice.signal.aborted);
  assert.ok(notice.drainMs !== undefined && notice.drainMs > 60_000 && notice.drainMs <= 101_000, String(notice.drainMs));
  assert.match(said.join(), /^this spot machine is taken back at \d\d:\d\d:\d\dZ \(terminate\): what is in flight may finish within 1 min \d+ s, the rest goes to others$/);
});

test('an Auto Scaling group that ends the machine is heard, too; how long it waits it does not say', async (t) => {
  const played = await playMetadata(t);
  const { notice, said } = watched(t, played);
  await until(() => played.asked.length >= 5);
  assert.equal(notice.signal.aborted, false, 'in service');
  played.says.set(LIFECYCLE, 'Warmed:Terminated');
  await until(() => notice.signal.aborted);
  assert.equal(notice.drainMs, undefined);
  assert.match(said.join(), /Auto Scaling group .*Warmed:Terminated.*what is in flight may finish, the rest/);
});

test('a token whose time is over is asked for anew; a notice that cannot be read is one all the same', async (t) => {
  const played = await playMetadata(t);
  const { notice } = watched(t, played);
  await until(() => played.asked.length >= 3);
  played.expireToken();
  played.says.set(SPOT, 'soon');
  await until(() => notice.signal.aborted);
  assert.equal(played.asked.filter((one) => one.startsWith('PUT')).length, 2);
  assert.equal(notice.drainMs, undefined);
});

test('nobody is asked where AWS_EC2_METADATA_DISABLED says so, nor on another machine, nor when it is off', async (t) => {
  const played = await playMetadata(t);
  watched(t, played, { mode: 'on', env: { AWS_EC2_METADATA_DISABLED: 'true' } });
  watched(t, played, { mode: 'off', isEc2: true });
  // Nothing says that this is EC2: ends by itself, though nothing was answered.
  await watched(t, undefined).notice.end();
  await new Promise((resolve) => setTimeout(resolve, 200));
  assert.deepEqual(played.asked, []);
  assert.throws(() => watched(t, { endpoint: 'metadata' }), { code: 'E_USAGE' });
});

test('where no metadata service answers at the start: auto is over with it, on says so once and goes on asking', async (t) => {
  // Answers, as something else than that.
  const played = await playMetadata(t);
  const nowhere = { endpoint: `${played.endpoint}/elsewhere` };
  const auto = watched(t, nowhere);
  const on = watched(t, nowhere, { mode: 'on' });
  await until(() => played.asked.length >= 6);
  assert.equal(auto.said.length, 0);
  assert.deepEqual(on.said.map((text) => text.replace(/http\S+/, 'URL')), ['no notice can be heard before this machine is taken back: URL gives no token (401)']);
  await auto.notice.end();
  assert.equal(on.notice.signal.aborted, false);
});
