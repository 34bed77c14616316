/** A migration never writes onto its own source (truth 16), nor into the folder or journal that remembers it. */
import { realpathSync, statSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import type { BrigadeError } from '../core/errors.ts';
import { serverOf, showLocation } from './address.ts';
import type { FileLocation, Location, S3Location } from './migration.ts';
import { configError, quoteValue } from './problem.ts';

/** What the file system says of a path; a test may say otherwise. */
export interface FileIdentity {
  /** The path with all links resolved; throws where it does not exist. */
  readonly realpath: (path: string) => string;
  /** Device and inode, the same for every way to one folder (links, bind mounts, other case); undefined where there is none. */
  readonly identity: (path: string) => string | undefined;
}

const thisMachine: FileIdentity = {
  realpath: (path) => realpathSync.native(path),
  identity: (path) => {
    try {
      const stat = statSync(path, { bigint: true });
      return `${stat.dev}:${stat.ino}`;
    } catch {
      // Not there, a loop of links, or not ours to see: then its path is all there is to compare, and the run itself will say why.
      return undefined;
    }
  },
};

export interface Ends {
  readonly source: Location;
  readonly destination: Location;
  readonly file?: string;
  /** What is put before every key belongs to where the keys go. */
  readonly transform?: { readonly keyPrefix: string };
}

/** Throws E_OVERLAP (usage, exit 2) when source and destination are equal or nested, or the state folder lies in one of them. */
export function checkOverlap(ends: Ends, stateDir?: string, files: FileIdentity = thisMachine): void {
  const { source } = ends;
  const destination = writtenPlace(ends.destination, ends.transform?.keyPrefix ?? '');
  if (overlaps(source, destination, files)) {
    throw overlap(ends, `the destination ${quoteValue(showLocation(destination))} and the source ${quoteValue(showLocation(source))} are the same or one lies in the other`, 'choose a destination outside of the source');
  }
  if (stateDir === undefined) return;
  for (const [name, location] of [['source', source], ['destination', destination]] as const) {
    if (location.kind === 'file' && nestedFolders(location, { kind: 'file', path: stateDir }, files)) {
      throw overlap(ends, `the state folder ${quoteValue(stateDir)} and the ${name} ${quoteValue(location.path)} lie in one another`, 'choose another folder with --state');
    }
  }
}

/** Throws E_OVERLAP (usage, exit 2) when the journal of a fleet and one of the two ends are equal or nested: it would be copied, or taken for what is extra. */
export function checkJournal(ends: Ends, journal: Location, files: FileIdentity = thisMachine): void {
  const destination = writtenPlace(ends.destination, ends.transform?.keyPrefix ?? '');
  for (const [name, location] of [['source', ends.source], ['destination', destination]] as const) {
    if (overlaps(location, journal, files)) throw overlap(ends, `the journal ${quoteValue(showLocation(journal))} and the ${name} ${quoteValue(showLocation(location))} are the same or one lies in the other`, 'choose another place with --journal');
  }
}

/** Where the keys really go: the destination with the key prefix behind it. */
export function writtenPlace<L extends Location>(destination: L, keyPrefix: string): L {
  if (keyPrefix === '') return destination;
  if (destination.kind === 's3') return { ...destination, prefix: destination.prefix + keyPrefix };
  return destination.kind === 'file' ? { ...destination, path: join(destination.path, keyPrefix) } : destination;
}

function overlap(ends: Ends, message: string, fix: string): BrigadeError {
  return configError(ends.file === undefined ? 'SRC DST' : `${ends.file}:1:1`, message, fix, 'E_OVERLAP');
}

function overlaps(a: Location, b: Location, files: FileIdentity): boolean {
  if (a.kind === 's3' && b.kind === 's3') return nestedPrefixes(a, b);
  if (a.kind === 'file' && b.kind === 'file') return nestedFolders(a, b, files);
  return a.kind === 'memory' && b.kind === 'memory' && a.name === b.name;
}

function nestedPrefixes(a: S3Location, b: S3Location): boolean {
  if (serverOf(a) !== serverOf(b) || a.bucket !== b.bucket) return false;
  return a.prefix.startsWith(b.prefix) || b.prefix.startsWith(a.prefix);
}

function nestedFolders(a: FileLocation, b: FileLocation, files: FileIdentity): boolean {
  const [one, other] = [realChain(a.path, files), realChain(b.path, files)];
  return one.has(first(other)) || other.has(first(one));
}

/**
 * The folder and everything above it, by identity where it exists and by path where it does not yet. The first entry is the folder itself.
 */
function realChain(path: string, files: FileIdentity): Set<string> {
  const chain = new Set<string>();
  for (let here = realPath(path, files); ; here = dirname(here)) {
    chain.add(files.identity(here) ?? missing(here, files));
    if (dirname(here) === here) return chain;
  }
}

/** A folder that does not exist yet: the identity of the nearest one that does, and the rest of the way. */
function missing(path: string, files: FileIdentity): string {
  const parent = dirname(path);
  return `${files.identity(parent) ?? missing(parent, files)}/${basename(path)}`;
}

function first(chain: Set<string>): string {
  return chain.values().next().value ?? '';
}

/** Links resolved as far as the path exists. */
function realPath(path: string, files: FileIdentity): string {
  try {
    return files.realpath(path);
  } catch {
    // Not there (yet), or not ours to see: its parent decides. The root always resolves.
    const parent = dirname(path);
    return parent === path ? path : join(realPath(parent, files), basename(path));
  }
}
