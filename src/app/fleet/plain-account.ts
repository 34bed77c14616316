/** What became of plain messages, from their reports in the journal: nothing else knows of them. */
import type { Outcome } from '../../core/item.ts';
import type { Key } from '../../core/key.ts';
import type { Damage, Journal, ReadReport } from '../../ports/journal.ts';
import { taskId } from '../../fleet/content.ts';

export interface PlainTold {
  /** Its name in the journal. */
  readonly id: string;
  /** What the queue calls it; absent: all that told of it is damaged. */
  readonly message?: string;
  /** Nothing of it is to be done any more. */
  readonly closed: boolean;
  /** The last word on each of its keys, in no order. */
  readonly outcomes: readonly Outcome[];
  readonly damages: readonly Damage[];
}

/** One after the other; of those in work what was told so far. Bounded memory: reports of one message lie side by side. */
export async function* plainMessages(journal: Pick<Journal, 'plainReports'>, signal?: AbortSignal): AsyncGenerator<PlainTold> {
  let id = '';
  let reads: ReadReport[] = [];
  for await (const read of journal.plainReports(undefined, signal)) {
    // Of spans of a large object: what they say is in the reports of its message, too.
    if (read.work.firstPart !== undefined) continue;
    const next = taskId(read.work);
    if (next !== id && reads.length > 0) yield told(id, reads);
    if (next !== id) reads = [];
    id = next;
    reads.push(read);
  }
  if (reads.length > 0) yield told(id, reads);
}

function told(id: string, reads: readonly ReadReport[]): PlainTold {
  const last = new Map<Key, Outcome>();
  for (const { report } of [...reads].sort((a, b) => a.nth - b.nth)) for (const outcome of report?.outcomes ?? []) last.set(outcome.key, outcome);
  const message = reads.find(({ report }) => report?.message !== undefined)?.report?.message;
  return {
    id, closed: reads.some(({ report }) => report?.close === true), outcomes: [...last.values()], damages: reads.flatMap(({ damage }) => damage ?? []),
    ...(message === undefined ? {} : { message }),
  };
}
