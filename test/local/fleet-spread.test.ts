/** One object over many workers of a fleet: whose work it is, who helps, and what becomes of it when they die. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createMemoryStore, type MemoryStore } from '../../src/stores/memory/index.ts';
import { FleetGround, tapped } from './fleet-ground.ts';

const PART = 1000;
const PARTS = 60;
const PARTS_OF_SPAN = 5;

function sourceWith(parts: number): MemoryStore {
  const source = createMemoryStore({ name: 'source' });
  source.put('big', Buffer.from(Array.from({ length: parts * PART - 7 }, (_, i) => (i * 31 + (i >> 8)) % 251)));
  return source;
}

interface Put { readonly worker: string; readonly number: number }

/** Each part takes a second. */
async function scene(t: Parameters<typeof FleetGround.open>[0], { slowMs = 1000, parts = PARTS, leaseMs = 6000 } = {}): Promise<{ readonly ground: FleetGround; readonly source: MemoryStore; readonly puts: Put[]; readonly by: () => Map<string, number> }> {
  const source = sourceWith(parts);
  const ground = await FleetGround.open(t, { source, leaseMs, parts: { partSize: PART, span: PARTS_OF_SPAN * PART } });
  const puts: Put[] = [];
  ground.between((store, worker) => tapped(store, async (call, argument) => {
    if (call !== 'putPart') return;
    await ground.clock.sleep(slowMs);
    puts.push({ worker, number: argument as number });
  }));
  return { ground, source, puts, by: () => puts.reduce((sum, { worker }) => sum.set(worker, (sum.get(worker) ?? 0) + 1), new Map<string, number>()) };
}

async function assertWhole(ground: FleetGround, source: MemoryStore): Promise<void> {
  const destination = ground.destination as MemoryStore;
  assert.ok(destination.bytes('big')?.equals(source.bytes('big') as Buffer) === true);
  for await (const open of destination.multipart?.listUploads() ?? []) assert.fail(`upload ${open.id} is open`);
  const ledger = await ground.ledger();
  assert.equal(ledger.tally(1).copied.objects, 1);
  assert.equal(ledger.item(1, 'big')?.checksum?.algorithm, 'crc32');
  assert.deepEqual(ledger.openUploads(), []);
}

test('five workers send one object together, each part once, and nearly as fast as five', async (t) => {
  const { ground, source, puts, by } = await scene(t);
  const tasks = await ground.plan(1);
  for (const name of ['a', 'b', 'c', 'd', 'e']) ground.worker(name);
  await ground.pass(1000);
  const began = ground.clock.monotonic();
  await ground.send(tasks);
  await ground.until(() => ground.closed(tasks));
  const seconds = (ground.clock.monotonic() - began) / 1000;
  await ground.until(() => ground.left() === 0);
  await assertWhole(ground, source);
  assert.equal(puts.length, PARTS);
  assert.equal(new Set(puts.map(({ number }) => number)).size, PARTS);
  assert.equal(by().size, 5, JSON.stringify([...by()]));
  // Alone, with four lanes, it would have taken fifteen.
  assert.ok(seconds < 8, `${seconds} s`);
  assert.deepEqual(ground.notes(), []);
});
