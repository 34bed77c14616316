/** What the commands of `brigade lab` share: which lab, and lines to paste that lead back to it. */
import { existsSync } from 'node:fs';
import { delimiter, join, relative, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { isLab, type LabFolder, openLab } from '../app/lab/folder.ts';
import { type Invocation, shellWord } from './invocation.ts';

const DEFAULT_DIR = 'brigade-lab';

/** `--dir`, else the current folder if it is a lab, else ./brigade-lab. */
export function labDir({ io, options }: Invocation): string {
  const named = options.text('dir');
  if (named !== undefined) return resolve(io.cwd, named);
  return isLab(io.cwd) ? io.cwd : join(io.cwd, DEFAULT_DIR);
}

/** @throws usage error E_LAB */
export const theLab = (invocation: Invocation): LabFolder => openLab(labDir(invocation));

/** The folder as a person here would write it. */
export function shown({ io }: Invocation, path: string): string {
  const near = relative(io.cwd, path);
  return near === '' ? '.' : near.startsWith('..') ? path : near;
}

/** `brigade lab WORDS`, with the folder where it is not found without. */
export function labCommand({ options }: Invocation, words: string): string {
  const dir = options.text('dir');
  return `brigade lab ${words}${dir === undefined ? '' : ` --dir ${shellWord(dir)}`}`;
}

/** The invocation as the other commands take it: its ledgers are the lab's unless --state says otherwise. */
export function withState(invocation: Invocation, lab: LabFolder): Invocation {
  const { options, io } = invocation;
  if (options.has('state-dir') || resolve(io.cwd, '.brigade') === lab.state) return invocation;
  return { ...invocation, options: options.with('state-dir', shown(invocation, lab.state)) };
}

/** How to call what is written as `brigade` here; undefined where the shell knows it. */
export function aliasLine({ io }: Invocation): string | undefined {
  const folders = (io.env['PATH'] ?? '').split(delimiter).filter((folder) => folder !== '');
  if (folders.some((folder) => existsSync(join(folder, 'brigade')))) return undefined;
  const bin = fileURLToPath(new URL('../../bin/brigade.cjs', import.meta.url));
  return `alias brigade=${shellWord(`node ${bin}`)}`;
}

const LABEL = 11;

/** `label    text`, aligned. */
export const labelled = (label: string, text: string): string => `${label.padEnd(LABEL)} ${text}`;
