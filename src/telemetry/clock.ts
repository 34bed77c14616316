/** The clocks that a process may be built on: the system's, and one that a simulation drives. */
import { cancelled } from '../core/errors.ts';
import type { Clock } from '../ports/clock.ts';

/** Longest delay of one timer: setTimeout turns anything longer into 1 ms (Node.js, timers.setTimeout). */
const LONGEST_TIMER_MS = 2 ** 31 - 1;

export function systemClock(): Clock {
  return { now: () => Date.now(), monotonic: () => performance.now(), sleep };
}

async function sleep(ms: number, signal?: AbortSignal): Promise<void> {
  for (let left = ms; ; left -= LONGEST_TIMER_MS) {
    await timer(Math.min(Math.max(0, left), LONGEST_TIMER_MS), signal);
    if (left <= LONGEST_TIMER_MS) return;
  }
}

function timer(ms: number, signal?: AbortSignal): Promise<void> {
  if (signal === undefined) return new Promise((resolve) => setTimeout(resolve, ms));
  if (signal.aborted) return Promise.reject(cancelled('sleep'));
  return new Promise((resolve, reject) => {
    const stop = () => {
      clearTimeout(handle);
      reject(cancelled('sleep'));
    };
    const handle = setTimeout(() => {
      signal.removeEventListener('abort', stop);
      resolve();
    }, ms);
    signal.addEventListener('abort', stop, { once: true });
  });
}

/** A clock that stands still until it is driven. Equal wake-up times wake in the order of falling asleep, so a run is repeatable. */
export interface SimulatedClock extends Clock {
  /** Lets `ms` pass, waking sleepers one by one in order; what each one does next settles before the next wakes. */
  advance(ms: number): Promise<void>;
  /** Lets as much time pass as `work` needs, and no more; fails when nothing could ever wake it. */
  run<T>(work: Promise<T>): Promise<T>;
  /** Sets the wall clock forward or back without time passing (F084). */
  jump(ms: number): void;
  readonly sleeping: number;
}

export interface SimulationOptions {
  /** Wall time at the start, milliseconds since 1970. */
  readonly startMs?: number;
  /** Time passes by itself, to the next wake-up, whenever the process would be idle. Not for tests that await real I/O. */
  readonly auto?: boolean;
}

interface Sleeper {
  readonly at: number;
  wake(): void;
}

/** Turns of the event loop with nothing asleep and nothing done, before a simulation is called stuck: about five real seconds. */
const STUCK_TURNS = 5_000;

export function simulatedClock(options: SimulationOptions = {}): SimulatedClock {
  const sleepers: Sleeper[] = [];
  let time = 0;
  let wall = options.startMs ?? Date.UTC(2026, 0, 1);
  let pumping = false;

  const wakeNext = (until: number): boolean => {
    const next = sleepers[0];
    if (next === undefined || next.at > until) return false;
    sleepers.shift();
    time = Math.max(time, next.at);
    next.wake();
    return true;
  };

  const pump = async (): Promise<void> => {
    pumping = true;
    await settle();
    while (wakeNext(Infinity)) await settle();
    pumping = false;
  };

  return {
    now: () => wall + time,
    monotonic: () => time,
    get sleeping() {
      return sleepers.length;
    },
    sleep(ms, signal) {
      const asleep = fallAsleep(sleepers, time + Math.max(0, ms), signal);
      if (options.auto === true && !pumping) void pump();
      return asleep;
    },
    async advance(ms) {
      const until = time + ms;
      await settle();
      while (wakeNext(until)) await settle();
      time = until;
    },
    run: (work) => runUntilSettled(work, () => wakeNext(Infinity)),
    jump(ms) {
      wall += ms;
    },
  };
}

function fallAsleep(sleepers: Sleeper[], at: number, signal?: AbortSignal): Promise<void> {
  if (signal?.aborted === true) return Promise.reject(cancelled('sleep'));
  return new Promise((resolve, reject) => {
    const stop = () => {
      sleepers.splice(sleepers.indexOf(sleeper), 1);
      reject(cancelled('sleep'));
    };
    const sleeper: Sleeper = {
      at,
      wake() {
        signal?.removeEventListener('abort', stop);
        resolve();
      },
    };
    signal?.addEventListener('abort', stop, { once: true });
    const later = sleepers.findIndex((other) => other.at > at);
    sleepers.splice(later === -1 ? sleepers.length : later, 0, sleeper);
  });
}

async function runUntilSettled<T>(work: Promise<T>, wakeNext: () => boolean): Promise<T> {
  let settled = false;
  const note = () => {
    settled = true;
  };
  work.then(note, note);
  let idle = 0;
  await settle();
  while (!settled) {
    idle = wakeNext() ? 0 : idle + 1;
    if (idle > STUCK_TURNS) throw new Error('simulation is stuck: nothing sleeps and the work does not end');
    // After some idle turns the work waits for real I/O: do not burn the processor meanwhile.
    await (idle < 100 ? settle() : timer(1));
  }
  return work;
}

/** Two turns of the event loop: promises run dry in the first, immediates that they queued in the second. */
async function settle(): Promise<void> {
  await new Promise((resolve) => setImmediate(resolve));
  await new Promise((resolve) => setImmediate(resolve));
}
