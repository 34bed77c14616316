/**
 * Which member has what. A message falls into one of 4,096 virtual partitions, by the hash of what it is of, and stays there for good; a map gives each
 * member a share of them. So the same task always comes to the same member for as long as a map holds, and a new map is a short list.
 */
import { createHash } from 'node:crypto';

export const PARTITIONS = 4096;
/** Members of a map: each with some sixteen partitions at least, so that their shares are about equal. */
export const MOST_MEMBERS = 256;

/** From 0. SHA-256, because keys and numbers that follow one another must not fall together. */
export function partitionOf(affinity: string): number {
  return createHash('sha256').update(affinity, 'utf8').digest().readUInt16BE(0) % PARTITIONS;
}

/** The first partition of each member, in order; its share ends where the next one's begins. */
export function startsFor(members: number): readonly number[] {
  return Array.from({ length: members }, (_, member) => Math.floor(member * PARTITIONS / members));
}

/** From 1. */
export function memberOf(starts: readonly number[], partition: number): number {
  let [low, high] = [0, starts.length - 1];
  while (low < high) {
    const middle = Math.ceil((low + high) / 2);
    if ((starts[middle] as number) <= partition) low = middle;
    else high = middle - 1;
  }
  return low + 1;
}
