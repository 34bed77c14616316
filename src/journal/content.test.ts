import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { keyFromBytes } from '../core/key.ts';
import type { Item, Outcome, Problem } from '../core/item.ts';
import type { PlanRecord, Report } from '../ports/journal.ts';
import { packPlan, packReport, unpackPlan, unpackReport } from './content.ts';
import { decodeSegment, encodeSegment, isDamage } from './frame.ts';

const key = fc.uint8Array({ minLength: 1, maxLength: 20 }).map(keyFromBytes);
const token = fc.oneof(fc.constant('"0123456789abcdef0123456789abcdef"'), fc.string());
const checksum = fc.record({ algorithm: fc.constantFrom('crc32' as const, 'crc64nvme' as const, 'sha256' as const), hex: fc.constantFrom('00ff00ff', 'abc') });
const problem: fc.Arbitrary<Problem> = fc.record({ code: fc.constantFrom('E_A', 'E_B'), message: fc.string(), kind: fc.constant('object' as const), hint: fc.string() }, { requiredKeys: ['code', 'message'] });
const source = fc.record({ token, versionId: fc.string() }, { requiredKeys: ['token'] });
const size = fc.nat();
const states = ['pending', 'copied', 'unchanged', 'skipped', 'failed'] as const;

const outcome: fc.Arbitrary<Outcome> = fc.record({
  key, state: fc.constantFrom(...states), source, size, destination: token, checksum, evidence: fc.constantFrom('none' as const, 'in flight' as const, 'store checksum' as const),
  attempts: fc.nat(9), bytesSent: size, ms: fc.nat().map((micros) => micros / 1000), problem, lost: fc.array(fc.constantFrom('tags', 'mtime')), unguarded: fc.boolean(),
}, { requiredKeys: ['key', 'state', 'evidence', 'attempts', 'bytesSent', 'ms'] });

const report: fc.Arbitrary<Report> = fc.record({
  worker: fc.string(), outcomes: fc.array(outcome), close: fc.boolean(),
  parts: fc.array(fc.record({ uploadId: fc.string(), part: fc.record({ number: fc.nat(), size, token, checksum }, { requiredKeys: ['number', 'size', 'token'] }) })),
});

const item: fc.Arbitrary<Item> = fc.record({
  key, kind: fc.constant('object' as const), size, state: fc.constantFrom(...states, 'extra' as const), source, destination: token, checksum, evidence: fc.constant('none' as const),
  code: fc.constantFrom('E_A', 'archived'), attempts: fc.nat(9), undone: fc.nat(9), storageClass: fc.constant('GLACIER'),
}, { requiredKeys: ['key', 'kind', 'size', 'state', 'source', 'evidence', 'attempts'] });

const task = fc.uniqueArray(fc.tuple(item, fc.option(problem, { nil: undefined })), { minLength: 1, selector: ([one]) => one.key }).map((pairs) => ({
  items: pairs.map(([one]) => one),
  problems: new Map(pairs.flatMap(([one, said]) => (said === undefined ? [] : [[one.key, said] as const]))),
}));
const name = { epoch: 3, seq: 7, task: 2 };
const listing = { sealed: false, sourceObjects: 3, sourceBytes: 4, destinationObjects: 5 };

const record: fc.Arbitrary<PlanRecord> = fc.oneof(
  fc.record({ type: fc.constant('plan' as const), run: fc.nat(), page: fc.record({ tasks: fc.array(task), shards: fc.constant([]), listing: fc.constant(listing) }) }),
  fc.record({ type: fc.constant('amend' as const), task: fc.constant(name), after: fc.nat(), changes: fc.array(fc.record({ item, problem }, { requiredKeys: ['item'] })) }),
  fc.record({ type: fc.constant('upload' as const), task: fc.constant(name), sourceToken: token, upload: fc.record({ key, id: fc.string(), size, partSize: size }) }),
);
const landsPlainly = ({ state, size: other, source: newer, problem: told, lost = [] }: Outcome): boolean => (state === 'copied' || state === 'unchanged') && [other, newer, told].every((one) => one === undefined) && lost.length === 0;

/** Objects that came without a prototype are what they hold. */
const plain = <T>(value: T): T => structuredClone(value);

/** Tasks come out as columns. */
const takenApart = (one: PlanRecord): PlanRecord =>
  (one.type === 'plan' ? { ...one, page: { ...one.page, tasks: one.page.tasks.map(({ items, problems }) => ({ items, problems })) } } : one);

test('what is packed into a segment comes out of it, whatever keys and texts are', () => {
  fc.assert(fc.property(report, (said) => {
    const { landed, ...read } = unpackReport(packReport(said));
    assert.equal(landed !== undefined, said.outcomes.every(landsPlainly));
    assert.deepEqual(read, plain(said));
  }), { numRuns: 300 });
  fc.assert(fc.property(fc.array(record, { maxLength: 4 }), (records) => assert.deepEqual(unpackPlan(packPlan('n', records)).map(takenApart), plain(records))), { numRuns: 200 });
});

const KEY = 'plan/00000001/0000000000';
const intact = encodeSegment(KEY, { kind: 'P', content: packPlan('nonce', [{ type: 'totals', run: 1, totals: { bytesSent: 5 } }]) });

test('a segment cut short anywhere, with any bit flipped, or under another name is never believed, and is told in one line', () => {
  assert.ok(!isDamage(decodeSegment(KEY, intact)));
  const kindOf = (at: string, bytes: Buffer): string => {
    const read = decodeSegment(at, bytes);
    assert.ok(isDamage(read));
    assert.match(read.message, /^segment plan\/0000000\d\/0000000000 of the journal cannot be believed: [^\n]+$/);
    assert.notEqual(read.fix, '');
    return read.kind;
  };
  for (let length = 0; length < intact.length; length++) assert.equal(kindOf(KEY, intact.subarray(0, length)), 'torn');
  for (let bit = 0; bit < intact.length * 8; bit++) {
    const flipped = Buffer.from(intact);
    flipped[bit >> 3] = (flipped[bit >> 3] as number) ^ (1 << (bit & 7));
    assert.match(kindOf(KEY, flipped), /^(changed|torn)$/);
  }
  assert.equal(kindOf('plan/00000002/0000000000', intact), 'changed');
  assert.equal(kindOf(KEY, Buffer.concat([intact, Buffer.alloc(1)])), 'changed');
});
