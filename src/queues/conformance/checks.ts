/** How a conformance suite is run: each check as a test of its own, on a subject of its own. */
import { describe, test } from 'node:test';

export type Checks<Opened> = Readonly<Record<string, (opened: Opened) => Promise<void>>>;

export function describeChecks<Opened extends { cleanup(): Promise<void> }>(what: string, checks: Checks<Opened>, create: () => Promise<Opened>): void {
  void describe(what, () => {
    for (const [title, check] of Object.entries(checks)) {
      void test(title, async () => {
        const opened = await create();
        try {
          await check(opened);
        } finally {
          await opened.cleanup();
        }
      });
    }
  });
}
