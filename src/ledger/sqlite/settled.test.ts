import assert from 'node:assert/strict';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { test, type TestContext } from 'node:test';
import fc from 'fast-check';
import type { Item, Outcome, Problem } from '../../core/item.ts';
import { compareKeys, keyFromBytes, keyToBytes } from '../../core/key.ts';
import { packLines } from '../../core/lines.ts';
import { type Landed, landedIn, type OutcomeColumns, packOutcomes, unpackOutcomes } from '../../core/outcome-columns.ts';
import { settledLines } from '../../core/settled-lines.ts';
import type { Report } from '../../ports/journal.ts';
import { Change } from './counts.ts';
import { copied, failed, folder, keyNumber, listing, open } from './fixture.test.ts';
import type { SqliteLedger } from './ledger.ts';
import { settle } from './outcome.ts';

const DIGEST = '0123456789abcdef0123456789abcdef';
const tokens = fc.constantFrom(`"${DIGEST}"`, DIGEST, `"${DIGEST}-12"`, `"${DIGEST.replace('0', 'f')}"`, 'etag', '', 'ä\ud83d\ude00', '\udc80');
const key = fc.array(fc.constantFrom(0, 47, 97, 98, 0xc3, 0xa9, 0xff), { minLength: 1, maxLength: 6 }).map((bytes) => keyFromBytes(Buffer.from(bytes)));
const checksum = fc.record({ algorithm: fc.constantFrom('crc32' as const, 'crc64nvme' as const, 'sha256' as const), hex: fc.constantFrom('00ff00ff', 'abc', '') });

/** Mostly as they come, now and then with one of all that an item or an outcome may have. */
const seldom = <T>(one: fc.Arbitrary<T>): fc.Arbitrary<T | undefined> => fc.oneof({ arbitrary: fc.constant(undefined), weight: 60 }, { arbitrary: one, weight: 1 });
const item: fc.Arbitrary<Item> = fc.record({
  key, kind: fc.constantFrom('object' as const, 'directory' as const), size: fc.maxSafeNat().map((size) => Math.floor(size / 1000)), state: fc.constant('pending' as const), source: fc.record({ token: tokens }),
  destination: tokens, evidence: fc.constant('none' as const), attempts: fc.nat(300), storageClass: fc.constantFrom('GLACIER', 'IA'),
}, { requiredKeys: ['key', 'kind', 'size', 'state', 'source', 'evidence', 'attempts'] });
const oddItem = fc.record({ code: seldom(fc.constant('compare')), undone: seldom(fc.nat(3)), versionId: seldom(fc.constant('v1')) });

const outcome = fc.record({
  state: fc.constantFrom('copied' as const, 'unchanged' as const), destination: tokens, checksum, evidence: fc.constantFrom('none' as const, 'in flight' as const, 'both ends re-read' as const),
  attempts: fc.nat(300), bytesSent: fc.nat(), ms: fc.nat(), unguarded: fc.boolean(),
}, { requiredKeys: ['state', 'destination', 'evidence', 'attempts', 'bytesSent', 'ms'] });
const problem: Problem = { code: 'E_A', message: 'no', kind: 'object' };
const oddOutcome = fc.record({
  state: seldom(fc.constantFrom('pending' as const, 'failed' as const, 'skipped' as const)), size: seldom(fc.nat()), source: seldom(fc.record({ token: tokens })),
  problem: seldom(fc.constant(problem)), lost: seldom(fc.constantFrom(['tags'], [])), missing: seldom(fc.constant(true)),
});

const present = <T extends object>(value: T): { [K in keyof T]?: NonNullable<T[K]> } => Object.fromEntries(Object.entries(value).filter(([, one]) => one !== undefined)) as { [K in keyof T]?: NonNullable<T[K]> };

interface Drawn { readonly items: readonly Item[]; readonly outcomes: readonly Outcome[]; readonly isUsual: boolean }

const drawn: fc.Arbitrary<Drawn> = fc.uniqueArray(fc.tuple(item, oddItem, outcome, oddOutcome), { minLength: 1, maxLength: 10, selector: ([one]) => one.key }).map((all) => {
  const sorted = all.toSorted(([a], [b]) => compareKeys(a.key, b.key));
  const items = sorted.map(([one, { versionId, ...odd }]): Item => ({ ...one, ...present(odd), source: { ...one.source, ...present({ versionId }) } }));
  const outcomes = sorted.flatMap(([{ key: at }, , usual, { missing, ...odd }]): Outcome[] => (missing === true ? [] : [{ key: at, ...usual, ...present(odd) }]));
  const isUsual = sorted.every(([, odd, said, { lost, ...rest }]) => [...Object.values(odd), ...Object.values(rest)].every((value) => value === undefined) && lost?.length !== 1 && said.destination !== '');
  return structuredClone({ items, outcomes, isUsual });
});

const bytesOf = (one: Outcome | undefined): Buffer => keyToBytes(one?.key ?? '');
const packed = (outcomes: readonly Outcome[]): OutcomeColumns => packOutcomes(outcomes, (said) => (said === undefined ? 0 : 1));

test('what becomes of a task laid out as columns is what becomes of its items one by one, byte for byte; whatever is not usual is left to that', () => {
  const seen = { usual: 0, other: 0 };
  fc.assert(fc.property(drawn, ({ items, outcomes, isUsual }) => {
    const [columns, change] = [new Change(), new Change()];
    const landed = landedIn(packed(outcomes));
    const settled = landed === undefined ? undefined : settledLines(packLines(items.map((one) => ({ item: one }))), landed, (...now) => columns.settlePlain(...now));
    seen[isUsual ? 'usual' : 'other']++;
    if (isUsual) assert.ok(settled !== undefined);
    if (settled === undefined) return;
    const after = items.map((one, i) => {
      const line = settle({ item: one }, outcomes[i] as Outcome);
      assert.ok(line !== undefined);
      change.replace({ item: one }, line);
      return line;
    });
    assert.deepEqual(settled, packLines(after));
    assert.deepEqual(columns.counts, change.counts);
  }), { numRuns: 2000 });
  assert.ok(seen.usual > 100 && seen.other > 100, JSON.stringify(seen));
});

test('outcomes come out of their columns as they went in, and are counted without that where none has a word of its own', () => {
  fc.assert(fc.property(drawn, ({ outcomes }) => {
    const columns = packed(outcomes);
    assert.deepEqual(unpackOutcomes(columns, [problem]), outcomes);
    const plain = outcomes.every(({ state, size, source, problem: said, lost = [] }) => (state === 'copied' || state === 'unchanged') && size === undefined && source === undefined && said === undefined && lost.length === 0);
    const checksums: Record<string, number> = {};
    for (const { state, checksum: sum } of outcomes) if (state === 'copied' && sum !== undefined) checksums[sum.algorithm] = (checksums[sum.algorithm] ?? 0) + 1;
    const count = (state: Outcome['state']): number => outcomes.filter((one) => one.state === state).length;
    const [bytesSent, unguarded] = [outcomes.reduce((sum, one) => sum + one.bytesSent, 0), outcomes.filter((one) => one.unguarded === true).length];
    assert.deepEqual(landedIn(columns), plain ? { columns, firstKey: bytesOf(outcomes[0]), lastKey: bytesOf(outcomes.at(-1)), objects: { copied: count('copied'), unchanged: count('unchanged') }, bytesSent, unguarded, checksums } : undefined);
  }), { numRuns: 500 });
});

const items = (from: number, count: number): Item[] => Array.from({ length: count }, (_, i) => ({ key: keyNumber(from + i), kind: 'object', size: 7, state: 'pending', source: { token: `"${DIGEST}"` }, evidence: 'none', attempts: 0 }));
const said = (outcomes: readonly Outcome[], isPacked: boolean): Report => {
  const report = { worker: 'w', close: true, parts: [] };
  if (!isPacked) return { ...report, outcomes };
  // Whoever takes the outcomes apart where that is not needed is found out.
  return { ...report, landed: landedIn(packed(outcomes)) as Landed, get outcomes(): never { throw new Error('taken apart'); } };
};

test('a task that ended as planned is folded without taking it apart, and the ledger is the same', async (t) => {
  const dir = folder(t);
  const told = await Promise.all([true, false].map(async (isPacked) => {
    const ledger = await open(join(dir, `${String(isPacked)}.db`));
    const tasks = [items(0, 4), items(4, 3)].map((some) => ({ items: some, problems: new Map() }));
    await ledger.foldPlan({ epoch: 1, seq: 0 }, [{ type: 'run', number: 1, kind: 'initial', startedMs: 5 }, { type: 'plan', run: 1, page: { tasks, shards: [], listing: listing(7, false) } }]);
    const outcomes = items(0, 4).map((one): Outcome => ({ ...copied(one.key), destination: `"${DIGEST}"`, unguarded: true, checksum: { algorithm: 'crc32', hex: '00ff00ff' } }));
    // In the hands of the fleet, and looked at before.
    const [leased] = ledger.claim(1, 1, 'fleet');
    assert.equal(ledger.leasedTask(leased?.id ?? 0).items.length, 4);
    for (const nth of [0, 0]) await ledger.foldReport({ work: { epoch: 1, seq: 0, task: 0 }, nth }, said(outcomes, isPacked));
    const now = [ledger.tally(1), ledger.totals(1), [...ledger.items(1)], ledger.held(1, 'fleet'), ledger.openTasks(1), ledger.claim(1, 5, 'fleet').map(({ id, inDoubt }) => [id, inDoubt])];
    // What comes behind it finds what stands.
    await ledger.foldReport({ work: { epoch: 1, seq: 0, task: 0 }, nth: 1 }, said([{ ...copied(keyNumber(2)), destination: 'newer', source: { token: 'next' } }], false));
    const behind = [ledger.item(1, keyNumber(2)), ledger.tally(1)];
    await ledger.close();
    return [...now, ...behind];
  }));
  assert.deepEqual(told[0], told[1]);
  assert.equal((told[0]?.[0] as { copied: { objects: number } }).copied.objects, 4);
});

const work = { epoch: 1, seq: 0, task: 0 };
const usual = (count: number): Outcome[] => items(0, count).map((one) => copied(one.key));
/** As read: what landed is packed. */
const read = (outcomes: readonly Outcome[], more: Partial<Report> = {}): Report => {
  const landed = landedIn(packed(outcomes));
  return { ...said(outcomes, false), ...(landed === undefined ? {} : { landed }), ...more };
};

async function planned(t: TestContext, count: number, path = join(folder(t), 'ledger.db')): Promise<SqliteLedger> {
  const ledger = await open(path);
  const tasks = Array.from({ length: count / 2 }, (_, i) => ({ items: items(2 * i, 2), problems: new Map() }));
  await ledger.foldPlan({ epoch: 1, seq: 0 }, [{ type: 'run', number: 1, kind: 'initial', startedMs: 5 }, { type: 'plan', run: 1, page: { tasks, shards: [], listing: listing(count, false) } }]);
  return ledger;
}

for (const close of [false, true]) {
  test(`a task of which something was told before, ${close ? 'and which was closed' : 'in part'}, is folded object by object`, async (t) => {
    const ledger = await planned(t, 2);
    const problems = () => [...ledger.objects(1, { classes: ['object'] })].map(({ key: at }) => at);
    // Back with an error: pending still, and with a row of its own.
    await ledger.foldReport({ work, nth: 0 }, read([{ ...failed(keyNumber(0)), state: 'pending' }], { close }));
    assert.deepEqual(problems(), [keyNumber(0)]);
    await assert.rejects(ledger.foldReport({ work, nth: 1 }, said(usual(2), true)), /taken apart/);
    await ledger.foldReport({ work, nth: 1 }, read(usual(2)));
    assert.deepEqual([problems(), ledger.tally(1).copied.objects, ledger.openTasks(1)], [[], 2, 0]);
    await ledger.close();
  });
}

test('a report that tells of all and does not close leaves the task with who holds it', async (t) => {
  const ledger = await planned(t, 2);
  ledger.claim(1, 1, 'fleet');
  await ledger.foldReport({ work, nth: 0 }, read(usual(2), { close: false }));
  assert.deepEqual([ledger.openTasks(1), ledger.tally(1).copied.objects], [1, 2]);
  await ledger.close();
});

test('what was remembered of a task does not outlive its end: a late report finds what stands', async (t) => {
  const ledger = await planned(t, 2);
  const upload = { id: 'u', key: keyNumber(0), size: 5, partSize: 5 };
  await ledger.foldReport({ work, nth: 0 }, read([], { close: false, uploads: [{ upload, sourceToken: 's' }] }));
  await ledger.foldReport({ work, nth: 1 }, read(usual(2), { uploadsOver: ['u'] }));
  await ledger.foldReport({ work, nth: 2 }, read(usual(2)));
  assert.deepEqual([ledger.tally(1).pending.objects, ledger.tally(1).copied.objects, ledger.totals(1).bytesSent], [0, 2, 20]);
  await ledger.close();
});

test('a task that holds another one’s keys is told as damage, also where a report has the same', async (t) => {
  const path = join(folder(t), 'ledger.db');
  await (await planned(t, 4, path)).close();
  const db = new DatabaseSync(path);
  db.exec('UPDATE blocks SET data = (SELECT data FROM blocks AS other WHERE other.task = 1) WHERE task = 2');
  db.close();
  const ledger = await open(path);
  await assert.rejects(ledger.foldReport({ work: { ...work, task: 1 }, nth: 0 }, said(usual(2), true)), /damaged: task 2 does not hold the keys it should/);
  assert.equal(ledger.tally(1).copied.objects, 0);
  await ledger.close();
});

test('outcomes whose columns do not fit together are none that landed', () => {
  const { lines, flags, numbers } = packed(usual(3));
  assert.ok(landedIn({ lines, flags, numbers }) !== undefined);
  const fewer = Buffer.from(lines.subarray(0, lines.length - 2));
  fewer[fewer.length - 2] = 1; // of three attempts one
  const more = Buffer.concat([lines, Buffer.alloc(1)]);
  more[lines.length - 4] = 4;
  for (const columns of [{ lines: fewer, flags, numbers }, { lines: more, flags, numbers }, { lines, flags: Buffer.concat([flags, Buffer.alloc(1)]), numbers }, { lines, flags, numbers: Buffer.concat([numbers, Buffer.alloc(1)]) }, { lines, flags: flags.subarray(1), numbers }]) {
    assert.throws(() => landedIn(columns), RangeError);
  }
  const having = (bits: number): OutcomeColumns => {
    const odd = Buffer.from(lines);
    const at = odd.indexOf(Buffer.from([1 | (1 << 4), 2]));
    odd[at] = (odd[at] as number) | bits;
    return { lines: odd, flags, numbers };
  };
  assert.equal(landedIn(having(8)), undefined, 'a directory');
  assert.equal(landedIn(having(0x70)), undefined, 'evidence of another release');
  assert.equal(landedIn(having(128)), undefined, 'undone');
});

test('items that are not pending are none to settle so', () => {
  const landed = landedIn(packed(usual(2))) as Landed;
  assert.equal(settledLines(packLines(items(0, 2).map((one) => ({ item: { ...one, state: 'copied' } }))), landed, () => undefined), undefined);
});
