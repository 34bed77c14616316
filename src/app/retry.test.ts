/** What was said of a run that is tried again. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import type { Migration } from '../config/index.ts';
import { openLedger } from '../ledger/sqlite/index.ts';
import { systemClock } from '../telemetry/clock.ts';
import { readSaid, writeSaid } from './limits.ts';
import { reopen } from './retry.ts';

test('a cancel that came when the run was done already does not end what is tried again; its limits hold', async () => {
  const dir = mkdtempSync(join(tmpdir(), 'brigade-retry-'));
  const path = join(dir, 'ledger.db');
  const ledger = await openLedger({ path, binding: { migration: 'media', specHash: 'a', source: 's', destination: 'd' }, clock: systemClock(), mode: 'create', holder: { pid: process.pid, host: 'here' } });
  try {
    const { number } = ledger.beginRun('initial');
    const item = { key: 'a', kind: 'object', size: 1, state: 'pending', source: { token: 't' }, evidence: 'none', attempts: 0 } as const;
    ledger.addPlan(number, { tasks: [{ items: [item], problems: new Map() }], shards: [], listing: { sealed: false, sourceObjects: 1, sourceBytes: 1, destinationObjects: 0 } });
    const [task] = ledger.claim(number, 1, 'somebody', 'small');
    assert.ok(task !== undefined);
    await ledger.record(task.id, [{ key: 'a', state: 'failed', evidence: 'none', attempts: 5, bytesSent: 0, ms: 1, problem: { code: 'E_SERVER', kind: 'transient', message: 'x' } }], true);
    ledger.updateRun(number, { state: 'finished', stage: 'done' });
    await ledger.flush();
    writeSaid(path, number, { requests: 7, cancelled: true });
    assert.equal(reopen(ledger, { name: 'media', allowArchived: false } as Migration, undefined, {}).objects, 1);
    assert.deepEqual(readSaid(path, number), { requests: 7 });
  } finally {
    await ledger.close();
    rmSync(dir, { recursive: true, force: true });
  }
});
