/**
 * I2 I3 F095: a worker is frozen in the middle of writing, past its lease, while the source is overwritten and another worker copies the new version;
 * then it wakes, and what it had on its way goes on. Where the store has conditional writes, that changes nothing, however late; where it has none, the
 * closing listing finds it, and mends it.
 */
import assert from 'node:assert/strict';
import { mkdirSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { MiB } from '../../../src/core/units.ts';
import { bucketAt, makeBucket, type Place } from '../../chaos/judge.ts';
import { type Server, startNats, startRadosgw, startSeaweedfs, startVersitygw } from '../harness/index.ts';
import { startAgent } from '../harness/agent.ts';
import { holdWrites, type HeldWrites, type Hold } from './held-writes.ts';
import { FleetSite, scratch, until } from './site.ts';

const NAMES = ['half.bin', 'whole.bin', 'parts.bin'];
const SIZES: Readonly<Record<string, number>> = { 'half.bin': 6 * MiB, 'whole.bin': 3 * MiB, 'parts.bin': 20 * MiB };
const HOLDS: readonly Hold[] = [{ path: '/destination/half.bin', takes: 'half' }, { path: '/destination/whole.bin', takes: 'all' }, { path: '/destination/parts.bin', part: 2, takes: 'all' }];

interface Ground extends AsyncDisposable {
  readonly site: FleetSite;
  readonly held: HeldWrites;
  readonly source: Place & { readonly kind: 'folder' };
  readonly destination: Place;
}

/** Each version has a size of its own. In the place of the one before, as `mv` does. */
function write(folder: string, version: number): void {
  for (const name of NAMES) {
    writeFileSync(join(folder, `.${name}`), Buffer.alloc((SIZES[name] ?? 0) + version, `version ${version} of ${name} `));
    renameSync(join(folder, `.${name}`), join(folder, name));
  }
}

async function ground(start: () => Promise<Server>): Promise<Ground> {
  const [server, nats] = await Promise.all([start(), startNats()]);
  const dir = scratch();
  const source = { kind: 'folder', path: join(dir, 'source') } as const;
  mkdirSync(source.path);
  write(source.path, 1);
  for (let i = 0; i < 20; i++) writeFileSync(join(source.path, `other-${i}`), `other ${i}`);
  const destination = bucketAt(server, 'destination');
  await makeBucket(destination);
  const held = await holdWrites(server.endpoint, HOLDS);
  const site = new FleetSite(dir, {
    source, destination, destinationEndpoint: held.url, queue: `nats:frozen@${nats.endpoint}?create=true&lease=4s`,
    options: { batch: { objects: 50 }, transfer: { multipart_threshold: 10 * MiB, part_size: 8 * MiB, stall_timeout: '8s' } },
  });
  return {
    site, held, source, destination,
    async [Symbol.asyncDispose]() {
      await site[Symbol.asyncDispose]();
      await held.close();
      await Promise.all([server.stop(), nats.stop()]);
    },
  };
}

/** A worker that hangs in the middle of three writes is frozen; all three become new ones, which another worker copies. */
async function freeze({ site, held, source }: Ground) {
  const frozen = site.worker();
  const coordinator = site.coordinator();
  await until('the writes are in the middle', () => held.caught || coordinator.over());
  frozen.signal('SIGSTOP');
  write(source.path, 2);
  const other = site.worker();
  // The third is written in three parts.
  await until('another worker has written them', () => coordinator.over() || (held.written('/destination/half.bin') > 0 && held.written('/destination/whole.bin') > 0 && held.written('/destination/parts.bin') >= 3));
  return { frozen, coordinator, other };
}

const CONDITIONAL: Readonly<Record<string, () => Promise<Server>>> = {
  agent: () => startAgent({ layout: 'objects' }),
  versitygw: () => startVersitygw(),
  radosgw: () => startRadosgw(),
};

// They wait more than they work.
describe('a worker that was frozen', { concurrency: 4 }, () => {
  for (const [name, start] of Object.entries(CONDITIONAL)) {
    test(`I3 F095: ${name}, conditional writes: the run ends without it, and nothing changes when it wakes`, async (t) => {
      await using at = await ground(start);
      const { site, held } = at;
      const { frozen, coordinator, other } = await freeze(at);
      await site.succeeds(coordinator);
      frozen.signal('SIGCONT');
      held.release();
      await until('the store has answered the late write', () => held.answers[1] !== undefined);
      t.diagnostic(`late writes were answered ${held.answers.join(', ')}`);
      for (const worker of [frozen, other]) worker.signal('SIGTERM');
      await Promise.all([site.succeeds(frozen), site.succeeds(other)]);
      assert.equal(held.answers[1], 412, 'the late write was sent whole, and refused');
      const { claim, violations } = await site.judge(at.source, at.destination);
      assert.deepEqual([violations, claim.tally.copied.objects, claim.finished], [[], 23, true], site.log());
    });
  }

  test('I1 I2 F095: SeaweedFS, no conditional writes: what it still writes is found by the closing listing, and repaired', async (t) => {
    await using at = await ground(startSeaweedfs);
    const { site, held } = at;
    const { frozen, coordinator, other } = await freeze(at);
    frozen.signal('SIGCONT');
    held.release();
    await until('the store has answered the late write', () => held.answers[1] !== undefined);
    t.diagnostic(`late writes were answered ${held.answers.join(', ')}`);
    await site.succeeds(coordinator);
    for (const worker of [frozen, other]) worker.signal('SIGTERM');
    await Promise.all([site.succeeds(frozen), site.succeeds(other)]);
    assert.equal(held.answers[1], 200, 'the late write stood over the new version');
    assert.match(site.log(), /closing listing: [12] objects at the destination are not what was written; planned again/);
    const { claim, violations } = await site.judge(at.source, at.destination);
    assert.deepEqual([violations, claim.tally.copied.objects, claim.finished], [[], 23, true], site.log());
  });
});
