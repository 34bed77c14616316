import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { test } from 'node:test';
import { type Identity, isGone, signature, thisProcess } from './holder.ts';

const ONE: Identity = { host: 'fleet', pid: 1, space: 'aaaaaaaa', instance: 'x1', lives: () => true };

test('F106: of two coordinators in containers of one host name, each with process 1, neither takes the other for gone', () => {
  const other: Identity = { ...ONE, space: 'bbbbbbbb', instance: 'x2' };
  assert.equal(isGone(signature(other), ONE), false);
  assert.equal(isGone(signature(ONE), other), false);
  assert.equal(isGone(signature({ ...other, pid: 77 }), { ...ONE, lives: () => false }), false, 'what is not seen from here may live all the same');
  const { space: _, ...nowhere } = ONE;
  assert.equal(isGone(signature({ ...nowhere, instance: 'x3' }), { ...nowhere, lives: () => false }), false, 'where nobody knows which processes are seen, none is known to be gone');
  assert.equal(isGone('fleet (process 1)', ONE), false, 'whatever signs otherwise');
});

test('whoever is seen from here and is not there any more is followed at once, and so is an earlier run of this process', () => {
  assert.equal(isGone(signature(ONE), ONE), true);
  assert.equal(isGone(signature({ ...ONE, instance: 'x2' }), ONE), true, 'an earlier one in its place');
  assert.equal(isGone(signature({ ...ONE, pid: 77, instance: 'x2' }), ONE), false, 'it lives');
  assert.equal(isGone(signature({ ...ONE, pid: 77, instance: 'x2' }), { ...ONE, lives: () => false }), true);
  assert.equal(isGone(signature({ ...ONE, host: 'other', instance: 'x2' }), ONE), false);
});

test('processes of this machine know one another', async () => {
  const me = thisProcess();
  const child = spawn(process.execPath, ['-e', 'setInterval(() => {}, 1000)']);
  const theirs = signature({ ...me, pid: child.pid as number, instance: 'child' });
  assert.equal(isGone(theirs, me), false);
  child.kill('SIGKILL');
  await once(child, 'exit');
  assert.equal(isGone(theirs, me), true);
});
