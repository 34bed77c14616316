/**
 * Whole migrations while one named fault is in force at both ends, by chance and from a seed: whatever happens, what is told is true, nothing
 * wrong stands at the destination, and once the fault is gone the same migration ends with every object in its place.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { KiB, MiB } from '../../src/core/units.ts';
import { type FaultOrder, NAMED_FAULTS, ruleOf } from '../../src/faults/catalogue.ts';
import { type Ended, Lab } from '../local/failures-lab.ts';

const COUNT = 60;
const MORE = 'verify: full\ntransfer: { server_side_copy: never, multipart_threshold: 1 MiB, part_size: 5 MiB }';
const BIG = Buffer.alloc(11 * MiB, 'abcdefg');

interface Row {
  readonly rows: string;
  readonly order?: Partial<FaultOrder>;
  /** Exit codes that are right while the fault is there. */
  readonly exits: readonly number[];
  /** Wrong bytes that `verify: full` has told of are told, not silent. */
  readonly told?: true;
}

const ROWS: Readonly<Record<string, Row>> = {
  '503-storm': { rows: 'F081', order: { probability: 0.3 }, exits: [0] },
  'server-error': { rows: 'F085', order: { probability: 0.2 }, exits: [0] },
  latency: { rows: 'F002', order: { amount: 3 }, exits: [0] },
  'slow-body': { rows: 'F002', order: { probability: 0.1, amount: 200 }, exits: [0] },
  'stalled-body': { rows: 'F002', order: { probability: 0.1, amount: 1 }, exits: [0] },
  'cut-body': { rows: 'F001', order: { probability: 0.4, amount: 1 }, exits: [0] },
  reset: { rows: 'F085', order: { probability: 0.15 }, exits: [0] },
  'flip-read': { rows: 'F015', order: { probability: 0.2, bucket: 'from' }, exits: [0, 3], told: true },
  'flip-write': { rows: 'F015', order: { probability: 0.3 }, exits: [0] },
  'expired-token': { rows: 'F082', order: { after: 40 }, exits: [5] },
  'clock-skew': { rows: 'F083', order: { amount: 120 }, exits: [0] },
  'missing-bucket': { rows: 'F089', order: { bucket: 'dest', after: 30 }, exits: [5] },
  denied: { rows: 'F066', order: { prefix: 'k0001', bucket: 'dest' }, exits: [1] },
  'empty-listing': { rows: 'F005', order: { bucket: 'from' }, exits: [5] },
  'html-listing': { rows: 'F006', order: { bucket: 'from' }, exits: [5] },
  'repeated-token': { rows: 'F008', exits: [0] },
  'lost-complete': { rows: 'F010', exits: [0] },
  'rate-limit': { rows: 'F081', order: { amount: 40 }, exits: [0] },
};

test('every named fault is met here', () => {
  assert.deepEqual(Object.keys(ROWS), NAMED_FAULTS.map(({ name }) => name));
});

function assertTrue(lab: Lab, ended: Ended, told: boolean): void {
  const { tally } = ended;
  assert.equal(tally.copied.objects + tally.unchanged.objects + tally.skipped.objects + tally.failed.objects + tally.pending.objects, tally.listed.objects, 'the account adds up');
  const wrong = lab.keys('dest').filter((key) => !lab.bytes('dest', key)?.equals(lab.bytes('from', key) ?? Buffer.alloc(0)));
  // The reads of verify meet the fault too: it may find more than is wrong, never less.
  assert.ok(told ? (ended.findings ?? 0) >= wrong.length : wrong.length === 0, `wrong: ${wrong.join(' ')}; found: ${ended.findings ?? 0}`);
  for (const [key, row] of ended.rows) if (row.state === 'copied') assert.ok(lab.bytes('dest', key) !== undefined, `${key} is told as copied`);
}

for (const [kind, { rows, order = {}, exits, told }] of Object.entries(ROWS)) {
  test(`${rows}: ${kind} at both ends of a whole migration: nothing untrue is told, and it ends well once that is over`, { timeout: 60_000 }, async () => {
    const lab = await Lab.open({ rules: [ruleOf({ name: kind, kind, seed: 5, ...order }, performance.timeOrigin + performance.now())], limits: { minPartBytes: 1, maxSkewMs: Infinity } });
    for (let n = 0; n < COUNT; n++) await lab.put(`k${String(n).padStart(5, '0')}`, Buffer.alloc(4 * KiB + n, `content ${n} `));
    await lab.put('big', BIG);
    const ended = await lab.run({ more: MORE });
    assert.ok(exits.includes(ended.exit), `exit ${ended.exit}: ${ended.pause?.code ?? ''} ${ended.pause?.message ?? ''} ${JSON.stringify([...ended.rows.values()].find(({ problem }) => problem !== undefined)?.problem ?? {})}`);
    assertTrue(lab, ended, told === true);
    if (kind !== 'repeated-token') assert.ok(lab.proxy.counter(kind).fired > 0, 'it was met');
    if (ended.exit === 3) return; // what verify found is for a person to decide
    lab.calmDown();
    // A paused run goes on; failed objects are planned again by the next one.
    const again = ended.exit === 0 ? ended : await lab.run({ more: MORE });
    assert.deepEqual([again.exit, again.tally.failed.objects, again.tally.pending.objects], [0, 0, 0]);
    assertTrue(lab, again, false);
    assert.equal(lab.keys('dest').length, COUNT + 1);
    lab.assertClean();
  });
}
