// A destination folder on a file system of a few megabytes: the run pauses when it is full and goes on when it has grown (F059).
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Place, reconcile, seedSource, violations } from './judge.ts';
import { claimOf, logTail, runToEnd, writeMigration } from './product.ts';

export interface FullResult {
  /** Exit code of the run that met the full disk, and of the one after. */
  readonly first: number | null;
  readonly second: number | null;
  readonly log: string;
  readonly failed: number;
  readonly pendingWhenFull: number;
  /** Bytes and temporaries that the paused run left at the destination are whole objects, nothing else. */
  readonly leftWhenFull: readonly string[];
  readonly violations: readonly string[];
}

/** mount(8), as root or through sudo. @throws Error where neither may mount. */
function privileged(command: string, ...args: string[]): void {
  const [program, ...rest] = process.getuid?.() === 0 ? [command, ...args] : ['sudo', '-n', command, ...args];
  execFileSync(program, rest, { stdio: ['ignore', 'ignore', 'pipe'] });
}

export async function fillDisk(): Promise<FullResult> {
  const dir = mkdtempSync(join(tmpdir(), 'brigade-full-'));
  const destination: Place = { kind: 'folder', path: join(dir, 'small') };
  const source: Place = { kind: 'folder', path: join(dir, 'source') };
  for (const { path } of [source, destination]) mkdirSync(path);
  privileged('mount', '-t', 'tmpfs', '-o', `size=12m,uid=${process.getuid?.() ?? 0}`, 'tmpfs', destination.path);
  try {
    await seedSource(source, { seed: 3, objects: 400, large: 20 * 1024 * 1024 });
    const migration = writeMigration({ dir, name: 'full', source, destination, options: { executors: 2 } });
    const first = await runToEnd(migration, 120_000);
    const whenFull = await claimOf(migration);
    const { corrupt, unfinished } = await reconcile(source, destination, whenFull.states, dir);
    const log = logTail(migration);
    privileged('mount', '-o', 'remount,size=200m', destination.path);
    const second = await runToEnd(migration, 120_000);
    const claim = await claimOf(migration);
    const found = violations(await reconcile(source, destination, claim.states, dir));
    return {
      first: first.code, second: second.code, log, failed: whenFull.tally.failed.objects + claim.tally.failed.objects, pendingWhenFull: whenFull.tally.pending.objects,
      leftWhenFull: [...corrupt.first, ...unfinished.first], violations: found,
    };
  } finally {
    privileged('umount', '-l', destination.path);
    rmSync(dir, { recursive: true, force: true });
  }
}
