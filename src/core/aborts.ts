export interface Stoppable {
  /** The signal fired. */
  stop(): void;
}

/** One listener for each signal, however many it would stop: adding and removing one for each costs as much as a small request's signature. */
export class Aborts {
  readonly #watched = new WeakMap<AbortSignal, Set<Stoppable>>();

  add(signal: AbortSignal, exchange: Stoppable): void {
    let exchanges = this.#watched.get(signal);
    if (exchanges === undefined) {
      const all = new Set<Stoppable>();
      this.#watched.set(signal, exchanges = all);
      signal.addEventListener('abort', () => { for (const one of all) one.stop(); }, { once: true });
    }
    exchanges.add(exchange);
  }

  delete(signal: AbortSignal, exchange: Stoppable): void {
    this.#watched.get(signal)?.delete(exchange);
  }
}
