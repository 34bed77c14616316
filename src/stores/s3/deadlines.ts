/** Deadlines for all exchanges and idle connections of a transport, by one timer: a timer for each costs a small request more than its head. */

/** Precision: what is due is told between 0 and this much later. */
const STEP_MS = 100;

export interface Timed {
  /** Its time is over; it is no longer kept. */
  late(): void;
}

export class Deadlines {
  readonly #due = new Map<Timed, number>();
  #step = 0;
  #timer: NodeJS.Timeout | undefined;

  /** In place of what was set before. */
  set(one: Timed, ms: number): void {
    // The step that runs may be nearly over.
    this.#due.set(one, this.#step + Math.ceil(ms / STEP_MS) + 1);
    // What is waited for holds a socket open, or must not keep the process alive.
    this.#timer ??= setInterval(() => { this.#next(); }, STEP_MS).unref();
  }

  clear(one: Timed): void {
    this.#due.delete(one);
  }

  #next(): void {
    this.#step++;
    for (const [one, step] of this.#due) {
      if (step > this.#step) continue;
      this.#due.delete(one);
      one.late();
    }
    if (this.#due.size > 0) return;
    clearInterval(this.#timer);
    this.#timer = undefined;
  }
}
