/** Opens what the layout `files` works with: the root behind its jail, the state outside it, and the folder for bytes on their way. */
import { mkdirSync, readdirSync, rmSync } from 'node:fs';
import { realpath, stat } from 'node:fs/promises';
import { randomBytes } from 'node:crypto';
import { basename, dirname, join, resolve, sep } from 'node:path';
import { BrigadeError } from '../../core/errors.ts';
import { fsError } from '../../stores/filesystem/failures.ts';
import { Jail } from '../../stores/filesystem/jail.ts';
import { OWN_FOLDER, rawOf } from '../../stores/filesystem/names.ts';
import { BodyFolder } from '../bodies/folder.ts';
import type { Clock } from '../context.ts';
import { Database } from '../metadata/database.ts';
import { bindToRoot, factOf, factsSchema } from '../metadata/facts.ts';
import { Uploads, uploadsSchema } from '../metadata/uploads.ts';
import { Records, recordsSchema } from './records.ts';
import { Tree } from './tree.ts';

export interface FilesLayoutOptions {
  readonly root: string;
  /** Folder of the database, outside the root. */
  readonly state: string;
  /** The root itself is this one bucket; absent: the directories in the root are the buckets. */
  readonly bucket?: string;
  /** Told of every bucket. Default us-east-1. */
  readonly region?: string;
  /** What a directory that may not be read does to a listing: fails it (default), for what is missing would look deleted; or is left out. */
  readonly unreadable?: 'refuse' | 'skip';
  /** Names of one directory that are sorted in memory. Default 100,000. */
  readonly mostNames?: number;
  readonly clock?: Clock;
  /** Hears of failures of work behind the scenes. */
  readonly failed?: (error: unknown) => void;
}

export interface FilesRooms {
  readonly options: FilesLayoutOptions;
  readonly root: string;
  readonly db: Database;
  readonly jail: Jail;
  readonly tree: Tree;
  readonly folder: BodyFolder;
  readonly records: Records;
  readonly uploads: Uploads;
  readonly spillFolder: string;
}

/** `copies`: temporaries in directories of another file system than the root's, recorded before they are made. */
const schema = `
  ${factsSchema}
  CREATE TABLE IF NOT EXISTS copies (directory TEXT NOT NULL, name TEXT NOT NULL, PRIMARY KEY (directory, name)) WITHOUT ROWID;
  ${recordsSchema}
  ${uploadsSchema}`;

const refuse = (code: string, message: string, location: string, hint: string): BrigadeError =>
  new BrigadeError({ code, kind: 'usage', message, op: 'open', location, hint });

/** @throws BrigadeError E_NO_ROOT, E_STATE_IN_ROOT, E_STATE_OF_ANOTHER_ROOT, E_STATE_LOCKED, E_STATE_UNUSABLE */
export async function openFilesRooms(options: FilesLayoutOptions): Promise<FilesRooms> {
  const root = await realRoot(options.root);
  const state = await outside(root, resolve(options.state));
  const device = (await stat(root, { bigint: true })).dev;
  const db = new Database(join(state, 'files.db'), schema);
  try {
    bindToRoot(db, root, state, 'give each root a --state of its own');
    const spillFolder = join(state, 'names');
    mkdirSync(spillFolder, { recursive: true });
    for (const name of readdirSync(spillFolder)) rmSync(join(spillFolder, name), { force: true });
    const jail = new Jail({ root, create: false, durable: true, capacity: 128 });
    const folder = new BodyFolder({ jail, incoming: [OWN_FOLDER, `agent-${factOf(db, 'agent', randomBytes(8).toString('hex'))}`], emptyFiles: true });
    const { bucket } = options;
    const tree = new Tree(jail, root, bucket === undefined ? (name) => [rawOf(name)] : () => []);
    const records = new Records(db, device);
    return { options, root, db, jail, tree, folder, records, uploads: new Uploads(db, (pieces) => folder.bodyOf(pieces)), spillFolder };
  } catch (error) {
    db.close();
    throw error;
  }
}

export async function closeFilesRooms({ db, jail }: FilesRooms): Promise<void> {
  db.close();
  await jail.close();
}

async function realRoot(given: string): Promise<string> {
  try {
    const root = await realpath(given);
    if ((await stat(root)).isDirectory()) return root;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw fsError(error, 'open', given);
    throw refuse('E_NO_ROOT', 'the directory does not exist', given, 'name the directory to serve with --root');
  }
  throw refuse('E_NO_ROOT', 'it is not a directory', given, 'name the directory to serve with --root');
}

/** The state folder by its real path, of which the end need not exist yet. */
async function outside(root: string, state: string): Promise<string> {
  const real = await realOf(state);
  if (`${real}${sep}`.startsWith(root === sep ? sep : `${root}${sep}`)) throw refuse('E_STATE_IN_ROOT', 'the state lies inside the served tree, where clients could read and write it', state, 'choose a --state outside of --root');
  return real;
}

async function realOf(path: string): Promise<string> {
  try {
    return await realpath(path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT' || dirname(path) === path) throw fsError(error, 'open', path);
    return join(await realOf(dirname(path)), basename(path));
  }
}
