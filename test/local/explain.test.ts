/** `--explain`: what it says is what the stores saw. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Explanation } from '../../src/app/explain.ts';
import { brigade, tempFolder } from '../../src/cli/fixture.test.ts';
import { KiB, MiB } from '../../src/core/units.ts';
import { Lab } from './failures-lab.ts';

const explained = async (lab: Lab, path: string): Promise<Explanation> => {
  const { exit, out, err } = await lab.command('run', path, '--explain', '-o', 'json', '--progress', 'none');
  assert.equal(exit, 0, err);
  return (JSON.parse(out) as { explain: Explanation }).explain;
};

const unwrapped = (text: string): string => text.replaceAll(/\n {14}/g, ' ');

test('run --explain: requests, ways, sizes, shards and checksum as the endpoint saw them', async () => {
  const lab = await Lab.open();
  for (let i = 0; i < 30; i++) await lab.put(`small/${i}`, Buffer.alloc(4 * KiB, i));
  await lab.put('big', Buffer.alloc(11 * MiB, 'x'));
  const path = lab.write({ more: 'transfer: { server_side_copy: never, multipart_threshold: 6 MiB, part_size: 5 MiB, stall_timeout: 1h }\nlimits: { concurrency: 6 }' });
  const { source, destination, listing, objects, sizes, copy, checksum } = await explained(lab, path);
  const seen = (bucket: string, operation: string): number => lab.requests.filter((request) => request.bucket === bucket && request.operation === operation && !request.key.startsWith('.brigade/')).length;
  assert.deepEqual([source.requests['read'], destination.requests['write'], destination.requests['putPart']], [seen('from', 'GetObject') - 1, seen('dest', 'PutObject'), seen('dest', 'UploadPart')]);
  assert.equal(seen('from', 'GetObject'), 34, 'one was read by the check before the run');
  assert.deepEqual([source.way?.mode, source.way?.lanes, destination.way?.lanes, source.way?.tls], ['auto', 33, 33, false], 'thirty objects and three parts, and nothing else');
  assert.deepEqual([sizes.partSize, sizes.partChosen, sizes.streamUpTo], [5 * MiB, true, 6 * MiB]);
  assert.deepEqual([listing.from, listing.shards, (listing.atOnce ?? 0) >= 1], ['store', 1, true]);
  assert.deepEqual([objects.processes, objects.small, objects.chosen], [1, 6, ['executors', 'limits.concurrency']]);
  assert.deepEqual([copy.onServer, copy.through, copy.why], [0, 33, 'transfer.server_side_copy: never']);
  assert.deepEqual(checksum.objects, { crc64nvme: 31 });
  const sent = lab.requests.filter(({ operation, bucket, key, headers }) => operation === 'PutObject' && bucket === 'dest' && key.startsWith('small/') && headers.has('x-amz-checksum-crc64nvme'));
  assert.equal(sent.length, 30);
  const [found] = source.atOnce;
  assert.deepEqual([source.atOnce.length, found?.process, found?.refusals, (found?.most ?? 0) <= 16], [1, 'coordinator', 0, true]);
});

test('run --explain: a store that refuses, and one that copies by itself', async () => {
  const lab = await Lab.open({ rules: [{ name: 'busy', match: { operation: 'CopyObject' }, fault: { kind: 'status', status: 503, code: 'SlowDown' }, nth: [40, 41, 60] }] });
  await lab.putMany(80);
  const path = lab.write({ more: 'transfer: { server_side_copy: auto }' });
  const ran = await lab.command('run', path, '--explain', '--progress', 'none');
  assert.equal(ran.exit, 0, ran.err);
  assert.doesNotMatch(ran.out, /what was chosen/);
  const shown = ran.err.slice(ran.err.indexOf('pair@1  what was chosen'));
  assert.ok(shown.split('\n').every((line) => line.length <= 100), shown);
  const text = unwrapped(shown);
  assert.match(text, /^ {2}copy +by the store itself: one endpoint: no byte crosses this machine$/m);
  assert.match(text, /^ {2}per second {2}.*after 3 refusals \(429, 503\), the last one .* before the end$/m);
  assert.match(text, /^ {2}at once +at most \d+ of \d+ allowed; the store refused more/m);
  const silent = await lab.command('run', path, '--progress', 'none');
  assert.doesNotMatch(silent.err, /what was chosen/);
});

test('run --explain of several files tells each; folders have no way, and are one shard', async () => {
  using folder = tempFolder();
  for (const name of ['one', 'two']) {
    for (let i = 0; i < 3; i++) folder.write(`${name}/file${i}`, 'content');
    folder.write(`pairs/${name}.yml`, `source: ../${name}\ndestination: ../to-${name}\nexecutors: 1\n`);
  }
  const { exit, err } = await brigade(folder.path, ['run', 'pairs', '--explain', '--progress', 'none'], { env: process.env });
  assert.equal(exit, 0, err);
  for (const name of ['one', 'two']) assert.match(err, new RegExp(`^${name} {2}what was chosen`, 'm'));
  assert.match(err, /executor \d+: at most \d+ of \d+ allowed/, 'what executors found comes to their coordinator');
  assert.match(unwrapped(err), /^ {2}checksum +crc32 3 objects: /m, 'also of objects that they told in numbers');
  assert.match(unwrapped(err), /^ {2}listing +1 shard, at most 1 listed at once: .* is a tree of folders, walked in order$/m);
  assert.doesNotMatch(err, /lanes|undici/);
});
