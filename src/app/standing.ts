/**
 * Whether a crew works: not while the run holds it, because a premise failed, nor while somebody has paused the run. One change is made after the other:
 * who is told to go while he still lays down what he had would lay down what he has just begun.
 */
export class Standing {
  readonly #change: (going: boolean) => Promise<void>;
  #isHeld = false;
  #isPaused = false;
  #going = true;
  #turn: Promise<void> = Promise.resolve();

  /** `change` resolves when nobody works any more, or all do; it never rejects. */
  constructor(change: (going: boolean) => Promise<void>) {
    this.#change = change;
  }

  get going(): boolean {
    return this.#going;
  }

  /** Resolves when nothing is being done any more. */
  hold(): Promise<void> {
    this.#isHeld = true;
    return this.#adjust();
  }

  go(): void {
    this.#isHeld = false;
    void this.#adjust();
  }

  pause(isPaused: boolean): void {
    this.#isPaused = isPaused;
    void this.#adjust();
  }

  #adjust(): Promise<void> {
    this.#turn = this.#turn.then(async () => {
      const going = !this.#isHeld && !this.#isPaused;
      if (going === this.#going) return;
      this.#going = going;
      await this.#change(going);
    });
    return this.#turn;
  }
}
