/* eslint-disable import-x/no-restricted-paths -- a real journal: the fleet itself knows none */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Outcome } from '../../core/item.ts';
import { openJournal } from '../../journal/index.ts';
import { faulty } from '../../stores/decorators/faulty.ts';
import { createMemoryStore } from '../../stores/memory/index.ts';
import { simulatedClock } from '../../telemetry/clock.ts';
import { seededRandom } from '../../telemetry/random.ts';
import { Known } from './known.ts';
import { FleetRecorder } from './recorder.ts';

const NAME = { epoch: 1, seq: 0, task: 0 };

function recorderOn(store: Parameters<typeof openJournal>[0]['store'], worker: string) {
  const clock = simulatedClock();
  const journal = openJournal({ store, clock, random: seededRandom(worker) });
  return { journal, recorder: new FleetRecorder({ journal: () => journal, worker, clock }) };
}

test('each report of a task costs one write, however many came before it, also of others who were looked up', async () => {
  const store = faulty(createMemoryStore(), { faults: [], random: seededRandom(1), clock: simulatedClock() });
  for (const [at, worker] of ['a', 'b'].entries()) {
    const { journal, recorder } = recorderOn(store, worker);
    const known = new Known(NAME, 0);
    await known.catchUp(journal);
    recorder.open(1, known, { again: true });
    const before = store.requests.write ?? 0;
    for (let n = 0; n < 20; n++) await recorder.recordUpload(1, { key: 'k', id: `${worker}${n}`, size: 8, partSize: 4 }, 's');
    assert.equal((store.requests.write ?? 0) - before, 20);
    assert.equal((await journal.readReport({ work: NAME, nth: at * 20 + 19 }))?.report?.worker, worker);
  }
});

test('F094: a report whose write failed takes the same place when it is tried again', async () => {
  const store = faulty(createMemoryStore(), { faults: [{ ops: ['write'], times: 4, effect: { kind: 'throw', error: 'transient' } }], random: seededRandom(1), clock: simulatedClock() });
  const { journal, recorder } = recorderOn(store, 'a');
  recorder.open(1, new Known(NAME, 0), { again: false });
  const upload = { key: 'k', id: 'u', size: 8, partSize: 4 };
  await assert.rejects(recorder.recordUpload(1, upload, 's'));
  await recorder.giveBack(1);
  assert.deepEqual((await journal.readReport({ work: NAME, nth: 0 }))?.report?.uploads, [{ upload, sourceToken: 's' }]);
  assert.equal(await journal.readReport({ work: NAME, nth: 1 }), undefined);
});

test('a report tells of objects in the order of their keys, whatever the order in which they ended; of one object in that order', async () => {
  const { journal, recorder } = recorderOn(createMemoryStore(), 'a');
  recorder.open(1, new Known(NAME, 0), { again: false });
  const outcome = (key: string, attempts: number): Outcome => ({ key, state: 'copied', destination: 't', evidence: 'none', attempts, bytesSent: 1, ms: 1 });
  await recorder.record(1, [outcome('c', 0), outcome('\u{1f600}', 0), outcome('a', 1)], false);
  await recorder.record(1, [outcome('\ue000', 0), outcome('a', 0), outcome('b', 0)], true);
  const { report } = await journal.readReport({ work: NAME, nth: 0 }) ?? {};
  assert.deepEqual(report?.outcomes.map(({ key, attempts }) => [key, attempts]), [['a', 1], ['a', 0], ['b', 0], ['c', 0], ['\ue000', 0], ['\u{1f600}', 0]]);
});

test('objects of one task that ask at once for what is known of it pass over no report', async () => {
  const store = createMemoryStore();
  const { journal, recorder } = recorderOn(store, 'a');
  const told = Array.from({ length: 5 }, (_, n) => ({ upload: { key: 'k', id: `u${n}`, size: 8, partSize: 4 }, sourceToken: 's' }));
  for (const upload of told) await journal.report(NAME, { worker: 'b', outcomes: [], close: false, parts: [], uploads: [upload] });
  recorder.open(1, new Known(NAME, 0), { again: true });
  for (const uploads of await Promise.all([1, 2, 3].map(() => recorder.uploads(1)))) assert.deepEqual(uploads.map(({ upload }) => upload.id), ['u0', 'u1', 'u2', 'u3', 'u4']);
  await recorder.record(1, [], true);
  assert.equal((await journal.readReport({ work: NAME, nth: 5 }))?.report?.close, true);
});
