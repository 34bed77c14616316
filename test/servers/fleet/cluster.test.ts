/** I1 I14 F101: three nats-servers keep the queue; the one that leads its stream is killed in the middle of a run. */
import assert from 'node:assert/strict';
import { mkdirSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { jetstreamManager } from '@nats-io/jetstream';
import { connect } from '@nats-io/transport-node';
import { type Place, seedSource } from '../../chaos/judge.ts';
import { type NatsCluster, startNatsCluster } from '../harness/index.ts';
import { FleetSite, scratch, until } from './site.ts';

const QUEUE = 'three';
const OBJECTS = 1500;

/** What one that still answers says of the queue. */
async function streamAt({ nodes }: NatsCluster, without: readonly string[] = []) {
  const connection = await connect({ servers: nodes.filter(({ name }) => !without.includes(name)).map(({ endpoint }) => endpoint) });
  try {
    const { cluster, config, state } = await (await jetstreamManager(connection)).streams.info(QUEUE);
    return { leader: cluster?.leader, followers: cluster?.replicas ?? [], replicas: config.num_replicas, messages: state.messages };
  } finally {
    await connection.close();
  }
}

test('I1 I14 F101: the leader of the queue is killed in the middle of a run: it goes on with the other two, and nothing is lost', async (t) => {
  await using nats = await startNatsCluster();
  const dir = scratch();
  const [source, destination]: Place[] = [{ kind: 'folder', path: join(dir, 'source') }, { kind: 'folder', path: join(dir, 'destination') }];
  await seedSource(source as Place, { seed: 3, objects: OBJECTS, large: 0 });
  mkdirSync(join(dir, 'destination'));
  const copied = (): number => readdirSync(join(dir, 'destination'), { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile()).length;
  await using site = new FleetSite(dir, {
    source: source as Place, destination: destination as Place, queue: `nats:${QUEUE}@${nats.nodes.map(({ endpoint }) => endpoint).join(',')}?create=true&lease=5s`,
    options: { batch: { objects: 10 }, limits: { bandwidth: '3 MiB/s' }, transfer: { multipart_threshold: '64 MiB' } },
  });
  for (let i = 0; i < 3; i++) site.worker();
  const coordinator = site.coordinator();
  await until('a part of it is copied', () => coordinator.over() || copied() > OBJECTS / 10);
  const before = await streamAt(nats);
  assert.equal(before.replicas, 3);
  const killed = nats.nodes.find(({ name }) => name === before.leader);
  assert.ok(killed !== undefined, `the leader is ${before.leader}`);
  const then = copied();
  assert.ok(!coordinator.over() && then < OBJECTS, 'it was killed in the middle');
  await killed.crash();
  await until('the other two go on', () => copied() > Math.min(OBJECTS - 1, then + OBJECTS / 10));
  let next: string | undefined;
  await until('another one leads', async () => {
    next = await streamAt(nats, [killed.name]).then(({ leader }) => leader, () => undefined); // who asks while they choose gets no answer
    return next !== undefined && next !== killed.name;
  });
  t.diagnostic(`${killed.name} led and was killed at ${then} objects, ${next} leads at ${copied()}`);
  await killed.restart();
  await site.succeeds(coordinator);
  const { claim, violations } = await site.judge(source as Place, destination as Place);
  assert.deepEqual([violations, claim.tally.failed.objects, claim.tally.copied.objects, claim.finished], [[], 0, OBJECTS, true], site.log());
  assert.equal((await streamAt(nats)).messages, 0, 'what is done is not in the queue');
});
