import assert from 'node:assert/strict';
import { test } from 'node:test';
import { bytesOf, createRig, failing, readAll, writeOf } from './rig.ts';

test('the same seed has the same accidents, another seed has others', async () => {
  const accidents = async (seed: number) => {
    const rig = createRig([{ ops: ['head'], probability: 0.5, effect: { kind: 'throw', error: 'transient' } }], { seed });
    rig.memory.put('a', 'x');
    const outcomes: boolean[] = [];
    for (let i = 0; i < 64; i++) outcomes.push(await rig.store.head('a').then(() => true, () => false));
    return outcomes;
  };
  assert.deepEqual(await accidents(1), await accidents(1));
  assert.notDeepEqual(await accidents(1), await accidents(2));
});

test('a fault strikes only its operations, keys, occasions and times', async () => {
  const rig = createRig([
    { ops: ['head'], key: 'a', nth: 2, effect: { kind: 'throw', error: 'transient' } },
    { ops: ['head'], key: /^b/, times: 1, effect: { kind: 'throw', error: 'premise' } },
  ]);
  for (const key of ['a', 'b1', 'c']) rig.memory.put(key, 'x');
  await rig.store.head('a');
  await assert.rejects(rig.store.head('a'), failing('transient', 'E_INJECTED_TRANSIENT'));
  await rig.store.head('a');
  await assert.rejects(rig.store.head('b1'), failing('premise'));
  await rig.store.head('b1');
  await rig.store.head('c');
  assert.equal((await readAll(rig.store, 'a', 1)).length, 1);
  assert.deepEqual(rig.store.struck, [1, 1]);
  assert.equal(rig.store.requests.head, 6);
});

test('a lost answer: it was done all the same', async () => {
  const rig = createRig([{ ops: ['write'], effect: { kind: 'drop-answer' } }]);
  await assert.rejects(rig.store.write(writeOf('a', bytesOf(10))), failing('transient'));
  assert.deepEqual(rig.memory.bytes('a'), bytesOf(10));
});

test('one wrong byte, at its place, and all others right', async () => {
  const rig = createRig([{ ops: ['read'], effect: { kind: 'wrong-byte', at: 100_000 } }]);
  const right = bytesOf(200_000);
  rig.memory.put('a', right);
  const found = await readAll(rig.store, 'a', 200_000);
  const wrong = [...found.keys()].filter((i) => found[i] !== right[i]);
  assert.deepEqual(wrong, [100_000]);
});

test('open bodies are counted until they end', async () => {
  const rig = createRig([{ ops: ['read'], nth: 2, effect: { kind: 'stall', after: 10 } }]);
  rig.memory.put('a', bytesOf(100));
  const [one, silent] = [await rig.store.read({ key: 'a', expectedSize: 100 }), await rig.store.read({ key: 'a', expectedSize: 100 })];
  assert.equal(rig.store.openBodies, 2);
  one.discard();
  const steps = silent.chunks[Symbol.asyncIterator]();
  assert.equal((await steps.next()).value?.length, 10);
  const never = assert.rejects(steps.next());
  silent.discard();
  await never;
  assert.equal(rig.store.openBodies, 0);
});
