/** Migration files → migrations. Every refusal is one line: `FILE:LINE:COL: path.to.key: what, why; fix` (I7). */
import { readFileSync, readdirSync, statSync } from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';
import type { BrigadeError } from '../core/errors.ts';
import { explain, valueAt } from './explain.ts';
import { expandTree, isCredential, type Environment } from './expand.ts';
import type { Migration } from './migration.ts';
import { configError, Findings, quoteValue, showPath, type Finding } from './problem.ts';
import { resolveMigration, type Origin } from './resolve.ts';
import { migration as schema } from './schema/migration.ts';
import type { YamlTree } from './yaml.ts';
import { parseYaml, pathId, PositionedProblem } from './yaml.ts';

/** One file. Relative paths in it start at its folder. Throws BrigadeError E_CONFIG (usage, exit 2). */
export function loadMigration(path: string, env: Environment): Migration {
  return parseMigration(readBytes(path), path, env);
}

/** The same from bytes already read; `path` names them in messages and gives the folder and the default name. */
export function parseMigration(bytes: Uint8Array, path: string, env: Environment): Migration {
  const tree = readTree(bytes, path);
  const expanded = expandTree(tree.root, env);
  const origin: Origin = { file: resolve(path), base: dirname(resolve(path)), name: basename(path).replace(/\.(?:ya?ml|json)$/i, '') };
  const report = (findings: readonly Finding[]) => firstError(findings, tree, expanded.written, path);
  const parsed = schema.safeParse(expanded.tree);
  const found = [...expanded.findings, ...(parsed.success ? [] : explain(parsed.error.issues, expanded.tree))];
  if (found.length > 0 || !parsed.success) throw report(found);
  try {
    return resolveMigration(parsed.data, origin);
  } catch (thrown) {
    throw thrown instanceof Findings ? report(thrown.list) : thrown;
  }
}

/** Several files, or one folder: its `*.yml` and `*.yaml` in order of name. Two migrations of one name are refused: they would share a ledger. */
export function loadMigrations(paths: readonly string[], env: Environment): Migration[] {
  const files = paths.flatMap(expandFolder);
  const migrations = files.map((file) => loadMigration(file, env));
  const seen = new Map<string, string>();
  for (const [index, { name }] of migrations.entries()) {
    // Names become folders, and some file systems do not tell A from a.
    const folded = name.toLowerCase();
    const other = seen.get(folded);
    const file = files[index] ?? '';
    if (other !== undefined) throw configError(`${file}:1:1`, `name: ${quoteValue(name)} is also the name of ${other}, and the two would share one ledger`, 'give each file a name: of its own');
    seen.set(folded, file);
  }
  return migrations;
}

function expandFolder(path: string): string[] {
  if (!isFolder(path)) return [path];
  const files = namesIn(path).filter((name) => /\.ya?ml$/i.test(name) && !name.startsWith('.')).sort((a, b) => (a < b ? -1 : 1));
  if (files.length === 0) throw configError(path, 'the folder holds no migration file', 'put one *.yml per source and destination into it, or run brigade init');
  return files.map((name) => join(path, name));
}

function isFolder(path: string): boolean {
  try {
    return statSync(path).isDirectory();
  } catch {
    // Not there, or not ours to see: reading it as a file says which, in one line.
    return false;
  }
}

function namesIn(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch (thrown) {
    throw configError(folder, `the folder cannot be read (${(thrown as NodeJS.ErrnoException).code ?? 'unknown error'})`, 'give this user read permission');
  }
}

const READ_ERRORS: Readonly<Record<string, readonly [what: string, fix: string]>> = {
  ENOENT: ['there is no such file', 'check the path, or write one with brigade init'],
  EACCES: ['the file cannot be read: permission denied', 'give this user read permission'],
  EISDIR: ['this is a folder, not a migration file', 'name a file in it'],
  ENOTDIR: ['there is no such file', 'check the path'],
};

function readBytes(path: string): Buffer {
  try {
    return readFileSync(path);
  } catch (thrown) {
    const code = (thrown as NodeJS.ErrnoException).code ?? 'unknown error';
    const [what, fix] = READ_ERRORS[code] ?? [`the file cannot be read (${code})`, 'check the path'];
    throw configError(`${path}:1:1`, what, fix);
  }
}

function readTree(bytes: Uint8Array, path: string): YamlTree {
  try {
    return parseYaml(bytes);
  } catch (thrown) {
    if (!(thrown instanceof PositionedProblem)) throw thrown;
    const about = thrown.path.length === 0 ? '' : `${showPath(thrown.path)}: `;
    throw configError(`${path}:${thrown.at.line}:${thrown.at.col}`, `${about}${thrown.problem.what}`, thrown.problem.fix);
  }
}

/** The first problem in the order of the file: the operator reads from the top, and one mistake often causes the next. */
function firstError(findings: readonly Finding[], tree: YamlTree, written: ReadonlyMap<string, string>, file: string): BrigadeError {
  const placed = findings.map((finding) => ({ ...finding, at: tree.position(finding.path, finding.problem.about) }));
  const [first] = placed.sort((a, b) => a.at.line - b.at.line || a.at.col - b.at.col);
  if (first === undefined) throw new Error('a refusal without a reason');
  return configError(`${file}:${first.at.line}:${first.at.col}`, describe(first, tree, written), first.problem.fix);
}

export function describe({ path, problem }: Finding, tree: YamlTree | undefined, written: ReadonlyMap<string, string>): string {
  const shown = showPath(path);
  const text = written.get(pathId(path)) ?? (tree === undefined ? undefined : valueAt(tree.root, path));
  if (problem.about === 'key' || typeof text !== 'string' || isCredential(path)) return `${shown}: ${problem.what}`;
  return `${shown}: ${quoteValue(text)} ${problem.what}`;
}
