/**
 * How soon a killed run goes on (P9): `node bench/resume.ts [objects=1000000] [rounds=3]`. A bucket of that many made-up objects is planned to
 * its end while the destination takes a few writes a second; then the whole process group gets kill -9. From the start of the next `brigade run`
 * to its first object at the destination is what counts: looking at the stores, opening the ledger, giving out work, and whatever was in doubt.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { ledgerPath } from '../src/app/state.ts';
import { inspectLedger, ledgerExists } from '../src/ledger/sqlite/index.ts';
import { inScratch, nullJob, withNullServer } from './arenas.ts';
import { RELAY } from './compare.ts';
import { median, spread } from './figures.ts';
import type { Command } from './measure.ts';
import type { NullServer } from './null-server.ts';
import type { Section } from './section.ts';
import { buildProduct, ourRun } from './subjects.ts';

/** What the destination takes a second while the plan is made: something is copied, and nearly everything is left. */
const WRITES = 200;
const MiB = 2 ** 20;

/** A run in a process group of its own, so that all of it can be killed at once. */
function begin({ argv, env }: Command): ChildProcess {
  return spawn(argv[0] as string, argv.slice(1), { env: { ...process.env, ...env }, stdio: 'ignore', detached: true });
}

async function killAll(run: ChildProcess): Promise<void> {
  const gone = once(run, 'exit');
  process.kill(-(run.pid as number), 'SIGKILL');
  await gone;
}

function mustRun(run: ChildProcess): void {
  if (run.exitCode !== null) throw new Error(`the run ended with ${run.exitCode} before it was killed`);
}

const written = async (server: NullServer): Promise<number> => (await server.counts()).requests['target']?.['PutObject'] ?? 0;

async function isPlanned(path: string): Promise<boolean> {
  if (!ledgerExists(path)) return false;
  const view = inspectLedger(path);
  try {
    return view.run()?.listing.sealed === true;
  } finally {
    await view.close();
  }
}

interface Planned { readonly seconds: number; readonly rssBytes: number; readonly copied: number }

/** Plans everything, copies a little, and dies. */
async function planAndDie(server: NullServer, command: Command, ledger: string): Promise<Planned> {
  await server.limit({ requests: WRITES, bucket: 'target' });
  const started = performance.now();
  const run = begin(command);
  while (!(await isPlanned(ledger)) || await written(server) < WRITES) {
    mustRun(run);
    await setTimeout(200);
  }
  const rssBytes = Number(/VmHWM:\s+(\d+)/.exec(readFileSync(`/proc/${run.pid}/status`, 'utf8'))?.[1] ?? 0) * 1024;
  await killAll(run);
  return { seconds: (performance.now() - started) / 1000, rssBytes, copied: await written(server) };
}

/** Seconds to the first object; then it is killed again. */
async function goOn(server: NullServer, command: Command): Promise<number> {
  await server.reset();
  const started = performance.now();
  const run = begin(command);
  while (await written(server) === 0) {
    mustRun(run);
    await setTimeout(10);
  }
  const seconds = (performance.now() - started) / 1000;
  await killAll(run);
  return seconds;
}

export function resumeSection(bin: string, objects: number, rounds: number): Promise<Section> {
  return withNullServer(0, objects, 4096, async (server, dir) => {
    const command = ourRun(bin, nullJob(server, dir), { file: { transfer: RELAY } });
    const planned = await planAndDie(server, command, ledgerPath(join(dir, 'state'), 'bench'));
    await server.limit({});
    const seconds: number[] = [];
    for (let round = 0; round < rounds; round++) seconds.push(await goOn(server, command));
    const only = objects < 10_000_000 ? { only: `${objects.toLocaleString('en')} objects` } : {};
    return {
      title: `A killed run of ${objects.toLocaleString('en')} objects goes on`,
      text: [
        `Planned to the end in ${planned.seconds.toFixed(0)} s (the coordinator's peak RSS ${Math.round(planned.rssBytes / MiB)} MiB), ${planned.copied.toLocaleString('en')} objects copied meanwhile, then kill -9 of all its processes.`,
        '', `From the start of the next run to its next object: ${spread(seconds, 2)} s, killed anew each time.`,
      ].join('\n'),
      losses: median(seconds) > 5 ? [`- A killed run of ${objects.toLocaleString('en')} objects takes ${median(seconds).toFixed(1)} s until it copies again.`] : [], commands: [`node bench/resume.ts ${objects} ${rounds}`],
      reached: [{ aspect: 'resume', values: seconds, ...only }, { aspect: 'rss-many', values: [planned.rssBytes / MiB], of: 'planned', ...only }],
    };
  });
}

if (import.meta.main) {
  const [objects = '1000000', rounds = '3'] = process.argv.slice(2);
  await inScratch(async (dir) => { console.log((await resumeSection(buildProduct(join(dir, 'product')), Number(objects), Number(rounds))).text); });
}
