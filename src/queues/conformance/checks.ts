/** How a conformance suite is run: each check as a test of its own, on a subject of its own. */
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { describe, test } from 'node:test';
import { setImmediate } from 'node:timers/promises';

export type Checks<Opened> = Readonly<Record<string, (opened: Opened) => Promise<void>>>;

/** A process that stood still so long kept no lease and no time: what it then saw says nothing of the queue. */
const STOOD_STILL_NS = 100e6;
const TRIES = 5;

/** What fails while the process stood still is looked at again. */
export function describeChecks<Opened extends { cleanup(): Promise<void> }>(what: string, checks: Checks<Opened>, create: () => Promise<Opened>): void {
  void describe(what, () => {
    for (const [title, check] of Object.entries(checks)) {
      void test(title, async (t) => {
        for (let left = TRIES; ; left--) {
          const delays = monitorEventLoopDelay({ resolution: 10 });
          delays.enable();
          const opened = await create();
          try {
            return await check(opened);
          } catch (thrown) {
            // The next turn notes for how long.
            await setImmediate();
            if (left === 1 || delays.max < STOOD_STILL_NS) throw thrown;
            t.diagnostic(`this process stood still for ${Math.round(delays.max / 1e6)} ms: once more`);
          } finally {
            delays.disable();
            await opened.cleanup();
          }
        }
      });
    }
  });
}
