import assert from 'node:assert/strict';
import { test } from 'node:test';
import { BrigadeError } from '../../core/errors.ts';
import { gated } from './gated.ts';
import { createGovernor } from './governor.ts';
import { createRetryBudget, retrying } from './retrying.ts';
import { createRig } from './rig.ts';

interface Window { given: number; refused: number; allowed: number }

/** A store that gives so many requests a second and refuses the rest; windows of one second. */
function picky(rig: ReturnType<typeof createRig>, limitAt: (second: number) => number) {
  const windows: Window[] = [];
  let [tokens, filledAt] = [limitAt(0) * 0.1, 0];
  const head = async (): Promise<never> => {
    const now = rig.clock.monotonic();
    const second = Math.floor(now / 1000);
    const limit = limitAt(second);
    tokens = Math.min(limit * 0.1, tokens + ((now - filledAt) / 1000) * limit);
    filledAt = now;
    const window = windows[second] ??= { given: 0, refused: 0, allowed: limit };
    await rig.clock.sleep(20 + rig.random.next() * 30);
    if (tokens < 1) {
      window.refused++;
      throw new BrigadeError({ code: 'E_SLOW_DOWN', kind: 'throttled', status: 503, message: 'slow down' });
    }
    tokens--;
    window.given++;
    return undefined as never;
  };
  return { store: { ...rig.memory, head }, windows };
}

async function worked(limitAt: (second: number) => number, seconds: number, atOnce: number): Promise<{ windows: Window[]; perSecond: number }> {
  const rig = createRig();
  const { store, windows } = picky(rig, limitAt);
  const governor = createGovernor({ clock: rig.clock, initial: 16, min: 1, max: 64 });
  const client = retrying(gated(store, governor, rig.clock), { ...rig.common, budget: createRetryBudget(rig.clock), onThrottle: () => governor.throttled() });
  await rig.clock.run(Promise.all(Array.from({ length: atOnce }, async () => {
    while (rig.clock.monotonic() < seconds * 1000) await client.head('a');
  })));
  return { windows: windows.slice(0, seconds), perSecond: governor.perSecond };
}

const share = (windows: readonly Window[], of: 'given' | 'refused'): number => windows.reduce((sum, window) => sum + window[of], 0) / windows.reduce((sum, window) => sum + (of === 'given' ? window.allowed : window.given + window.refused), 0);

test('F081: a hidden limit that changes is found each time, nearly all of it used and next to nothing refused', async () => {
  const limits = [200, 80, 350];
  const { windows } = await worked((second) => limits[Math.min(2, Math.floor(second / 45))] as number, 135, 60);
  for (const [i, limit] of limits.entries()) {
    const settled = windows.slice(i * 45 + 20, i * 45 + 45);
    assert.ok(share(settled, 'given') >= 0.9, `${limit}/s: ${share(settled, 'given')} of it used after 20 s`);
  }
  assert.ok(share(windows, 'refused') <= 0.01, `${share(windows, 'refused')} of all requests refused`);
});

test('without a refusal there is no pace', async () => {
  const { windows, perSecond } = await worked(() => 1e9, 5, 40);
  assert.equal(share(windows, 'refused'), 0);
  assert.equal(perSecond, Infinity);
});
