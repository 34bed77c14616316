/**
 * The folder of a lab: what the lab makes in it, and how it is told from any other folder. `lab.json` is the mark; without it nothing is
 * ever changed or removed.
 *
 *   migrations/   the four migration files, to read and edit
 *   exercises/    one more, for the bucket of awkward keys
 *   .brigade/     the ledgers of its runs
 *   keys/         access keys, each readable by its owner only
 *   processes/    who serves which endpoint: pid, ports, token of the control port
 *   data/  logs/  what the endpoints keep and say
 *   reports/      what the migration files ask for
 */
import { existsSync, readdirSync, readFileSync, realpathSync, rmdirSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { usageError } from '../../core/errors.ts';
import { makeFolder } from '../folder.ts';
import { writeWhole } from '../whole-file.ts';

export const END_NAMES = ['source', 'destination'] as const;
export type EndName = (typeof END_NAMES)[number];

export interface LabFacts {
  /** Share of the objects of the whole exercise that this lab has. */
  readonly scale: number;
  /** How many times objects were put into the source. */
  readonly batches: number;
  /** Ports of 127.0.0.1, kept from one `up` to the next; 0 where none was taken yet. */
  readonly ports: Readonly<Record<EndName, number>>;
}

const MARK = 'lab.json';
const MADE_BY = 'brigade lab';
const FOLDERS = ['migrations', 'exercises', '.brigade', 'keys', 'processes', 'data', 'reports', 'logs'] as const;

export interface LabFolder {
  readonly dir: string;
  readonly migrations: string;
  readonly exercises: string;
  readonly state: string;
  readonly logs: string;
  key(name: EndName): string;
  process(name: EndName): string;
  data(name: EndName): string;
  log(name: EndName): string;
  readonly lock: string;
  facts(): LabFacts;
  change(facts: Partial<LabFacts>): void;
}

const refuse = (dir: string, what: string, fix: string): Error => usageError('E_LAB', what, fix, dir);

/** Whether this is the folder of a lab. */
export function isLab(dir: string): boolean {
  return readMark(dir) !== undefined;
}

/** @throws usage error E_LAB where there is none */
export function openLab(dir: string): LabFolder {
  if (!isLab(dir)) throw refuse(dir, 'there is no lab here', 'make one with brigade lab up, or name its folder with --dir');
  return labFolder(dir);
}

/** Opens a lab, or makes one in a folder that is not there yet or empty. @throws usage error E_LAB, E_FOLDER */
export function makeLab(dir: string, scale: number): LabFolder {
  if (isLab(dir)) return labFolder(dir);
  const found = statSync(dir, { throwIfNoEntry: false });
  if (found !== undefined && !found.isDirectory()) throw refuse(dir, 'this is not a folder', 'name another one with --dir');
  if (found !== undefined && readdirSync(dir).length > 0) throw refuse(dir, 'the folder holds something that no lab made', 'name an empty or a new one with --dir');
  makeFolder(dir);
  for (const name of FOLDERS) makeFolder(join(dir, name));
  writeMark(dir, { scale, batches: 0, ports: { source: 0, destination: 0 } });
  return labFolder(dir);
}

/** Removes what labs make, and the folder itself if nothing else is in it. Answers what else is. */
export function removeLab({ dir }: LabFolder): readonly string[] {
  for (const name of FOLDERS) rmSync(join(dir, name), { recursive: true, force: true });
  rmSync(join(dir, MARK), { force: true });
  const others = readdirSync(dir);
  if (others.length === 0) rmdirSync(dir);
  return others;
}

function labFolder(path: string): LabFolder {
  const dir = realpathSync(path); // one name for it, whatever links lead here
  const at = (...names: readonly string[]): string => join(dir, ...names);
  for (const name of FOLDERS) if (!existsSync(at(name))) makeFolder(at(name));
  return {
    dir, migrations: at('migrations'), exercises: at('exercises'), state: at('.brigade'), logs: at('logs'), lock: at('processes', 'lock'),
    key: (name) => at('keys', `${name}.json`), process: (name) => at('processes', `${name}.json`), data: (name) => at('data', name), log: (name) => at('logs', `${name}.log`),
    facts: () => {
      const facts = readMark(dir);
      if (facts === undefined) throw refuse(dir, 'the lab is gone', 'make it again with brigade lab up');
      return facts;
    },
    change(some) { writeMark(dir, { ...this.facts(), ...some }); },
  };
}

function readMark(dir: string): LabFacts | undefined {
  try {
    const mark = JSON.parse(readFileSync(join(dir, MARK), 'utf8')) as Partial<LabFacts & { madeBy: string }> | null;
    if (mark?.madeBy !== MADE_BY || typeof mark.scale !== 'number' || typeof mark.batches !== 'number' || mark.ports === undefined) return undefined;
    return { scale: mark.scale, batches: mark.batches, ports: mark.ports };
  } catch (thrown) {
    if (thrown instanceof SyntaxError || /^E(NOENT|NOTDIR|ISDIR|ACCES)$/.test((thrown as NodeJS.ErrnoException).code ?? '')) return undefined;
    throw thrown;
  }
}

function writeMark(dir: string, facts: LabFacts): void {
  writeWhole(join(dir, MARK), { madeBy: MADE_BY, ...facts }, 0o644);
}
