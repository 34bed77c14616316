import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseBandwidth, parseDuration, parseMoment, parseRequests, parseSize } from './units.ts';

const refused = (parse: (text: string) => unknown, texts: readonly string[]) => {
  for (const text of texts) assert.throws(() => parse(text), { name: 'Problem' }, JSON.stringify(text));
};

test('sizes: powers of 1024 and of 1000 are told apart', () => {
  assert.deepEqual(['0', '4096', '8 MiB', '8MiB', '5MB', '1.5 GiB', '2 TiB', '1kB'].map(parseSize), [0, 4096, 8 * 2 ** 20, 8 * 2 ** 20, 5e6, 1.5 * 2 ** 30, 2 * 2 ** 40, 1000]);
  refused(parseSize, ['', '8 mib', '8M', '8 Mb', '-1', '1e9', '1_000', '8 MiB/s', '0x10', '99999 PiB', '1 . 5 MiB', '٣ MiB']);
});

test('bandwidth: bits and bytes differ by eight, and a bare number is neither', () => {
  assert.deepEqual(['50 Mbit/s', '50 MB/s', '200 MiB/s', '1 Gbit/s', '8 kB/s'].map(parseBandwidth), [6.25e6, 50e6, 200 * 2 ** 20, 125e6, 8000]);
  refused(parseBandwidth, ['', '50', '50 Mb/s', '50 Mbps', '50 MiB', '0 MB/s', '1 bit/s', '-5 MB/s', '50 MiB/min']);
});

test('durations', () => {
  assert.deepEqual(['0', '500ms', '30s', '15m', '15min', '2h', '7d', '2w', '1h30m', '1 h 30 m', '1.5h'].map(parseDuration), [0, 500, 30e3, 900e3, 900e3, 7200e3, 604_800e3, 1_209_600e3, 5400e3, 5400e3, 5400e3]);
  refused(parseDuration, ['', '30', '1y', '-1s', 's', '1h30', '1H', '9'.repeat(30) + 'w']);
});

test('moments are days, instants with a zone, or ages', () => {
  assert.deepEqual(parseMoment('2026-01-31'), { kind: 'instant', ms: Date.UTC(2026, 0, 31) });
  assert.deepEqual(parseMoment('2026-01-31T12:00:00+02:00'), { kind: 'instant', ms: Date.UTC(2026, 0, 31, 10) });
  assert.deepEqual(parseMoment('30d'), { kind: 'age', ms: 30 * 86_400e3 });
  refused(parseMoment, ['', 'yesterday', '2026-02-30', '2026-13-01', '2026-01-31T12:00:00', '31.01.2026', '2026-1-1', '2026-01-31T25:00:00Z']);
});

test('requests per second', () => {
  assert.deepEqual(['500', '500/s', '3500 /s'].map(parseRequests), [500, 500, 3500]);
  refused(parseRequests, ['', '0', '-1', '1.5', '500/m', 'many']);
});
