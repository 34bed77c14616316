/** Ctrl-C: the first one drains, the second one stops at once. */
import { EXIT } from '../core/exit-code.ts';
import { showDuration } from '../core/units.ts';
import type { Io, StopSignal } from './io.ts';

export interface Stopping {
  readonly signal: AbortSignal;
  /** The signal that came, if one did. */
  readonly by: () => StopSignal | undefined;
  end(): void;
}

export interface StoppingOptions {
  /** What the first signal lets happen; absent where nothing is worth waiting for. */
  readonly drainMs?: number;
  readonly say: (text: string) => void;
  /** The terminal is put in order before the process ends. */
  readonly beforeDeath?: () => void;
}

export const SIGNAL_EXITS = { SIGINT: EXIT.sigint, SIGTERM: EXIT.sigterm } as const;

export function stopOnSignals(io: Io, options: StoppingOptions): Stopping {
  const stop = new AbortController();
  let by: StopSignal | undefined;
  const off = io.onSignal((signal) => {
    if (by !== undefined) {
      options.beforeDeath?.();
      io.die(SIGNAL_EXITS[signal]);
      return;
    }
    by = signal;
    const finish = options.drainMs === undefined ? 'stopping' : `stopping: what is in flight may finish within ${showDuration(options.drainMs)}`;
    options.say(`${finish}; once more (Ctrl-C) stops at once`);
    stop.abort();
  });
  return { signal: stop.signal, by: () => by, end: off };
}
