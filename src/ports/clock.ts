/** Time and chance, so that a whole run can be simulated from one seed. */
export interface Clock {
  /** Wall time, milliseconds since 1970. For people and for stores; it may jump (F084). */
  now(): number;
  /** Milliseconds from an arbitrary start; never goes back. For leases, timeouts and rates. */
  monotonic(): number;
  /** Resolves after `ms`; rejects with E_CANCELLED when the signal fires. */
  sleep(ms: number, signal?: AbortSignal): Promise<void>;
}

export interface Random {
  /** Uniform in [0, 1). */
  next(): number;
}
