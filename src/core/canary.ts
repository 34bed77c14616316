/** Objects that a look before a run writes at a destination and removes again. Where it may not delete, one stays: it is nobody's object. */
import type { Key } from './key.ts';

const CANARY = /^\.brigade\/canary-[0-9a-f]{12}(?:\/|$)/;
/** What every prefix that finds canaries alone begins with. */
export const CANARY_PREFIX = '.brigade/canary-';

export function isCanary(key: Key): boolean {
  return key.startsWith(CANARY_PREFIX) && CANARY.test(key);
}

/** A new one; `next` gives numbers from 0 to 1. */
export function canaryKey(next: () => number): Key {
  return CANARY_PREFIX + Array.from({ length: 12 }, () => Math.floor(next() * 16).toString(16)).join('');
}
