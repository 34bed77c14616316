/** What the tests of the layouts on disk stand on: fresh directories that go when the test ends. */
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';

export interface Ground {
  readonly base: string;
  readonly root: string;
  readonly state: string;
}

const grounds = new WeakMap<TestContext, Ground>();

/** A root and a state folder beside it; the same ones each time for one test. */
export function ground(t: TestContext): Ground {
  const known = grounds.get(t);
  if (known !== undefined) return known;
  const base = mkdtempSync(join(tmpdir(), 'brigade-layout-'));
  const made = { base, root: join(base, 'root'), state: join(base, 'state') };
  mkdirSync(made.root);
  grounds.set(t, made);
  t.after(() => rmSync(base, { recursive: true, force: true }));
  return made;
}

/** Failures behind the scenes end the test run. */
export const failed = (error: unknown): never => {
  throw error;
};
