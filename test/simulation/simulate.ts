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
import { checkPlain } from './plain.ts';
import type { SqliteLedger } from '../../src/ledger/sqlite/index.ts';
import { scenarioOf, type TimedBlow } from './scenario.ts';
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
  /** Messages of all coordinators, and those of them that were not needed; absent where the queue was purged, so that its counts say nothing. */
  readonly messages?: { readonly sent: number; readonly spurious: number };
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
  const remove = (): void => rmSync(dir, { recursive: true, force: true });
  process.on('unhandledRejection', failed);
  process.once('exit', remove);
  try {
    const told = story(world, fleet, dir, (ms) => { calmMs = ms; });
    // Of a planted bug it is enough that it shows.
    await world.clock.run(bug === undefined ? told : Promise.race([told, world.violated]));
  } catch (thrown) {
    world.violate(`the simulation ended with ${codeOf(thrown)}`);
  } finally {
    process.off('unhandledRejection', failed);
    await fleet.bury();
    process.off('exit', remove);
    remove();
  }
  const notes = world.processes.flatMap(({ name, notes: told }) => told.map((note) => `${name}: ${note}`));
  return { seed, violations: world.violations, hash: world.traceHash(), happened: world.happened, simulatedMs: world.clock.monotonic(), calmMs, landed: world.objects.landed, blows: scenario.blows.length, ...messagesOf(world), lines: world.lines, notes };
}

function messagesOf({ scenario: { blows, second }, crews }: World): Pick<Simulated, 'messages'> {
  if ([...blows, ...second?.blows ?? []].some(({ kind }) => kind === 'purge')) return {};
  const told = crews.map((crew) => crew());
  return { messages: { sent: told.reduce((sum, { sent }) => sum + sent, 0), spurious: told.reduce((sum, { spurious }) => sum + spurious, 0) } };
}

async function story(world: World, fleet: Fleet, dir: string, calmed: (ms: number) => void): Promise<void> {
  const { scenario: { blows, stormMs, second }, objects, random } = world;
  fleet.begin();
  let ledger = await runOf(world, fleet, blows, stormMs, calmed);
  if (ledger !== undefined && second !== undefined) {
    for (let i = 0; i < second.changes; i++) {
      const lot = random.next();
      world.trace(`changed ${(lot < 0.6 ? objects.overwrite(random) : lot < 0.8 ? objects.add(random) : await objects.delete(random)) ?? ''}`);
    }
    fleet.again();
    ledger = await runOf(world, fleet, second.blows, stormMs / 2, calmed);
  }
  if (ledger === undefined) return;
  await fleet.end(AFTER_MS);
  await checkJournal(world, ledger, dir);
  checkLedger(world, ledger, 'after all');
  await checkTokens(world, ledger, 'after all');
  await checkUploads(world);
  await checkPlain(world);
}

/** A run, from whatever was begun to its end. Answers the ledger of who ended it. */
async function runOf(world: World, fleet: Fleet, blows: readonly TimedBlow[], stormMs: number, calmed: (ms: number) => void): Promise<SqliteLedger | undefined> {
  const { clock, run } = world;
  const began = clock.monotonic();
  for (const blow of blows) {
    await clock.sleep(began + blow.atMs - clock.monotonic());
    await fleet.strike(blow);
  }
  await clock.sleep(began + stormMs - clock.monotonic());
  fleet.calm();
  const since = clock.monotonic();
  const finished = await fleet.finished(MOST_CALM_MS);
  calmed(clock.monotonic() - since);
  if (finished?.index === undefined) {
    world.violate(`I14: run ${run} had not ended ${MOST_CALM_MS / 60_000} minutes after the last blow`);
    return undefined;
  }
  checkLedger(world, finished.index, `at the end of run ${run}`);
  await checkTokens(world, finished.index, `at the end of run ${run}`);
  return finished.index;
}
