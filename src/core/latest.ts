/** The latest of some durations, and what few of them exceed. */
const SAMPLES = 512;
const PERCENTILE = 0.95;

export class Latest {
  #ring: number[] = [];
  #next = 0;
  #known: number | undefined;

  add(ms: number): void {
    this.#ring[this.#next] = ms;
    this.#next = (this.#next + 1) % SAMPLES;
    this.#known = undefined;
  }

  /** The 95th percentile; undefined: there are none. */
  p95(): number | undefined {
    if (this.#ring.length === 0) return undefined;
    this.#known ??= [...this.#ring].sort((a, b) => a - b)[Math.floor(PERCENTILE * (this.#ring.length - 1))];
    return this.#known;
  }
}
