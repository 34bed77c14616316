// One object that five workers send together: workers and the coordinator are killed in the middle of it.
import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { test } from 'node:test';
import { openJournals } from '../../../src/app/fleet/journal.ts';
import { MiB } from '../../../src/core/units.ts';
import type { Journal, TaskName } from '../../../src/ports/journal.ts';
import { systemClock } from '../../../src/telemetry/clock.ts';
import { systemRandom } from '../../../src/telemetry/random.ts';
import { Fleet, judged } from '../../chaos/fleet.ts';
import { bucketAt, makeBucket, type Place, seedSource } from '../../chaos/judge.ts';
import { type Engine, natsEngine, sqsEngine } from '../../chaos/engine.ts';
import { startVersitygw } from '../harness/index.ts';

const LARGE = 512 * MiB;
const PART = 8 * MiB;
/** A worker has one or two spans of two parts in hand, and tells of what it has sent every five seconds. */
const IN_HAND = 4;

interface Told {
  /** Parts of the current upload that somebody told of. */
  readonly parts: readonly number[];
  readonly workers: ReadonlySet<string>;
  readonly owner: string | undefined;
}

/** The one task that has an upload, and what stands in the logs of its spans. */
async function toldIn(journal: Journal): Promise<Told> {
  let task: TaskName | undefined;
  let owner: string | undefined;
  for await (const { work, report } of journal.reports()) {
    if (report === undefined || (report.uploads ?? []).length === 0) continue;
    task = work;
    owner = report.worker;
  }
  const parts: number[] = [];
  const workers = new Set<string>();
  if (task === undefined) return { parts, workers, owner };
  for await (const { report } of journal.spanReports(task, () => false)) {
    for (const { part } of report?.parts ?? []) parts.push(part.number);
    if ((report?.parts.length ?? 0) > 0) workers.add(report?.worker ?? '');
  }
  return { parts, workers, owner };
}

const ENGINES: Readonly<Record<string, () => Promise<Engine>>> = { nats: natsEngine, sqs: sqsEngine };

for (const [name, start] of Object.entries(ENGINES)) test(`I2 I4 F072 F097: one object over five workers and ${name}; a helper, the coordinator and the owner are killed; it stands whole, nothing is left open, few parts are sent twice`, async (t) => {
  const dir = mkdtempSync(join(tmpdir(), 'brigade-spread-'));
  const [server, engine] = await Promise.all([startVersitygw({ versioning: true }), start()]);
  t.after(async () => {
    await Promise.all([server.stop(), engine.stop()]);
    rmSync(dir, { recursive: true, force: true });
  });
  const source: Place = { kind: 'folder', path: join(dir, 'source') };
  const destination = bucketAt(server, 'destination-0', true);
  await seedSource(source, { seed: 7, objects: 3, large: LARGE });
  await Promise.all([makeBucket(bucketAt(server, 'journal')), makeBucket(destination)]);
  const place = join(dir, 'round-0');
  mkdirSync(place);
  const fleet = new Fleet({ workers: 5 }, place, { server, engine, source, destination });
  const journals = openJournals(fleet.journal, { env: fleet.migration.env, cwd: dir, clock: systemClock(), random: systemRandom() });
  try {
    const look = async (): Promise<Told> => toldIn(await journals.open('chaos', 'read'));
    const reached = async (share: number): Promise<Told> => {
      for (;;) {
        const told = await look();
        if (told.parts.length >= share * LARGE / PART) return told;
        assert.ok(!fleet.coordinator.over(), `the run ended early\n${fleet.logTail()}`);
        await sleep(200);
      }
    };
    const began = performance.now();
    const tell = (what: string): void => t.diagnostic(`${((performance.now() - began) / 1000).toFixed(1)} s: ${what}`);
    const isOwner = (owner: string | undefined, pid: number): boolean => owner?.includes(`-${pid}-`) === true;
    const early = await reached(0.2);
    await fleet.killWorker(fleet.workers.findIndex(({ pid }) => !isOwner(early.owner, pid)));
    tell('a helper is killed');
    await reached(0.4);
    assert.ok(await fleet.killCoordinator());
    tell('the coordinator is killed');
    const late = await reached(0.5);
    const owner = fleet.workers.findIndex(({ pid }) => isOwner(late.owner, pid));
    assert.ok(owner >= 0, `${late.owner} is none of them`);
    await fleet.killWorker(owner);
    tell('the owner is killed');
    const code = await fleet.coordinator.ended;
    tell('the run has ended');
    assert.equal(code, 0, fleet.logTail());
    assert.deepEqual((await judged(fleet, source, destination, dir)).found, []);
    const { parts, workers } = await look();
    const again = parts.length - new Set(parts).size;
    t.diagnostic(`${parts.length} parts told by ${workers.size} workers, ${again} of them again`);
    assert.equal(new Set(parts).size, LARGE / PART);
    assert.ok(workers.size >= 4, [...workers].join());
    assert.ok(again <= 2 * IN_HAND, `${again} parts were sent again`);
  } finally {
    await journals.close();
    await fleet.end();
  }
});
