/** Tells operators of objects that failed: a letter to the dead letters for each task that has some, once its last report stands. */
import { asBrigadeError, errorLine, isKind } from '../../core/errors.ts';
import type { Clock } from '../../ports/clock.ts';
import { type Journal, PLAIN_EPOCH, type TaskName } from '../../ports/journal.ts';
import type { MessageQueue } from '../../ports/message-queue.ts';
import { failedOf, reasonOf, sealFailures } from '../failure-letter.ts';
import type { SpecReference } from '../messages.ts';
import { messageId, type TaskCodec } from '../task-message.ts';
import type { Known } from './known.ts';
import { sendingOf } from './recorder.ts';

export interface TellerOptions {
  readonly queue: Pick<MessageQueue, 'bury' | 'limits'>;
  readonly codec: TaskCodec;
  readonly spec: SpecReference;
  readonly worker: string;
  readonly clock: Clock;
  /** Said once, however often it is told. */
  readonly note: (text: string) => void;
}

export interface TellingOf {
  readonly name: TaskName;
  readonly run: number;
  readonly sending: number;
}

export class FailureTeller {
  readonly #options: TellerOptions;

  constructor(options: TellerOptions) {
    this.#options = options;
  }

  /**
   * Nothing where nothing failed, or where the journal says that it was told. A letter that is refused is noted and no reason to do the task again.
   * @throws transient, throttled: the queue does not take it now
   */
  async tell({ name, run, sending }: TellingOf, known: Known, journal: Journal): Promise<void> {
    const { queue, codec, spec, worker, clock, note } = this.#options;
    const failed = failedOf(known.failed);
    if (failed.length === 0 || known.told) return;
    try {
      const body = await sealFailures(codec, { name, spec, run: name.epoch === PLAIN_EPOCH ? 0 : run, worker, atMs: Math.max(0, Math.round(clock.now())), failed }, queue.limits.largestMessageBytes, (document) => journal.keep(document));
      await queue.bury({ id: `failed-${messageId(spec.id, name, sending)}`, body }, reasonOf({ failed }));
    } catch (thrown) {
      const error = asBrigadeError(thrown, 'bury');
      if (isKind(error, 'transient', 'throttled', 'cancelled')) throw error;
      note(`objects that failed are not told among the dead letters: ${errorLine(error)}`);
      return;
    }
    // Should this fail, and the message come again, it is told twice: better than never.
    await journal.report(name, { worker, outcomes: [], close: false, parts: [], told: true, ...sendingOf(known) }, undefined, known.reports).catch(() => undefined);
  }
}
