/** The result of work that cannot be called back: who asked waits no longer than for the signal. */
import { cancelled } from '../core/errors.ts';

/** @throws cancelled */
export async function unlessAborted<T>(work: Promise<T>, op: string, signal?: AbortSignal): Promise<T> {
  if (signal === undefined) return work;
  const { promise: aborted, reject } = Promise.withResolvers<never>();
  const leave = (): void => reject(cancelled(op));
  signal.addEventListener('abort', leave, { once: true });
  if (signal.aborted) leave();
  aborted.catch(() => undefined); // the loser of the race
  try {
    return await Promise.race([work, aborted]);
  } finally {
    signal.removeEventListener('abort', leave);
  }
}
