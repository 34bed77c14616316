import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { compileGlob, createSelector, literalPrefix } from './select.ts';

const cases: readonly [string, readonly string[], readonly string[]][] = [
  ['*.log', ['a.log', '.log', '..log'], ['a/b.log', 'a.logx']],
  ['**/*.log', ['a.log', 'a/b.log', 'a//b.log', '/a.log', 'a/../b.log'], ['a.log/']],
  ['logs/**', ['logs/', 'logs/a', 'logs//a', 'logs/a/b'], ['logs', 'log/a']],
  ['a/**/b', ['a/b', 'a/x/b', 'a/x/y/b', 'a//b'], ['ab', 'a/xb']],
  ['a?c', ['abc', 'a?c', 'a\u{1F600}c', 'a\nc'], ['a/c', 'ac']],
  ['[a-c]1', ['a1', 'c1'], ['d1', '/1']],
  ['[!a]', ['b', ']'], ['a', '/']],
  ['*.{jpg,png}', ['x.jpg', 'y.png'], ['x.gif', 'x.{jpg']],
  ['a,b', ['a,b'], ['a']],
  ['\\*', ['*'], ['x']],
  ['a+b(1)|$^.txt', ['a+b(1)|$^.txt'], ['aab(1)|$^.txt']],
  ['[]x]', [']', 'x'], ['y']],
  ['[!]x]', ['y', '['], [']', 'x', '/']],
  ['[&]*', ['&', '&a'], ['a']],
  ['[a~]', ['a', '~'], ['b']],
  ['[|]', ['|'], ['\\', 'a']],
  ['[%-a]', ['&', '-', 'A', 'a'], ['b', '/']],
  ['[a-]', ['a', '-'], ['b']],
  ['[-a]', ['a', '-'], ['b']],
  ['[a^\\d]', ['^', '\\', 'd'], ['5']],
  ['[\u{1F600}-\u{1F602}]', ['\u{1F601}'], ['\ud83d', 'a']],
];

for (const [glob, yes, no] of cases) {
  test(`glob ${glob}`, () => {
    for (const key of yes) assert.match(key, compileGlob(glob));
    for (const key of no) assert.doesNotMatch(key, compileGlob(glob));
  });
}

test('an escaped glob matches exactly its own text', () => {
  fc.assert(fc.property(fc.string({ unit: 'binary', maxLength: 12 }), fc.string({ unit: 'binary', maxLength: 12 }), (text, other) => {
    const glob = compileGlob([...text].map((c) => `\\${c}`).join(''));
    assert.ok(glob.test(text));
    assert.equal(glob.test(other), other === text);
  }));
});

test('broken globs are refused in one line', () => {
  for (const glob of ['[a', '{a,b', 'a\\', '[]', '[!]', '[z-a]', '[a-&]*', 'x[!9-0]']) assert.throws(() => compileGlob(glob), { code: 'E_GLOB' });
});

test('sizes and times bound objects, not directories', () => {
  const takes = createSelector({ include: [], exclude: ['tmp/**'], minSize: 10, maxSize: 20, modifiedBeforeMs: 1000 });
  assert.ok(takes({ key: 'a', kind: 'object', size: 10, modifiedMs: 999 }));
  assert.ok(!takes({ key: 'a', kind: 'object', size: 9, modifiedMs: 999 }));
  assert.ok(!takes({ key: 'a', kind: 'object', size: 21, modifiedMs: 999 }));
  assert.ok(!takes({ key: 'a', kind: 'object', size: 15, modifiedMs: 1000 }));
  assert.ok(!takes({ key: 'tmp/a', kind: 'object', size: 15 }));
  assert.ok(takes({ key: 'd/', kind: 'directory', size: 0 }));
});

test('what every included key begins with', () => {
  assert.equal(literalPrefix([]), '');
  assert.equal(literalPrefix(['logs/2024/**', 'logs/2025/*.gz']), 'logs/202');
  assert.equal(literalPrefix(['*.log', 'logs/**']), '');
  assert.equal(literalPrefix(['a\u{1F600}*', 'a\u{1F601}*']), 'a');
  fc.assert(fc.property(fc.constantFrom('a/**', 'ab*', '{a,b}', 'a[b]c', 'ab\\*', 'abc'), fc.constantFrom('a/x', 'abc', 'a', 'b', 'ab*', 'ab'), (glob, key) => {
    if (compileGlob(glob).test(key)) assert.ok(key.startsWith(literalPrefix([glob])));
  }));
});

test('I7: whatever the text, it is a glob or it is refused as one', () => {
  const pieces = fc.array(fc.oneof(fc.constantFrom('[', ']', '{', '}', ',', '*', '?', '\\', '!', '^', '-', '&', '~', '|', '/', 'a', 'z', '[&', '&&', '--', '\ud83d', '\ude00', '\udc80'), fc.string({ unit: 'binary', maxLength: 3 })), { maxLength: 12 }).map((parts) => parts.join(''));
  const refusedOrWorks = (glob: string): void => {
    try {
      compileGlob(glob).test('a/key');
    } catch (error) {
      assert.equal((error as { code?: string }).code, 'E_GLOB', `${JSON.stringify(glob.slice(0, 60))}: ${String(error).slice(0, 200)}`);
    }
  };
  fc.assert(fc.property(fc.oneof(pieces, fc.string({ maxLength: 20 })), refusedOrWorks), { numRuns: 3000 });
  for (const piece of ['{', '{}', '[a]', '**/', '?']) for (const times of [4000, 100_000]) refusedOrWorks(piece.repeat(times / piece.length) + (piece === '{' ? '}'.repeat(times) : ''));
});

test('a class takes each of its members and nothing else, whatever they are', () => {
  const member = fc.string({ unit: 'binary', minLength: 1, maxLength: 1 }).filter((c) => c !== ']' && c !== '-' && c !== '!' && c !== '^' && c !== '/');
  fc.assert(fc.property(fc.uniqueArray(member, { minLength: 1, maxLength: 6 }), member, (members, other) => {
    const glob = compileGlob(`[${members.join('')}]`);
    for (const one of members) assert.ok(glob.test(one), JSON.stringify(one));
    assert.equal(glob.test(other), members.includes(other));
  }));
});
