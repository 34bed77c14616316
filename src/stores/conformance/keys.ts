import assert from 'node:assert/strict';
import { BrigadeError } from '../../core/errors.ts';
import { keyLength, showKey, type Key } from '../../core/key.ts';
import { patterned } from './content.ts';
import { inKeyOrder, refused, type Bench, type Checks } from './subject.ts';

/** Whatever was once lost, merged or moved by some tool. Written one after the other into one store, they must not meet. */
const AWKWARD: readonly Key[] = [
  'slash//double', '/leading', '//two-leading', 'up/../b', './here', 'dots/./x', '..', 'x/.', 'x/..', '...',
  'plus+plus', 'space space', ' lead', 'trail ', 'percent%', '%41', '%2F', '%2f', '%252F', 'a%00b', 'hash#hash', 'what?x=y&z', 'star*', 'colon:c', 'back\\slash', 'C:',
  'quote"\'`', '<tag>&amp;', '{curly}', '[x]', '~tilde', '!bang', '(paren)', '$dollar', '^caret|pipe', ';semi,comma', '@at=',
  'ctl\u0001x', 'tab\tx', 'vt\u000bx', 'nl\nx', 'cr\rx', 'del\u007fx', 'c1\u0085x', 'ls\u2028x', 'bom\ufeffx', 'nonchar\ufffex',
  'nfc-\u00e9', 'nfd-e\u0301', 'twin-\u00e9', 'twin-e\u0301', 'emoji-😀', 'rtl-\u202eabc', '日本語/キー', 'UPPER', 'upper', '007', '1e3', 'true', 'null', '__proto__', 'constructor',
  'a\u0000b', `long/${'k'.repeat(200)}/${'l'.repeat(200)}`, 'x'.repeat(1024), `deep/${'d/'.repeat(500)}`.slice(0, 1022), 'é'.repeat(512), 'nul', 'con.txt', '.hidden', 'trailing.', '-dash', '--',
];

function held(bench: Bench): { readonly fits: readonly Key[]; readonly refusedKeys: readonly Key[] } {
  const fits = AWKWARD.filter((key) => bench.store.refuses({ key, size: key.length }) === undefined);
  return { fits, refusedKeys: AWKWARD.filter((key) => !fits.includes(key)) };
}

export const keyChecks: Checks = {
  'F033, F035, F036, F037, F038, F039, F047: awkward keys come back unchanged, each with its own bytes': async (bench) => {
    const { fits } = held(bench);
    await bench.writeAll(fits, (key) => patterned(key.length, key.length + (key.codePointAt(0) ?? 0)));
    const found = await bench.keys();
    assert.deepEqual(inKeyOrder(found).map(showKey), inKeyOrder(fits).map(showKey));
    for (const key of fits) {
      await bench.expectContent(key, patterned(key.length, key.length + (key.codePointAt(0) ?? 0)));
      assert.equal((await bench.store.head(key)).key, key);
    }
    if (bench.store.facts.ordered) assert.deepEqual(found.map(showKey), inKeyOrder(found).map(showKey));
  },

  'a key that the store says it refuses is refused by write() with the same code, before anything is stored': async (bench) => {
    const { refusedKeys } = held(bench);
    for (const key of refusedKeys) {
      const error = await refused(bench.write(key, patterned(key.length)), 'object');
      assert.equal(error.code, bench.store.refuses({ key, size: key.length })?.code, showKey(key));
    }
    assert.deepEqual(await bench.keys(), []);
  },

  'F040: NFC and NFD twins stay two objects': async (bench) => {
    await bench.write('é-\u00e9', patterned(5, 1));
    await bench.write('é-e\u0301', patterned(6, 2));
    await bench.expectContent('é-\u00e9', patterned(5, 1));
    await bench.expectContent('é-e\u0301', patterned(6, 2));
  },

  'F034: `a//x` and `a/x` never fall together': async (bench) => {
    await bench.write('a/x', patterned(7, 1));
    if (bench.store.refuses({ key: 'a//x', size: 8 }) === undefined) await bench.write('a//x', patterned(8, 2));
    else await refused(bench.write('a//x', patterned(8, 2)), 'object');
    await bench.expectContent('a/x', patterned(7, 1));
  },

  'F043: `a` beside `a/b`: both are held, or the second is refused and the first stays': async (bench) => {
    await bench.write('a', patterned(3, 1));
    await bench.write('c/d', patterned(4, 2));
    const { names, exclusivePrefixes } = bench.store.facts;
    if (names === 'posix' || exclusivePrefixes === true) {
      await expectCollision(bench, 'a/b', patterned(5, 3));
      await expectCollision(bench, 'c', patterned(6, 4));
    } else {
      await bench.write('a/b', patterned(5, 3));
      await bench.write('c', patterned(6, 4));
      assert.deepEqual(inKeyOrder(await bench.keys()), ['a', 'a/b', 'c', 'c/d']);
    }
    await bench.expectContent('a', patterned(3, 1));
    await bench.expectContent('c/d', patterned(4, 2));
  },

  'F042: an empty object named `dir/` is kept: as an object, or as a directory': async (bench) => {
    if (bench.store.refuses({ key: 'dir/', size: 0 }) !== undefined) {
      await refused(bench.write('dir/', Buffer.alloc(0)), 'object');
      return;
    }
    await bench.write('dir/', Buffer.alloc(0));
    assert.equal((await bench.entry('dir/'))?.kind, bench.store.facts.names === 'opaque' ? 'object' : 'directory');
    assert.equal((await bench.store.head('dir/')).size, 0);
    assert.equal((await bench.content('dir/', 0)).length, 0);
  },

  'F042: `dir/` with bytes is kept whole, or refused': async (bench) => {
    const reason = bench.store.refuses({ key: 'dir/', size: 3 });
    if (reason === undefined) {
      await bench.write('dir/', patterned(3));
      await bench.expectContent('dir/', patterned(3));
    } else {
      assert.equal((await refused(bench.write('dir/', patterned(3)), 'object')).code, reason.code);
    }
  },

  'F044: the empty key is refused': async (bench) => {
    assert.equal(bench.store.refuses({ key: '', size: 1 })?.code, 'E_KEY_EMPTY');
    assert.equal((await refused(bench.write('', patterned(1)), 'object')).code, 'E_KEY_EMPTY');
  },

  'F045: the longest key is held, one byte more is refused': async (bench) => {
    const longest = fill(bench, bench.store.facts.maxKeyBytes);
    assert.equal(keyLength(longest), bench.store.facts.maxKeyBytes);
    assert.equal(bench.store.refuses({ key: longest, size: 2 }), undefined);
    await bench.write(longest, patterned(2));
    await bench.expectContent(longest, patterned(2));
    const longer = `${longest}x`;
    assert.ok(bench.store.refuses({ key: longer, size: 2 }) !== undefined);
    await refused(bench.write(longer, patterned(2)), 'object');
  },
};

/** Refused by name; a store that takes it all the same does not list both, or it would not be what its facts say. */
async function expectCollision(bench: Bench, key: Key, bytes: Uint8Array): Promise<void> {
  const before = await bench.keys();
  const thrown: unknown = await bench.write(key, bytes).then(() => undefined, (error: unknown) => error);
  if (thrown === undefined) {
    assert.ok(bench.has('accepts collisions'), `${showKey(key)} was accepted beside ${before.map(showKey).join(', ')}`);
    assert.notDeepEqual(inKeyOrder(await bench.keys()), inKeyOrder([...before, key]), 'the store holds both after all: correct its facts');
    return;
  }
  assert.ok(thrown instanceof BrigadeError && thrown.kind === 'object' && thrown.code === 'E_NAME_COLLISION', String(thrown));
}

/** A key of so many bytes; segments of 100 bytes where names between two slashes have a limit of their own. */
function fill(bench: Bench, bytes: number): Key {
  const plain = 'k'.repeat(bytes);
  return bench.store.refuses({ key: plain, size: 2 }) === undefined ? plain : `${`${'s'.repeat(99)}/`.repeat(Math.ceil(bytes / 100))}`.slice(0, bytes - 1) + 'e';
}
