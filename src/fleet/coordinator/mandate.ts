/**
 * Whether this coordinator is still the one: nobody has claimed an epoch after its own. Asked before anything that others see, at most once a second, so that
 * who was replaced stops within that time, also when it has nothing to write (the journal refuses what it writes at once).
 */
import { usageError } from '../../core/errors.ts';
import type { Clock } from '../../ports/clock.ts';
import type { CoordinatorJournal } from '../../ports/journal.ts';

const ASK_MS = 1000;

export class Mandate {
  readonly #pen: Pick<CoordinatorJournal, 'isCurrent' | 'claim'>;
  readonly #clock: Clock;
  #askMs = Number.NEGATIVE_INFINITY;

  constructor(pen: Pick<CoordinatorJournal, 'isCurrent' | 'claim'>, clock: Clock) {
    this.#pen = pen;
    this.#clock = clock;
  }

  /** @throws BrigadeError usage E_JOURNAL_FENCED; those of the journal */
  async check(signal: AbortSignal): Promise<void> {
    const { epoch } = this.#pen.claim;
    const now = this.#clock.monotonic();
    if (now < this.#askMs) return;
    if (!await this.#pen.isCurrent(signal)) throw usageError('E_JOURNAL_FENCED', `another coordinator took over from epoch ${epoch}`, 'stop this one; the other goes on with the run');
    this.#askMs = now + ASK_MS;
  }
}
