/** What a delivery leaves behind when it is given back (GaveBack in ports/journal.ts), and when that is worth a report of its own. */
import type { Key } from '../../core/key.ts';
import type { MessageDelivery } from '../../ports/message-queue.ts';
import type { LastWord } from './recorder.ts';

/** A write costs about as much as so many questions to a store, one for each object in doubt. */
const FEW_OBJECTS = 12;
/** What went through more hands than this is in some doubt most likely, and a journal takes but so many reports of one task. */
const MANY_DELIVERIES = 8;

export function lastWord({ id, receives }: Pick<MessageDelivery, 'id' | 'receives'>, begun: readonly Key[], objects: number): LastWord {
  return { gaveBack: { message: id, delivery: receives, begun }, pays: objects - begun.length >= FEW_OBJECTS && receives <= MANY_DELIVERIES };
}
