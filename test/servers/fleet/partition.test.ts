/**
 * I1 I2 I3 I14 F095: a worker in a network of its own is cut off for several leases, from queue and journal while it still reaches the stores, or from the
 * stores alone; nothing tells it, packets are just lost. Then the network is mended, and the other worker leaves: the rest is done by the one that was away.
 */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { MiB } from '../../../src/core/units.ts';
import { bucketAt, makeBucket, type Place, seedSource } from '../../chaos/judge.ts';
import { type Link, type Network, type Server, startNats, startNetwork, startVersitygw } from '../harness/index.ts';
import { type Relay, startRelay } from '../queues/relay.ts';
import { FleetSite, scratch, until } from './site.ts';

const OBJECTS = 1000;
const LEASE_MS = 4000;
/** So long it is away. */
const LEASES = 5;

interface Ground extends AsyncDisposable {
  readonly site: FleetSite;
  readonly network: Network;
  readonly source: Place;
  readonly destination: Place;
  /** Bytes that the worker in the network sent to the stores. */
  readonly sent: () => number;
}

async function ground(): Promise<Ground> {
  const network = await startNetwork(2);
  const [stores, journals, nats] = await Promise.all([startVersitygw({ versioning: true }), startVersitygw(), startNats()]);
  const [talk, data] = network.links as [Link, Link];
  const relays: Relay[] = [];
  const at = async (link: Link, server: Pick<Server, 'endpoint'>): Promise<string> => {
    const { protocol, port } = new URL(server.endpoint);
    const relay = await startRelay(Number(port), link.address);
    relays.push(relay);
    return `${protocol}//${link.address}:${relay.port}`;
  };
  const [source, destination] = [bucketAt(stores, 'source'), bucketAt(stores, 'destination', true)];
  await seedSource(source, { seed: 5, objects: OBJECTS, large: 40 * MiB });
  await makeBucket(destination);
  await makeBucket(bucketAt(journals, 'journal'));
  const endpoint = await at(data, stores);
  const site = new FleetSite(scratch(), {
    source, destination, sourceEndpoint: endpoint, destinationEndpoint: endpoint,
    queue: `nats:parted@${await at(talk, nats)}?create=true&lease=${LEASE_MS / 1000}s`, journal: `s3://journal/?endpoint=${await at(talk, journals)}&region=${journals.region}&credentials=env:CHAOS`,
    options: { batch: { objects: 10 }, limits: { requests: '60/s' }, transfer: { multipart_threshold: 16 * MiB, part_size: 8 * MiB, stall_timeout: '5s', server_side_copy: 'never' } },
  });
  return {
    site, network, source, destination, sent: () => data.sent(),
    async [Symbol.asyncDispose]() {
      await site[Symbol.asyncDispose]();
      await Promise.all(relays.map((relay) => relay.cut()));
      await network[Symbol.asyncDispose]();
      await Promise.all([stores.stop(), journals.stop(), nats.stop()]);
    },
  };
}

/** Which of the two links. */
const CUTS = { 'queue and journal, not from the stores': 0, 'the stores alone': 1 };

describe('a worker that is cut off', { concurrency: 2 }, () => {
  for (const [from, which] of Object.entries(CUTS)) {
    test(`I1 I3 I14 F095: from ${from}: nothing is lost, torn, repeated or failed, and it goes on when the network is mended`, async () => {
      await using at = await ground();
      const { site, network, source, destination, sent } = at;
      const away = site.worker(...network.within);
      const coordinator = site.coordinator();
      await until('it copies', () => coordinator.over() || sent() > 2 * MiB);
      const other = site.worker();
      const link = network.links[which] as Link;
      await link.cut();
      await sleep(LEASES * LEASE_MS);
      assert.ok(!coordinator.over() && !away.over(), `it was cut off in the middle\n${site.log()}`);
      await link.mend();
      other.signal('SIGTERM');
      const before = sent();
      await site.succeeds(other);
      await until('it copies again', () => sent() > before + MiB);
      await site.succeeds(coordinator);
      away.signal('SIGTERM');
      await site.succeeds(away);
      const { claim, violations, versions } = await site.judge(source, destination);
      assert.deepEqual([violations, versions.extra, claim.tally.failed.objects, claim.tally.copied.objects, claim.finished], [[], 0, 0, OBJECTS + 1, true], site.log());
    });
  }
});
