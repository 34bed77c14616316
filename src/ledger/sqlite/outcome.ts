/** What an outcome makes of an item. Pure. */
import type { Item, Outcome } from '../../core/item.ts';
import type { Mutable } from '../../core/mutable.ts';
import type { Line } from './block.ts';

/**
 * The line after this outcome, or undefined when it says nothing new: the same outcome twice, or a late one of a former holder.
 * A concluded item only ever gets better: a success replaces a failure or skip. Another success replaces it only when it says which version of the source
 * it read: one that does not read the version that was planned, and a writer that was frozen may be telling of it long after a newer one was copied. Which of
 * two writes stands is for the closing listing to find.
 */
export function settle(line: Line, outcome: Outcome): Line | undefined {
  if (!saysMore(line, outcome)) return undefined;
  const { item } = line;
  const after: Mutable<Item> = {
    key: item.key, kind: item.kind, size: outcome.size ?? item.size, state: outcome.state, source: outcome.source ?? item.source,
    evidence: outcome.evidence, attempts: outcome.attempts,
  };
  // A pending item keeps its guard unless the outcome saw something newer at the destination.
  const destination = outcome.destination ?? item.destination;
  if (destination !== undefined) after.destination = destination;
  if (outcome.checksum !== undefined) after.checksum = outcome.checksum;
  if (item.undone !== undefined) after.undone = item.undone;
  if (item.storageClass !== undefined) after.storageClass = item.storageClass;
  if (concludes(outcome.state) && outcome.problem !== undefined) after.code = outcome.problem.code;
  const lost = outcome.lost === undefined || outcome.lost.length === 0 ? undefined : outcome.lost;
  return lost === undefined ? { item: after } : { item: after, lost };
}

const concludes = (state: Item['state']): boolean => state === 'skipped' || state === 'failed';
const succeeds = (state: Item['state']): boolean => state === 'copied' || state === 'unchanged';

function saysMore({ item }: Line, outcome: Outcome): boolean {
  if (item.state === 'pending') return outcome.state !== 'pending' || outcome.attempts > item.attempts || outcome.problem !== undefined;
  if (!succeeds(outcome.state)) return false;
  if (!succeeds(item.state)) return true;
  return outcome.source !== undefined && outcome.destination !== undefined && outcome.destination !== item.destination;
}
