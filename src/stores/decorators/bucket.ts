/** A token bucket that is fair (first come, first served), can be changed while others wait in it, and can be left by abort. */
import { cancelled } from '../../core/errors.ts';
import type { Clock } from '../../ports/clock.ts';

export interface Rate {
  /** Tokens that come by time. `Infinity`: no limit; 0: only deposits, and with a burst of 0 nothing goes. */
  readonly perSecond: number;
  /** Most tokens that can be saved up. */
  readonly burst: number;
}

export interface Bucket {
  /** Waits for `amount` tokens. More than `burst` may be taken at once: the bucket then goes into debt, which the next one waits out. */
  take(amount: number, signal?: AbortSignal): Promise<void>;
  deposit(amount: number): void;
  setRate(rate: Rate): void;
  readonly rate: Rate;
}

interface Waiter {
  readonly amount: number;
  go(): void;
}

/** Tokens are added up in floating point: this much less than wanted is enough. */
const TOLERANCE = 1e-6;
const AT_ONCE = Promise.resolve();

export function createBucket(clock: Clock, initial: Rate): Bucket {
  const queue: Waiter[] = [];
  let rate = initial;
  let tokens = rate.burst;
  let filledAt = clock.monotonic();
  let alarm: AbortController | undefined;
  let pumping = false;

  const fill = (): void => {
    const now = clock.monotonic();
    const earned = rate.perSecond === Infinity ? Infinity : ((now - filledAt) / 1000) * rate.perSecond;
    tokens = Math.min(rate.burst, tokens + earned);
    filledAt = now;
  };
  /** Milliseconds until that many tokens are there; ≤ 0: now. */
  const wait = (amount: number): number => {
    if (rate.burst === 0) return Infinity;
    const missing = Math.min(amount, rate.burst) - tokens;
    return missing <= TOLERANCE ? 0 : (missing / rate.perSecond) * 1000;
  };
  const pump = async (): Promise<void> => {
    pumping = true;
    for (let head = queue[0]; head !== undefined; head = queue[0]) {
      fill();
      const ms = wait(head.amount);
      if (ms > 0) {
        alarm = new AbortController();
        await pause(clock, ms, alarm.signal);
        continue;
      }
      queue.shift();
      tokens -= head.amount;
      head.go();
    }
    pumping = false;
  };

  return {
    take(amount, signal) {
      if (signal?.aborted === true) return Promise.reject(cancelled());
      fill();
      if (queue.length === 0 && wait(amount) <= 0) {
        tokens -= amount;
        return AT_ONCE;
      }
      const turn = queueUp(queue, amount, signal, () => alarm?.abort());
      if (!pumping) void pump();
      return turn;
    },
    deposit(amount) {
      tokens = Math.min(rate.burst, tokens + amount);
      if (queue.length > 0) alarm?.abort();
    },
    setRate(next) {
      fill();
      rate = next;
      tokens = Math.min(tokens, rate.burst);
      alarm?.abort();
    },
    get rate() {
      return rate;
    },
  };
}

function queueUp(queue: Waiter[], amount: number, signal: AbortSignal | undefined, left: () => void): Promise<void> {
  return new Promise((resolve, reject) => {
    const leave = () => {
      queue.splice(queue.indexOf(waiter), 1);
      reject(cancelled());
      left();
    };
    const waiter: Waiter = {
      amount,
      go() {
        signal?.removeEventListener('abort', leave);
        resolve();
      },
    };
    signal?.addEventListener('abort', leave, { once: true });
    queue.push(waiter);
  });
}

/** Sleeps until the time has come or the alarm rings, whichever is first. */
async function pause(clock: Clock, ms: number, alarm: AbortSignal): Promise<void> {
  if (ms === Infinity) return new Promise((resolve) => alarm.addEventListener('abort', () => resolve(), { once: true }));
  try {
    await clock.sleep(ms, alarm);
  } catch (thrown) {
    if (!alarm.aborted) throw thrown;
  }
}
