/** The lab as a whole: up, down, away. */
import type { Environment } from '../../config/index.ts';
import type { Clock } from '../../ports/clock.ts';
import { makeKey } from './access-key.ts';
import type { EndStatus } from './control.ts';
import type { EndProcess } from './endpoint-process.ts';
import { type Filled, fillSource } from './filling.ts';
import { END_NAMES, type EndName, type LabFolder, makeLab, removeLab } from './folder.ts';
import { holdLab } from './lock.ts';
import { moveAddress, writeMigrations } from './migration-files.ts';
import { mustBeUp, startEnd, stateOf, stopEnd } from './processes.ts';

export interface Around {
  readonly env: Environment;
  readonly clock: Clock;
}

export interface End {
  readonly name: EndName;
  readonly process: EndProcess;
  readonly status: EndStatus;
  /** Started by this command; else it was up before. */
  readonly started: boolean;
  /** Where it was last time, if another had taken its port. */
  readonly movedFrom?: string;
}

export interface Up {
  readonly lab: LabFolder;
  readonly ends: readonly End[];
  readonly filled: Filled;
}

/** Makes a lab, or brings one up again; what runs already goes on running. */
export async function labUp(dir: string, scale: number, around: Around): Promise<Up> {
  const lab = makeLab(dir, scale);
  using _ = holdLab(lab);
  const ends: End[] = [];
  for (const name of END_NAMES) ends.push(await bringUp(lab, name, around.env));
  writeMigrations(lab, urlsOf(ends));
  const batches = Math.max(1, lab.facts().batches);
  const filled = await fill(lab, batches, around);
  return { lab, ends, filled };
}

async function bringUp(lab: LabFolder, name: EndName, env: Environment): Promise<End> {
  makeKey(lab, name);
  const found = await stateOf(lab, name);
  if (found.state === 'up') return { name, ...found, started: false };
  if (found.state === 'stuck') await stopEnd(lab, name);
  await startEnd(lab, name, env);
  const { process, status } = await mustBeUp(lab, name);
  const { ports } = lab.facts();
  const port = Number(new URL(process.url).port);
  lab.change({ ports: { ...ports, [name]: port } });
  if (ports[name] === 0 || ports[name] === port) return { name, process, status, started: true };
  const movedFrom = `http://127.0.0.1:${ports[name]}`;
  moveAddress(lab, movedFrom, process.url);
  return { name, process, status, started: true, movedFrom };
}

const urlsOf = (ends: readonly End[]): Record<EndName, string> => Object.fromEntries(ends.map(({ name, process }) => [name, process.url])) as Record<EndName, string>;

async function fill(lab: LabFolder, batches: number, around: Around): Promise<Filled> {
  const { process } = await mustBeUp(lab, 'source');
  const filled = await fillSource(lab, { url: process.direct, batches, ...around });
  lab.change({ batches });
  return filled;
}

/** New objects in every bucket of the source, as another day would bring. */
export async function fillMore(lab: LabFolder, around: Around): Promise<Filled> {
  using _ = holdLab(lab);
  return fill(lab, lab.facts().batches + 1, around);
}

/** Answers the endpoints that were running. */
export async function labDown(lab: LabFolder): Promise<readonly EndName[]> {
  using _ = holdLab(lab);
  return stopAll(lab);
}

async function stopAll(lab: LabFolder): Promise<readonly EndName[]> {
  const stopped: EndName[] = [];
  for (const name of END_NAMES) if (await stopEnd(lab, name)) stopped.push(name);
  return stopped;
}

/** Stops the lab and removes what it made. Answers what else is in the folder, and therefore stays. */
export async function labReset(lab: LabFolder): Promise<readonly string[]> {
  {
    using _ = holdLab(lab);
    await stopAll(lab);
  }
  return removeLab(lab);
}
