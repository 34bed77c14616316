/**
 * One simulation: a whole fleet in this process, from a seed. Blows fall until the storm is over; then nothing goes wrong any more, and the run must end
 * within a bounded time and with everything as it was promised.
 */
import { mkdtempSync, rmSync, existsSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Bug, BUGS, type BugName, NO_BUG } from './bugs.ts';
import { checkJournal, checkLedger, checkTokens, checkUploads } from './checks.ts';
import { Fleet } from './fleet.ts';
import { scenarioOf } from './scenario.ts';
import { codeOf, World } from './world.ts';

export interface Simulated {
  readonly seed: number;
  readonly violations: readonly string[];
  /** Of everything that happened, in its order. */
  readonly hash: string;
  readonly happened: number;
  readonly simulatedMs: number;
  /** From the last blow to the end of the run. */
  readonly calmMs: number;
  readonly landed: number;
  readonly blows: number;
  readonly lines: readonly string[];
  readonly notes: readonly string[];
}

/** The run must have ended so long after the storm; a queue that lost messages whose sojourn was long is waited for. */
const MOST_CALM_MS = 2 * 3_600_000;
/** What is left in queues and hands ends in this time. */
const AFTER_MS = 15 * 60_000;

export async function simulate(seed: number, { bug, lines = false }: { readonly bug?: BugName; readonly lines?: boolean } = {}): Promise<Simulated> {
  const planted: Bug = bug === undefined ? NO_BUG : BUGS[bug];
  const scenario = scenarioOf(seed);
  const world = new World(scenario, planted, lines);
  const dir = mkdtempSync(join(existsSync('/dev/shm') ? '/dev/shm' : tmpdir(), 'brigade-simulation-'));
  const fleet = new Fleet(world, dir);
  let calmMs = 0;
  const failed = (reason: unknown): void => world.violate(`unheard: ${codeOf(reason)}`);
  process.on('unhandledRejection', failed);
  try {
    const told = story(world, fleet, dir, (ms) => { calmMs = ms; });
    // Of a planted bug it is enough that it shows.
    await world.clock.run(bug === undefined ? told : Promise.race([told, world.violated]));
  } catch (thrown) {
    world.violate(`the simulation ended with ${codeOf(thrown)}`);
  } finally {
    process.off('unhandledRejection', failed);
    await fleet.bury();
    rmSync(dir, { recursive: true, force: true });
  }
  const notes = world.processes.flatMap(({ name, notes: told }) => told.map((note) => `${name}: ${note}`));
  return { seed, violations: world.violations, hash: world.traceHash(), happened: world.happened, simulatedMs: world.clock.monotonic(), calmMs, landed: world.objects.landed, blows: scenario.blows.length, lines: world.lines, notes };
}

async function story(world: World, fleet: Fleet, dir: string, calmed: (ms: number) => void): Promise<void> {
  const { clock, scenario } = world;
  fleet.begin();
  for (const blow of scenario.blows) {
    await clock.sleep(blow.atMs - clock.monotonic());
    await fleet.strike(blow);
  }
  await clock.sleep(scenario.stormMs - clock.monotonic());
  fleet.calm();
  const since = clock.monotonic();
  const finished = await fleet.finished(MOST_CALM_MS);
  calmed(clock.monotonic() - since);
  if (finished?.index === undefined) return world.violate(`I14: the run had not ended ${MOST_CALM_MS / 60_000} minutes after the last blow`);
  const { index } = finished;
  checkLedger(world, index, 'at its end');
  await checkTokens(world, index, 'at its end');
  await fleet.end(AFTER_MS);
  await checkJournal(world, index, dir);
  checkLedger(world, index, 'after all');
  await checkTokens(world, index, 'after all');
  await checkUploads(world);
}
