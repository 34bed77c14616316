/** The run control, as workers are to obey it: written when it is another than before, one after the other, whatever else the coordinator is at. */
import { canonicalJson } from '../../core/canonical-json.ts';
import type { Control, CoordinatorJournal } from '../../ports/journal.ts';

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
