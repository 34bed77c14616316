/** Bad weather in the middle of a run: throttling, an outage, expired credentials, a full store. Nothing fails, nothing is lost. */
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { startGate, type Gate } from '../chaos/gate.ts';
import { claimOf, endsWithin } from '../chaos/product.ts';
import { openSite, type Site } from '../chaos/site.ts';

const PATIENCE_MS = 90_000;

/** Everything arrived, nothing failed, and no object needed a second try. */
async function assertUnharmed(site: Site): Promise<void> {
  const claim = await claimOf(site.migration);
  assert.equal(claim.tally.failed.objects, 0, site.log);
  assert.deepEqual(claim.attempts, { 1: site.objects });
  assert.deepEqual(await site.differing(), []);
}

test('F081: three seconds of 503 SlowDown fail no object and burn no attempt', async () => {
  await using site = await openSite();
  const run = site.run();
  await site.until(60);
  let refused = 0;
  site.hook = () => {
    refused++;
    return { code: 'SlowDown' };
  };
  await sleep(3000);
  site.hook = undefined;
  const { code } = await endsWithin(run, site.migration, PATIENCE_MS);
  assert.equal(code, 0, site.log);
  assert.ok(refused > 0, 'the storm came too late');
  assert.ok(refused < 1000, `${refused} requests in 3 s of SlowDown`);
  await assertUnharmed(site);
});

test('F085: an endpoint that is unreachable in the middle of a run is waited for', async () => {
  let gate: Gate | undefined;
  await using site = await openSite({ through: async (url) => (gate = await startGate(url)).url });
  assert.ok(gate !== undefined);
  try {
    const run = site.run();
    await site.until(60);
    await gate.shut();
    await sleep(4000);
    assert.equal(run.state(), undefined, site.log);
    const before = site.written;
    await gate.open();
    const { code } = await endsWithin(run, site.migration, PATIENCE_MS);
    assert.equal(code, 0, site.log);
    assert.ok(before < site.objects, 'the outage came too late');
    await assertUnharmed(site);
  } finally {
    await gate.close();
  }
});

/** Two sets of temporary credentials; the file holds the first. */
async function openWithTokens(): Promise<Site> {
  const site = await openSite({ credentials: 'file:./keys.json' });
  site.keys.splice(0, 1, { id: 'AKIAFIRST', secret: 'chaos-secret', sessionToken: 'FIRST' }, { id: 'AKIASECOND', secret: 'chaos-secret', sessionToken: 'SECOND' });
  writeKeys(site, 'FIRST');
  return site;
}

const writeKeys = (site: Site, which: string): void =>
  writeFileSync(join(site.dir, 'keys.json'), JSON.stringify({ access_key_id: `AKIA${which}`, secret_access_key: 'chaos-secret', session_token: which }), { mode: 0o600 });

/** From now on the first set is answered as STS says of a session that has ended. */
const expireFirst = (site: Site): void => {
  site.hook = ({ accessKey }) => (accessKey === 'AKIAFIRST' ? { code: 'ExpiredToken' } : undefined);
};

test('F082: a token that expires is read again where it comes from, and the run goes on', async () => {
  await using site = await openWithTokens();
  const run = site.run();
  await site.until(60);
  writeKeys(site, 'SECOND');
  expireFirst(site);
  const before = site.written;
  const { code } = await endsWithin(run, site.migration, PATIENCE_MS);
  assert.equal(code, 0, site.log);
  assert.ok(before < site.objects, 'the token expired too late');
  await assertUnharmed(site);
});

test('F082: a token that nobody renews pauses the run with one line; the next run goes on', async () => {
  await using site = await openWithTokens();
  const run = site.run();
  await site.until(60);
  expireFirst(site);
  assert.equal((await endsWithin(run, site.migration, PATIENCE_MS)).code, 5, site.log);
  assert.match(site.log, /E_CREDENTIALS/);
  const paused = await claimOf(site.migration);
  assert.equal(paused.tally.failed.objects, 0);
  assert.ok(paused.tally.pending.objects > 0 && paused.tally.copied.objects >= 60);
  writeKeys(site, 'SECOND');
  assert.equal((await endsWithin(site.run(), site.migration, PATIENCE_MS)).code, 0, site.log);
  await assertUnharmed(site);
});

test('F059: a store without space pauses the run; the next run goes on when there is some', async () => {
  await using site = await openSite();
  const run = site.run();
  await site.until(60);
  site.hook = ({ operation }) => (operation === 'PutObject' ? { status: 507, body: '<Error><Code>QuotaExceeded</Code><Message>no space</Message></Error>', headers: { 'content-type': 'application/xml' } } : undefined);
  assert.equal((await endsWithin(run, site.migration, PATIENCE_MS)).code, 5, site.log);
  assert.match(site.log, /E_DISK_FULL/);
  assert.equal((await claimOf(site.migration)).tally.failed.objects, 0);
  site.hook = undefined;
  assert.equal((await endsWithin(site.run(), site.migration, PATIENCE_MS)).code, 0, site.log);
  await assertUnharmed(site);
});
