// node test/chaos/leftovers.ts
//
// Two instants that random kills seldom hit, made to happen: the answer to CreateMultipartUpload is lost (as it is to a process killed
// before it could record the upload), and an executor is killed while a temporary of the file system is being written. After the run
// the oracle must find no open upload and no temporary. Exits 1 when it does.
import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { MiB } from '../../src/core/units.ts';
import { startFaultProxy } from '../../src/faults/proxy.ts';
import { startVersitygw } from '../servers/harness/index.ts';
import { bucketAt, makeBucket, type Place, reconcile, violations } from './judge.ts';
import { claimOf, endsWithin, kill, runToEnd, startRun, writeMigration } from './product.ts';

const PATIENCE_MS = 120_000;

function sourceIn(dir: string, size: number): Place & { readonly kind: 'folder' } {
  const path = join(dir, 'source');
  mkdirSync(path);
  writeFileSync(join(path, 'large'), Buffer.alloc(size, 'water '));
  return { kind: 'folder', path };
}

/** @returns what the oracle holds against the run. */
export async function lostCreate(): Promise<readonly string[]> {
  const dir = mkdtempSync(join(tmpdir(), 'brigade-leftovers-'));
  const server = await startVersitygw();
  const proxy = await startFaultProxy({ target: server.endpoint, rules: [{ name: 'lost', match: { operation: 'CreateMultipartUpload', key: 'large' }, fault: { kind: 'lost answer' }, max: 1 }] });
  try {
    const source = sourceIn(dir, 80 * MiB);
    const destination = bucketAt(server, 'leftovers');
    await makeBucket(destination);
    const migration = writeMigration({ dir, name: 'leftovers', source, destination, destinationEndpoint: proxy.url });
    const { code } = await runToEnd(migration, PATIENCE_MS);
    if (code !== 0 || proxy.counter('lost').fired !== 1) throw new Error(`exit ${code}, ${proxy.counter('lost').fired} answers lost`);
    return violations(await reconcile(source, destination, (await claimOf(migration)).states, dir));
  } finally {
    await proxy.close();
    await server.stop();
    rmSync(dir, { recursive: true, force: true });
  }
}

/** @returns what the oracle holds against the run. */
export async function killedWriter(): Promise<readonly string[]> {
  const dir = mkdtempSync(join(tmpdir(), 'brigade-leftovers-'));
  try {
    const source = sourceIn(dir, 60 * MiB);
    const destination: Place = { kind: 'folder', path: join(dir, 'destination') };
    mkdirSync(destination.path);
    const migration = writeMigration({ dir, name: 'leftovers', source, destination, options: { limits: { bandwidth: '20 MiB/s' }, executors: 1 } });
    const run = startRun(migration);
    while (!readdirSync(destination.path).some((name) => name.endsWith('.brigade.part'))) {
      if (run.state() !== undefined) throw new Error('the run ended before its writer could be killed');
      await sleep(2);
    }
    for (const pid of run.executors()) kill(pid, 'SIGKILL');
    const { code } = await endsWithin(run, migration, PATIENCE_MS);
    if (code !== 0) throw new Error(`exit ${code}`);
    return violations(await reconcile(source, destination, (await claimOf(migration)).states, dir));
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
}

if (import.meta.main) {
  for (const [name, work] of [['lost answer to CreateMultipartUpload', lostCreate], ['writer killed in the middle of a file', killedWriter]] as const) {
    const found = await work();
    console.log(`${name}: ${found.length === 0 ? 'nothing left' : found.join('; ')}`);
    if (found.length > 0) process.exitCode = 1;
  }
}
