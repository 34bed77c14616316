/** Parts of an object whose task somebody else holds: read from the same pinned version, put into the same upload, recorded one by one. */
import { partRange } from '../core/parts.ts';
import type { PartRange } from '../ports/queue.ts';
import type { CopyContext } from './copier.ts';
import { sendPart, type PartStep } from './copy-parts.ts';

/** Adds to `stored` each part that is recorded: another try goes on behind them. Throws what the stores and the recorder throw. */
export async function copyRange(context: CopyContext, range: PartRange, stored: Set<number>, signal: AbortSignal): Promise<void> {
  const { upload, pin, algorithm, task } = range;
  const sent = (bytes: number): void => context.events.emit({ type: 'bytes', key: upload.key, bytes });
  const step: PartStep = { context, version: { key: upload.key, size: upload.size, pin }, signal, sent };
  for (const number of range.numbers) {
    if (stored.has(number)) continue;
    signal.throwIfAborted();
    const part = await sendPart(step, upload, number, partRange(number, upload.size, upload.partSize), algorithm);
    await context.recorder.recordPart(task, upload.id, part);
    stored.add(number);
  }
}
