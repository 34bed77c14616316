import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { statSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { zstdCompressSync } from 'node:zlib';
import { folder, listing, open } from './fixture.test.ts';
import type { Item, Outcome } from '../../core/item.ts';

const digest = (text: string, length = 32) => createHash('sha256').update(text).digest('hex').slice(0, length);

/** Keys of 60 bytes: a random name in a dated folder; ETags differ at both ends, a CRC-64 vouches for each. */
const key = (i: number) => `exports/2026/${String(i >> 12).padStart(6, '0')}/${String(i).padStart(9, '0')}-${digest(`n${i}`, 26)}.bin`;
const item = (i: number): Item => ({ key: key(i), kind: 'object', size: 1000 + (i * 7919) % 5_000_000, state: 'pending', source: { token: digest(`s${i}`) }, evidence: 'none', attempts: 0, storageClass: 'STANDARD' });
const outcome = (one: Item): Outcome => ({
  key: one.key, state: 'copied', destination: `${digest(`d${one.key}`)}-3`, checksum: { algorithm: 'crc64nvme', hex: digest(`c${one.key}`, 16) }, evidence: 'store checksum', attempts: 0, bytesSent: one.size, ms: 9,
});

test('P9: the whole file takes at most 100 bytes per object beyond its compressed key, 110 with tasks of 20 objects', async (t) => {
  for (const [count, perTask, most] of [[50_000, 1000, 100], [20_000, 20, 110]] as const) {
    const path = join(folder(t), 'ledger.db');
    const ledger = await open(path);
    ledger.beginRun('initial');
    let keyBytes = 0;
    for (let from = 0; from < count; from += 10_000) {
      const items = Array.from({ length: 10_000 }, (_, i) => item(from + i));
      const tasks = Array.from({ length: 10_000 / perTask }, (_, i) => ({ items: items.slice(i * perTask, (i + 1) * perTask), problems: new Map() }));
      for (const task of tasks) keyBytes += zstdCompressSync(task.items.map((one) => one.key).join('\n')).length;
      ledger.addPlan(1, { tasks, shards: [], listing: listing(from + 10_000) });
    }
    for (let tasks = ledger.claim(1, 100, 'a'); tasks.length > 0; tasks = ledger.claim(1, 100, 'a')) {
      await Promise.all(tasks.map(async (task) => {
        if (perTask > 20) await ledger.record(task.id, task.items.slice(0, perTask / 2).map(outcome), false);
        await ledger.record(task.id, task.items.map(outcome), true);
      }));
    }
    assert.equal(ledger.tally(1).copied.objects, count);
    await ledger.close();
    const perObject = (statSync(path).size - keyBytes) / count;
    t.diagnostic(`${perTask} objects per task: ${perObject.toFixed(1)} bytes per object beyond ${(keyBytes / count).toFixed(1)} of key`);
    assert.ok(perObject <= most, `${perObject} bytes`);
  }
});
