/** What identifies one version of a file: size, mtime, inode and ctime, to the nanosecond. No user can set ctime back. */
import type { BigIntStats } from 'node:fs';
import type { Key } from '../../core/key.ts';
import type { ObjectInfo, Token } from '../../core/object.ts';

export function tokenOf(stats: BigIntStats): Token {
  return [stats.size, stats.mtimeNs, stats.ino, stats.ctimeNs].map((part) => part.toString(36)).join('-');
}

export function sameVersion(a: BigIntStats, b: BigIntStats): boolean {
  return a.dev === b.dev && a.ino === b.ino && a.size === b.size && a.mtimeNs === b.mtimeNs && a.ctimeNs === b.ctimeNs;
}

/** Milliseconds with the fraction that the file system keeps. */
export function modifiedMs(stats: BigIntStats): number {
  return Number(stats.mtimeNs / 1_000_000n) + Number(stats.mtimeNs % 1_000_000n) / 1e6;
}

export function infoOf(key: Key, stats: BigIntStats): ObjectInfo {
  return {
    key, size: stats.isDirectory() ? 0 : Number(stats.size), token: tokenOf(stats), modifiedMs: modifiedMs(stats),
    headers: {}, userMetadata: new Map(), mtimeNs: stats.mtimeNs.toString(), mode: Number(stats.mode) & 0o777,
  };
}

/** Seconds as Node's futimes takes them: a double, which near the present resolves 240 ns. Its own result maps to itself (F057). */
export function secondsOf(mtimeNs: string): number {
  return Number(BigInt(mtimeNs)) / 1e9;
}
