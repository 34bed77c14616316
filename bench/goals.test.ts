import assert from 'node:assert/strict';
import { test } from 'node:test';
import { losses, median, type Row, rates, ratios, requestsPerObject, requestsToObjects, spread, withoutStart } from './figures.ts';
import { anchorOf, ASPECTS, goalsMissed, goalTable, judge } from './goals.ts';
import type { Reached, Section } from './section.ts';

const section = (title: string, ...reached: Reached[]): Section => ({ title, text: '', losses: [], commands: [], reached });
const rowOf = (sections: readonly Section[], asked: string) => judge(sections).find((row) => row.asked.startsWith(asked));

test('the table has a row for every aspect, and says of what was not run that it was not', () => {
  const rows = judge([]);
  assert.equal(rows.length, Object.keys(ASPECTS).length);
  assert.deepEqual([...new Set(rows.map(({ goal }) => goal))], ['P1', 'P2', 'P3', 'P4', 'P5', 'P6', 'P7', 'P8', 'P9']);
  assert.ok(rows.every(({ figure, holds }) => figure === 'not run' && holds === undefined));
  assert.deepEqual(goalsMissed(rows), []);
});

test('an upper limit holds up to itself, a lower one from itself on', () => {
  const of = (aspect: Reached['aspect'], value: number) => judge([section('s', { aspect, values: [value] })]).find(({ holds }) => holds !== undefined)?.holds;
  assert.equal(of('tls-relay', 1.25), true);
  assert.equal(of('tls-relay', 1.26), false);
  assert.equal(of('small-rate', 10_000), true);
  assert.equal(of('small-rate', 9_999), false);
  assert.equal(of('rerun', 0), true);
  assert.equal(of('rerun', 1), false);
  assert.equal(of('resume', NaN), false);
});

test('the median decides, and the spread is shown', () => {
  const row = rowOf([section('Bulk', { aspect: 'tls-relay', values: [1.4, 1.1, 1.2] })], 'bulk over TLS with checksum: CPU of a C');
  assert.equal(row?.figure, '1.20 (1.10–1.40) ×');
  assert.equal(row?.verdict, 'yes');
});

test('of several figures the worst one is judged, with its name and section', () => {
  const rows = [
    section('One', { aspect: 'listing-wasted', values: [1], of: 'flat' }, { aspect: 'listing-wasted', values: [7], of: 'deep' }),
    section('Two', { aspect: 'listing-wasted', values: [2], of: 'skewed' }, { aspect: 'listing-rate', values: [700_000], of: 'flat' }, { aspect: 'listing-rate', values: [600_000], of: 'deep' }),
  ];
  const wasted = rowOf(rows, 'LISTs wasted');
  assert.deepEqual([wasted?.figure, wasted?.verdict, wasted?.from], ['7.0 %, deep', '**no**', '[One](#one)']);
  assert.equal(rowOf(rows, 'keys listed per CPU-second, bisection')?.figure, '600,000, deep');
  assert.deepEqual(goalsMissed(judge(rows)), ['- P4 is missed: LISTs wasted by bisection: ≤ 5 %; it is 7.0 %, deep.']);
});

test('a smaller measurement than the goal asks for says so', () => {
  const row = rowOf([section('Resume', { aspect: 'resume', values: [1], only: '1,000,000 objects' })], 'a killed run');
  assert.equal(row?.verdict, 'yes, at 1,000,000 objects');
});

test('a section without samples counts as not run', () => {
  assert.equal(rowOf([section('Resume', { aspect: 'resume', values: [] })], 'a killed run')?.figure, 'not run');
});

test('the table is markdown, its sections linked as GitHub anchors them', () => {
  const text = goalTable(judge([section('10,000 × 4 KiB, S3 → S3, null server', { aspect: 'small-rate', values: [12_345] })]));
  assert.match(text, /\| P3 \| objects of 4 KiB per CPU-second, listing, ledger and check included: ≥ 10,000 \| 12,345 \| yes \| \[10,000 × 4 KiB, S3 → S3, null server\]\(#10000--4-kib-s3--s3-null-server\) \|/);
  for (const line of text.split('\n')) assert.equal(line.split('|').length, 7, line);
  assert.equal(anchorOf('4 × 1 GiB, S3 → S3, null server over TLS'), '4--1-gib-s3--s3-null-server-over-tls');
});

const sample = (cpuSeconds: number) => ({ wallSeconds: 1, cpuSeconds, rssBytes: 1 });
const row = (subject: string, ...cpu: number[]): Row => ({ subject, objects: 1000, bytes: 0, samples: cpu.map(sample) });

test('ratios are taken round by round, as the peers ran', () => {
  assert.deepEqual(ratios([row('brigade', 1, 2, 4), row('rclone', 4, 4, 4)], 'brigade', 'rclone'), [0.25, 0.5, 1]);
  assert.deepEqual(ratios([row('brigade', 1, 2), row('aws', 10)], 'brigade', 'aws'), [0.1]);
  assert.deepEqual(ratios([row('brigade', 1)], 'brigade', 'rclone'), []);
  assert.deepEqual(rates(row('brigade', 0.5, 0.1)), [2000, 10_000]);
});

test('a loss names what somebody else took less of; the floor and another of ours are none', () => {
  const rows: Row[] = [row('brigade', 2), { ...row('rclone', 1), samples: [{ wallSeconds: 2, cpuSeconds: 1, rssBytes: 1 }] }, { ...row('relay', 0.1), rival: false }, row('s5cmd', 3)];
  assert.deepEqual(losses('Small', rows), ['- Small: rclone takes 0.50 × our CPU.']);
});

test('what a run costs without its start', () => {
  assert.equal(withoutStart(row('brigade', 1.5), [sample(1)], false), 'A run of an empty bucket takes us 1.00 CPU-s; without that: 2,000 objects per CPU-s.');
  assert.equal(withoutStart({ ...row('brigade', 3), bytes: 4 * 2 ** 30 }, [sample(1)], true), 'A run of an empty bucket takes us 1.00 CPU-s; without that: 0.50 CPU-s per GiB.');
});

test('medians and spreads', () => {
  assert.equal(median([3, 1, 2]), 2);
  assert.equal(median([4, 1, 2, 3]), 2.5);
  assert.equal(spread([1234.5, 1000, 2000], 0), '1,235 (1,000–2,000)');
  assert.equal(spread([0.5], 2), '0.50');
});

test('requests below .brigade/ are not about objects, and are left out', () => {
  const counts = { requests: { source: { GetObject: 1000, ListObjects: 2, HeadBucket: 1 }, target: { PutObject: 1000, 'PutObject .brigade/': 19, 'HeadObject .brigade/': 8, HeadObject: 1 } }, bytesIn: 0, bytesOut: 0 };
  assert.deepEqual(requestsToObjects(counts), { all: 2004, heads: 1, lists: 2, others: 2001, named: 'GetObject 1,000, PutObject 1,000, HeadObject 1' });
});

test('rare requests are counted, not named', () => {
  assert.equal(requestsPerObject({ requests: { source: { GetObject: 100, HeadBucket: 1 }, target: { PutObject: 100 } }, bytesIn: 0, bytesOut: 0 }, 100), '2.010: GetObject 1.00, PutObject 1.00');
});
