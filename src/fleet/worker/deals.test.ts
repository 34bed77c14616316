import assert from 'node:assert/strict';
import { test } from 'node:test';
import { simulatedClock } from '../../telemetry/clock.ts'; // eslint-disable-line import-x/no-restricted-paths -- only tests come here: the fleet knows no driver
import { Deals } from './deals.ts';

test('of a span that is helped with one part is on its way, however many parts of objects of its own wait', async () => {
  const deals = new Deals(simulatedClock());
  const stop = new AbortController();
  const deal = (id: string, own: boolean): Promise<void> =>
    deals.deal({ task: 1, upload: { key: id, id, size: 8, partSize: 1 }, pin: { token: 't' }, algorithm: 'crc32c', numbers: [1, 2, 3, 4, 5, 6, 7, 8], perHolder: 8, own }, stop.signal).catch(() => undefined);
  const all = [deal('own', true), deal('helped', false)];
  const ranges = [...await deals.receive(4, stop.signal)];
  const helped = (): typeof ranges => ranges.filter(({ upload }) => upload.id === 'helped');
  assert.equal(helped().length, 1);
  deals.end(helped()[0] as (typeof ranges)[number]);
  ranges.push(...await deals.receive(1, stop.signal));
  assert.equal(helped().length, 2, 'the next one follows');
  stop.abort();
  for (const range of ranges) deals.end(range);
  await Promise.all(all);
});
