/**
 * Which of a task's objects kills its workers (F098): what remains of a task is tried in ever smaller ranges, each with nothing else in work, so that its
 * innocent neighbours get done on the way, until one object is left that kills whoever begins it alone. Pure.
 */
import type { Item } from '../../core/item.ts';
import { compareKeys, type Key } from '../../core/key.ts';
import { ATTEMPTS } from '../../engine/options.ts';
import type { Begun } from '../../ports/journal.ts';

/** So many workers died with the task in hand before it is looked at in this way: the first of them may have had an accident. */
export const SUSPICIOUS = 2;
/** A range that kills is cut into so many. Each death costs a lease, so that they are more than two. */
const PIECES = 8;
/** Of all deaths with one object in hand, so many with nothing else in hand: one or two may be the machine's. */
const ALONE = 3;

export type Step =
  | { readonly items: readonly Item[] }
  /** Nobody is to try it again: it kills. */
  | { readonly poison: Item; readonly deaths: number };

/** `left`: in key order, at least one. `deaths`: what dead workers had begun. */
export function nextStep(left: readonly Item[], deaths: readonly Begun[]): Step {
  const item = left[0] as Item;
  const itsOwn = deaths.filter((death) => holds(death, item.key));
  const alone = itsOwn.filter(({ alone: only }) => only);
  if (itsOwn.length >= ATTEMPTS && alone.filter(({ objects }) => objects === 1).length >= ALONE) return { poison: item, deaths: itsOwn.length };
  const narrowest = alone.reduce<Begun | undefined>((least, death) => (least === undefined || death.objects < least.objects ? death : least), undefined);
  const some = left.slice(0, Math.ceil((narrowest?.objects ?? left.length) / PIECES));
  return { items: narrowest === undefined ? some : some.filter(({ key }) => holds(narrowest, key)) };
}

function holds({ first, last }: Begun, key: Key): boolean {
  return compareKeys(first, key) <= 0 && compareKeys(key, last) <= 0;
}
