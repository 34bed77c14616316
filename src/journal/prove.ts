/** That a store can carry a journal: that of two writers of one name exactly one wins, always. Everything else rests on this. */
import { isKind, usageError } from '../core/errors.ts';
import type { Key } from '../core/key.ts';
import type { Random } from '../ports/clock.ts';
import type { Store } from '../ports/storage.ts';
import { canaryName } from './names.ts';
import { putOnce } from './shelf.ts';

const ROUNDS = 8;
const WRITERS = 4;

/**
 * Lets writers race for canaries and looks what stands there. The facts of an S3-compatible store must have been measured before (`probeStore`):
 * where they say that it ignores the condition, the driver stands in for it, which no race shows and no other process sees.
 * @throws BrigadeError usage E_JOURNAL_GUARDS.
 */
export async function proveConditionalWrites(store: Store, random: Random, signal?: AbortSignal): Promise<void> {
  refuseUnguarded(store);
  const keys = Array.from({ length: ROUNDS }, (_, round) => canaryName(random, round));
  try {
    for (const key of keys) await race(store, key, signal);
  } finally {
    for (const key of keys) await store.remove(key, signal).catch((thrown: unknown) => {
      // A canary that may not be removed must not hide what the race showed.
      if (!isKind(thrown, 'object', 'premise', 'gone', 'transient', 'throttled', 'unsupported')) throw thrown;
    });
  }
}

/** By what was measured of the store, without asking it. @throws BrigadeError usage E_JOURNAL_GUARDS. */
export function refuseUnguarded(store: Store): void {
  if (!store.facts.guards.absent) throw refused(store, 'it ignores If-None-Match: * on a write');
}

async function race(store: Store, key: Key, signal: AbortSignal | undefined): Promise<void> {
  const bodies = Array.from({ length: WRITERS }, (_, writer) => Buffer.from(`writer ${writer}\n`));
  const lost = await Promise.all(bodies.map((bytes) => putOnce(store, key, bytes, signal)));
  const winners = bodies.filter((_, writer) => lost[writer] === undefined);
  if (winners.length !== 1) throw refused(store, `${winners.length} of ${WRITERS} writers of one name were told that they won`);
  const late = await putOnce(store, key, Buffer.from('a late writer\n'), signal);
  if (late === undefined) throw refused(store, 'a write under a name that is taken was let through');
  if (!late.bytes.equals(winners[0] as Buffer)) throw refused(store, 'what stands under a name is not what its winner wrote');
}

function refused(store: Store, why: string): Error {
  return usageError('E_JOURNAL_GUARDS', `this store cannot carry a journal: ${why}`, 'name a bucket of a store with conditional writes, or a shared directory', store.address);
}
