/** What only a try on the mount itself can tell: which names fall together there, and how finely it keeps times. */
import { statfsSync } from 'node:fs';
import { mkdir, open, rm, stat, statfs, unlink } from 'node:fs/promises';
import { join } from 'node:path';
import type { Key } from '../../core/key.ts';
import { fsError, errno } from './failures.ts';

export interface NameProbe {
  /** `A` and `a` are one file (F041). */
  readonly foldsCase: boolean;
  /** NFC and NFD forms are one file (F040). */
  readonly normalises: boolean;
}

/** Two files that differ only so much: does the second name find the first? Canaries stand in `.brigade/` and are removed. */
export async function probeNames(root: string, id: string): Promise<NameProbe> {
  return withCanaries(root, async (folder) => ({
    foldsCase: await fallTogether(folder, `case-${id}-x`, `CASE-${id}-X`),
    normalises: await fallTogether(folder, `form-${id}-\u00e9`, `form-${id}-e\u0301`),
  }));
}

/**
 * Keys that get the same answer would be one file. Identity where names never fall together; otherwise folded as the strictest of the
 * usual file systems does, which may call two names one that are two: reported, never lost.
 */
export function collisionKey(probe: NameProbe): (key: Key) => Key {
  return (key) => {
    const normal = probe.normalises ? key.normalize('NFC') : key;
    return probe.foldsCase ? normal.toUpperCase().toLowerCase() : normal;
  };
}

/** Nanoseconds of the coarsest step in which the mount keeps times, as far as Node can set them: 1 … 2,000,000,000 (FAT), powers of ten or two seconds (F057). */
export async function probeGranularity(root: string, id: string): Promise<number> {
  return withCanaries(root, async (folder) => {
    const path = join(folder, `time-${id}`);
    const file = await open(path, 'wx');
    try {
      let coarsest = 1n;
      // Odd in every digit; Node itself resolves about 240 ns near the present, so digits below a microsecond cannot be asked for.
      for (const micros of [1_700_000_001_357_913n, 1_600_000_003_979_531n]) {
        await file.utimes(Number(micros) / 1e6, Number(micros) / 1e6);
        const step = stepOf((await stat(path, { bigint: true })).mtimeNs, micros * 1000n);
        if (step > coarsest) coarsest = step;
      }
      return Number(coarsest);
    } finally {
      await file.close();
      await unlink(path);
    }
  });
}

/** The finest of the usual steps in which `found` is `wanted` rounded. */
function stepOf(found: bigint, wanted: bigint): bigint {
  const off = found > wanted ? found - wanted : wanted - found;
  for (const step of [1_000n, 10_000n, 100_000n, 1_000_000n, 10_000_000n, 100_000_000n, 1_000_000_000n, 2_000_000_000n]) if (off < step) return step;
  return 2_000_000_000n;
}

const KINDS: ReadonlyMap<number, string> = new Map([
  [0xef53, 'ext4'], [0x01021994, 'tmpfs'], [0x58465342, 'xfs'], [0x9123683e, 'btrfs'], [0x2fc12fc1, 'zfs'], [0x794c7630, 'overlay'], [0xf2f52010, 'f2fs'],
  [0x6969, 'nfs'], [0x517b, 'smb'], [0xff534d42, 'cifs'], [0xfe534d42, 'smb2'], [0x65735546, 'fuse'], [0x00c36400, 'ceph'], [0x0bd00bd0, 'lustre'], [0x47504653, 'gpfs'], [0x01021997, '9p'], [0x5346414f, 'afs'],
  [0x4d44, 'vfat'], [0x2011bab0, 'exfat'], [0x5346544e, 'ntfs'], [0x7366746e, 'ntfs3'],
]);
const NETWORKED: ReadonlySet<string> = new Set(['nfs', 'smb', 'cifs', 'smb2', 'fuse', 'ceph', 'lustre', 'gpfs', '9p', 'afs']);

export interface FilesystemType {
  /** `ext4`, `nfs` …; `0x…` where the magic number is not known. */
  readonly type: string;
  /** Files may live on another machine: locks and crash safety of a database are not given there (F103). FUSE counts, for it may. */
  readonly network: boolean;
}

/** The file system a path lies on, by statfs(2). Only Linux numbers are known; elsewhere `unknown`, not networked. */
export async function filesystemType(path: string): Promise<FilesystemType> {
  try {
    return typeOf((await statfs(path)).type);
  } catch (error) {
    throw fsError(error, 'statfs', path);
  }
}

/** The same on this thread, for who must not wake another one; undefined: nothing stands there, or it may not be asked. */
export function filesystemTypeNow(path: string): FilesystemType | undefined {
  try {
    return typeOf(statfsSync(path).type);
  } catch {
    // Who needs the folder will say what is wrong with it.
    return undefined;
  }
}

function typeOf(magic: number): FilesystemType {
  const number = magic >>> 0;
  const type = process.platform === 'linux' ? (KINDS.get(number) ?? `0x${number.toString(16)}`) : 'unknown';
  return { type, network: NETWORKED.has(type) };
}

async function withCanaries<T>(root: string, work: (folder: string) => Promise<T>): Promise<T> {
  const folder = join(root, '.brigade');
  try {
    const made = await mkdir(folder, { recursive: true });
    try {
      return await work(folder);
    } finally {
      if (made !== undefined) await rm(folder, { recursive: true, force: true });
    }
  } catch (error) {
    throw fsError(error, 'probe', root);
  }
}

async function fallTogether(folder: string, one: string, other: string): Promise<boolean> {
  await (await open(join(folder, one), 'wx')).close();
  try {
    await stat(join(folder, other));
    return true;
  } catch (error) {
    if (errno(error) === 'ENOENT') return false;
    throw error;
  } finally {
    await unlink(join(folder, one));
  }
}
