import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Outcome } from '../../core/item.ts';
import { landedIn, packOutcomes } from '../../core/outcome-columns.ts';
import type { RunEvent } from '../../ports/events.ts';
import type { Report } from '../../ports/journal.ts';
import { tellOutcomes } from './observing.ts';

const outcome = (key: string, more: Partial<Outcome> = {}): Outcome => ({ key, state: 'copied', destination: 't', evidence: 'in flight', attempts: 0, bytesSent: 9, ms: 1, checksum: { algorithm: 'crc32', hex: '00' }, ...more });
const problem = { code: 'E_DENIED', message: 'no' };

function told(outcomes: readonly Outcome[], each: boolean): RunEvent[] {
  const events: RunEvent[] = [];
  const landed = landedIn(packOutcomes(outcomes, (one) => (one === undefined ? 0 : 1)));
  const report: Report = { worker: 'w', close: true, parts: [], outcomes, ...(landed === undefined ? {} : { landed }) };
  tellOutcomes({ emit: (event) => events.push(event), each }, report);
  return events;
}

test('of objects that ended as planned a report tells how many; each by itself only to who asks for each, or where one has something to say', () => {
  const plain = [outcome('a'), outcome('b', { state: 'unchanged' }), outcome('c')];
  assert.deepEqual(told(plain, false), [{ type: 'reported', objects: { copied: 2, unchanged: 1 }, bytes: 27, checksums: { crc32: 2 } }]);
  const each = (all: readonly Outcome[]): RunEvent[] => [...all.map((one): RunEvent => ({ type: 'ended', outcome: one, size: 9 })), { type: 'reported', objects: { copied: 0, unchanged: 0 }, bytes: 9 * all.length, checksums: {} }];
  assert.deepEqual(told(plain, true), each(plain));
  const mixed = [...plain, outcome('d', { state: 'failed', problem })];
  assert.deepEqual(told(mixed, false), each(mixed));
  assert.deepEqual(told([], false), []);
});
