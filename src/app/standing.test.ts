import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Standing } from './standing.ts';

function standing(): { readonly crew: Standing; readonly changes: boolean[]; readonly done: () => void } {
  const changes: boolean[] = [];
  let done = (): void => undefined;
  const crew = new Standing((going) => {
    changes.push(going);
    return new Promise((resolve) => { done = resolve; });
  });
  return { crew, changes, done: () => done() };
}

const soon = (): Promise<void> => new Promise((resolve) => { setImmediate(resolve); });

test('a crew that is held does not go at the end of a pause, nor one that is paused when it is let go', async () => {
  const { crew, changes, done } = standing();
  const held = crew.hold();
  await soon();
  done();
  await held;
  crew.pause(true);
  crew.go();
  crew.pause(true);
  await soon();
  assert.deepEqual([changes, crew.going], [[false], false]);
  crew.pause(false);
  await soon();
  assert.deepEqual([changes, crew.going], [[false, true], true]);
});

test('what is told while a change is made is done after it, and not at all where it was taken back', async () => {
  const { crew, changes, done } = standing();
  crew.pause(true);
  await soon();
  crew.pause(false);
  await soon();
  assert.deepEqual(changes, [false], 'nobody goes before all have laid down what they had');
  done();
  await soon();
  assert.deepEqual(changes, [false, true]);
  crew.pause(true);
  crew.pause(false);
  done();
  await soon();
  assert.deepEqual(changes, [false, true]);
});
