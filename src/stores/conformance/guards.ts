import assert from 'node:assert/strict';
import { BrigadeError } from '../../core/errors.ts';
import { patterned } from './content.ts';
import { refused, type Bench, type Checks } from './subject.ts';
import type { Guard } from '../../ports/storage.ts';

const OLD = patterned(2000, 1);
const NEW = patterned(3000, 2);

/**
 * A guard that the store enforces refuses with `conflict` and leaves the old content. One that it lacks must not look enforced by
 * halves: the write is refused as unsupported or conflict, or it happens whole.
 */
async function expectGuard(bench: Bench, enforced: boolean, key: string, guard: Guard): Promise<void> {
  const attempt = bench.write(key, NEW, { guard });
  if (enforced) {
    await refused(attempt, 'conflict');
    await bench.expectContent(key, OLD);
    return;
  }
  const thrown: unknown = await attempt.then(() => undefined, (error: unknown) => error);
  if (thrown === undefined) return bench.expectContent(key, NEW);
  assert.ok(thrown instanceof BrigadeError && ['unsupported', 'conflict'].includes(thrown.kind), String(thrown));
  await bench.expectContent(key, OLD);
}

export const guardChecks: Checks = {
  'guard absent: writes a new key': async (bench) => {
    const written = await bench.write('new', NEW, { guard: { kind: 'absent' } });
    await bench.expectContent('new', NEW);
    assert.equal((await bench.entry('new'))?.token, written.token);
  },

  'guard absent: an object that is there is kind conflict, and stays': async (bench) => {
    await bench.write('there', OLD);
    await expectGuard(bench, bench.store.facts.guards.absent, 'there', { kind: 'absent' });
  },

  'guard absent: of many writers at once exactly one wins': async (bench) => {
    if (!bench.store.facts.guards.absent) return expectLacking(bench, 'absent');
    const ended = await Promise.allSettled(Array.from({ length: 6 }, (_, i) => bench.write('race', patterned(1000 + i, i), { guard: { kind: 'absent' } })));
    assert.equal(ended.filter((one) => one.status === 'fulfilled').length, 1);
    for (const one of ended) if (one.status === 'rejected') assert.equal((one.reason as BrigadeError).kind, 'conflict');
    const winner = ended.findIndex((one) => one.status === 'fulfilled');
    await bench.expectContent('race', patterned(1000 + winner, winner));
  },

  'guard matches: the token of the listing is accepted': async (bench) => {
    await bench.write('m', OLD);
    const token = (await bench.entry('m'))?.token ?? '';
    await bench.write('m', NEW, { guard: { kind: 'matches', token } });
    await bench.expectContent('m', NEW);
  },

  'guard matches: another version there is kind conflict, and stays': async (bench) => {
    const first = await bench.write('m', patterned(100, 9));
    await bench.write('m', OLD);
    await expectGuard(bench, bench.store.facts.guards.matches, 'm', { kind: 'matches', token: first.token });
  },

  'guard matches: nothing there is a conflict, and nothing is made': async (bench) => {
    const first = await bench.write('m', patterned(100, 9));
    await bench.store.remove('m');
    if (!bench.store.facts.guards.matches) return expectLacking(bench, 'matches');
    await refused(bench.write('m', NEW, { guard: { kind: 'matches', token: first.token } }), 'conflict');
    assert.deepEqual(await bench.keys(), []);
  },

  'guard none: overwrites': async (bench) => {
    await bench.write('n', OLD);
    await bench.write('n', NEW, { guard: { kind: 'none' } });
    await bench.expectContent('n', NEW);
  },
};

/** Lacking is a declared fact: the engine reads it and checks just before the write. */
function expectLacking(bench: Bench, guard: 'absent' | 'matches'): void {
  assert.equal(bench.store.facts.guards[guard], false);
}
