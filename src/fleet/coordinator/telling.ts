/** The run control, as workers are to obey it: written when it is another than before, one after the other, whatever else the coordinator is at. */
import { canonicalJson } from '../../core/canonical-json.ts';
import type { InForce, Rates } from '../../core/timetable.ts';
import type { Control, CoordinatorJournal } from '../../ports/journal.ts';

export type Limits = Rates & Pick<InForce, 'paused'>;

/** Of a run that was cancelled: `given up`, then `laid down` by all who worked on it. `done`: it ends by itself. */
export type Standing = 'open' | 'given up' | 'laid down' | 'done';

export interface Commands {
  readonly run: number;
  readonly standing: Standing;
  /** It waits for a premise. */
  readonly isHeld: boolean;
  readonly limits: Limits;
  readonly workers: number;
}

/** What workers are to obey. Runs before the one that it names are over. A pause ends with its run: nobody could lift it later. */
export function controlOf({ run, standing, isHeld, limits, workers }: Commands): Control {
  const isGivenUp = standing === 'given up' || standing === 'laid down';
  const { paused, bandwidth, requests } = standing !== 'open' && limits.paused === true ? {} : limits;
  const rates = { ...(bandwidth === undefined ? {} : { bandwidth }), ...(requests === undefined ? {} : { requests }) };
  const pause = standing === 'open' ? isHeld || paused === true : standing === 'given up';
  // Who takes over on another machine keeps the run paused, without the file in which that was said.
  return { run: run + (isGivenUp ? 1 : 0), pause, ...(paused === true ? { by: 'operator' } : {}), rates, workers: Math.max(1, workers) };
}

export interface TellingOptions {
  readonly pen: CoordinatorJournal;
  /** What is to be obeyed now. */
  readonly control: () => Control;
  readonly signal: AbortSignal;
}

export class Telling {
  readonly #options: TellingOptions;
  #told: Control | undefined;
  #turn: Promise<void> = Promise.resolve();

  constructor(options: TellingOptions) {
    this.#options = options;
  }

  /** What stands in the journal. */
  get told(): Control {
    return this.#told ?? {};
  }

  /** Resolves when it stands. Errors: those of the pen. */
  tell(): Promise<void> {
    const told = this.#turn.then(() => this.#once());
    this.#turn = told.catch(() => undefined);
    return told;
  }

  /** At once, where anything was told before: workers may be at work by it. Who fails here says so the next time that all is told. */
  tellSoon(): void {
    if (this.#told !== undefined) void this.tell().catch(() => undefined);
  }

  async #once(): Promise<void> {
    const control = this.#options.control();
    if (this.#told !== undefined && canonicalJson(control) === canonicalJson(this.#told)) return;
    await this.#options.pen.control(control, this.#options.signal);
    this.#told = control;
  }
}
