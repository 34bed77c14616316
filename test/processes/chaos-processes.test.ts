/** Processes that die, freeze and wake: one writer at a time (I13), and every run ends in the state of the undisturbed one (I4). */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { Killer, noKills, total } from '../chaos/killer.ts';
import { claimOf, endsWithin, kill } from '../chaos/product.ts';
import { openSite, type Site } from '../chaos/site.ts';

const PATIENCE_MS = 90_000;

async function assertWhole(site: Site): Promise<void> {
  const { tally, finished } = await claimOf(site.migration);
  assert.equal(finished, true);
  assert.deepEqual({ copied: tally.copied.objects + tally.unchanged.objects, failed: tally.failed.objects, pending: tally.pending.objects }, { copied: site.objects, failed: 0, pending: 0 });
  assert.deepEqual(await site.differing(), []);
}

test('F106: a second coordinator is refused, whether the first works or is frozen', async () => {
  await using site = await openSite();
  // The first must not be done before the others have even started.
  const later = Promise.withResolvers<undefined>();
  const first = site.run();
  await site.until(30);
  site.hook = ({ key }) => (key.startsWith('dir-4/') ? later.promise : undefined);
  const second = await endsWithin(site.run(), site.migration, PATIENCE_MS);
  assert.equal(second.code, 2, site.log);
  assert.match(site.log, new RegExp(`another coordinator \\(pid ${first.pid},.*\\[E_LOCKED_RUN\\]`));
  kill(first.pid, 'SIGSTOP');
  const third = await endsWithin(site.run(), site.migration, PATIENCE_MS);
  assert.equal(third.code, 2, site.log);
  kill(first.pid, 'SIGCONT');
  later.resolve(undefined);
  assert.equal((await endsWithin(first, site.migration, PATIENCE_MS)).code, 0, site.log);
  await assertWhole(site);
});

test('F107: an executor that is killed, or frozen for a while, takes nothing with it', async () => {
  await using site = await openSite();
  const run = site.run();
  await site.until(30);
  const [victim = 0, sleeper = 0] = run.executors();
  assert.ok(kill(victim, 'SIGKILL') && kill(sleeper, 'SIGSTOP'));
  await site.until(60);
  await sleep(1000);
  assert.ok(kill(sleeper, 'SIGCONT'));
  assert.equal((await endsWithin(run, site.migration, PATIENCE_MS)).code, 0, site.log);
  await assertWhole(site);
});

/** Long enough for an executor to start on a busy machine. */
const SILENCE_MS = 12_000;

test('I13: an executor frozen beyond the limit of silence is ended; when it would wake, its work is done by others', async () => {
  // More than the other one does within that time: it may be frozen before it was given anything.
  await using site = await openSite({ objects: 3000 });
  const run = site.runImpatiently(SILENCE_MS);
  await site.until(30);
  const [sleeper = 0] = run.executors();
  assert.ok(kill(sleeper, 'SIGSTOP'));
  const { code } = await endsWithin(run, site.migration, PATIENCE_MS);
  assert.equal(code, 0, site.log);
  assert.match(site.log, /an executor ended \(SIGKILL\); its tasks go to another one/);
  assert.equal(kill(sleeper, 'SIGCONT'), false, 'it is gone');
  await assertWhole(site);
});

test('I13: a coordinator that was frozen beyond the limit does not take its executors for frozen', async () => {
  await using site = await openSite({ objects: 300 });
  const run = site.runImpatiently(SILENCE_MS);
  await site.until(30);
  const before = run.executors();
  assert.ok(kill(run.pid, 'SIGSTOP'));
  await sleep(1.5 * SILENCE_MS);
  assert.ok(kill(run.pid, 'SIGCONT'));
  await sleep(500);
  assert.deepEqual(run.executors(), before);
  assert.equal((await endsWithin(run, site.migration, PATIENCE_MS)).code, 0, site.log);
  await assertWhole(site);
});

test('I4: eight kills at random instants, and the run ends as if there had been none', async () => {
  await using site = await openSite({ objects: 600 });
  const kills = noKills();
  const code = await new Killer(site.migration, { seed: 20_261_121, pace: { leastMs: 50, mostMs: 400 }, kills, moved: () => site.written }).run(8);
  assert.equal(code, 0, site.log);
  assert.equal(total(kills), 8);
  await assertWhole(site);
});
