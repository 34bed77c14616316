import { createHash } from 'node:crypto';

/** 0 ≤ x < 1, the same for the same text. */
export const chance = (text: string): number => createHash('sha256').update(text).digest().readUInt32BE(0) / 2 ** 32;
