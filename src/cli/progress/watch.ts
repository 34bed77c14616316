/** Shows one run while it works. */
import { existsSync } from 'node:fs';
import { BrigadeError, isKind } from '../../core/errors.ts';
import { inspectLedger, type LedgerView } from '../../ledger/sqlite/index.ts';
import type { Clock } from '../../ports/clock.ts';
import type { Events, RunEvent } from '../../ports/events.ts';
import type { Screen } from './screen.ts';
import { ProgressState, type ReadTally } from './snapshot.ts';

export interface WatchOptions {
  readonly migration: string;
  /** Path of the ledger; it may not be there yet. */
  readonly ledger: string;
  readonly screen: Screen;
  readonly clock: Clock;
  readonly verbose: boolean;
}

export interface Watch extends Events {
  say(level: 'info' | 'warn' | 'error', text: string): void;
  /** The last picture is taken away; nothing is shown afterwards. */
  end(): Promise<void>;
}

export function watch(options: WatchOptions): Watch {
  return new Watcher(options);
}

class Watcher implements Watch {
  readonly #options: WatchOptions;
  readonly #state: ProgressState;
  readonly #stop = new AbortController();
  readonly #drawing: Promise<void>;
  #view: LedgerView | undefined;

  constructor(options: WatchOptions) {
    this.#options = options;
    this.#state = new ProgressState(options.migration, options.clock);
    this.#drawing = this.#draw();
  }

  emit(event: RunEvent): void {
    const { stage, waiting } = this.#state;
    this.#state.emit(event);
    if (event.type === 'note' && (event.level !== 'info' || this.#options.verbose)) this.say(event.level, event.text);
    if (event.type === 'retry' && this.#options.verbose) this.say('info', `${event.side} ${event.op}: ${event.problem.message} [${event.problem.code}]; again in ${event.waitMs} ms`);
    if (this.#state.stage !== stage || this.#state.waiting !== waiting) this.#show(true);
  }

  say(level: 'info' | 'warn' | 'error', text: string): void {
    if (!this.#stop.signal.aborted) this.#options.screen.say(level, text);
  }

  async end(): Promise<void> {
    this.#stop.abort();
    await this.#drawing;
    this.#options.screen.end();
    await this.#view?.close();
    this.#view = undefined;
  }

  async #draw(): Promise<void> {
    const { clock, screen } = this.#options;
    try {
      for (;;) {
        await clock.sleep(screen.everyMs, this.#stop.signal);
        this.#show(false);
      }
    } catch (thrown) {
      if (!isKind(thrown, 'cancelled')) throw thrown;
    }
  }

  #show(changed: boolean): void {
    if (!this.#stop.signal.aborted) this.#options.screen.show(this.#state.snapshot(this.#read), changed);
  }

  /** Only from the first stage on: before, the latest run in the ledger is another one. */
  readonly #read: ReadTally = () => {
    if (this.#state.stage === 'starting' || !existsSync(this.#options.ledger)) return undefined;
    try {
      this.#view ??= inspectLedger(this.#options.ledger);
      const run = this.#view.run();
      return run === undefined ? undefined : { tally: this.#view.tally(run.number), sealed: run.listing.sealed };
    } catch (thrown) {
      // A screen is not worth a run: whatever is wrong with the ledger, the run itself finds out and says.
      if (thrown instanceof BrigadeError) return undefined;
      throw thrown;
    }
  };
}
