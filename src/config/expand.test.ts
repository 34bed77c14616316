import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { expandText, expandTree } from './expand.ts';
import { parseYaml } from './yaml.ts';

const env = { A: 'alpha', EMPTY: '', NESTED: '${A}', YAML: 'x: [1, 2]\n- y', N: '007' };

test('the three forms, and the dollar', () => {
  const cases: readonly [string, string][] = [
    ['${A}', 'alpha'], ['x${A}y${A}', 'xalphayalpha'], ['${B:-beta}', 'beta'], ['${EMPTY:-beta}', 'beta'], ['${A:-beta}', 'alpha'], ['${B:-}', ''], ['${A:?must}', 'alpha'],
    ['$$', '$'], ['$${A}', '${A}'], ['$$$${A}', '$${A}'], ['$A', '$A'], ['a$', 'a$'], ['${NESTED}', '${A}'], ['${B:-a:-b}', 'a:-b'], ['${B:-a b/c}', 'a b/c'],
  ];
  for (const [text, wanted] of cases) assert.equal(expandText(text, env), wanted, text);
});

test('what is not one of the three forms is refused, and so is a variable without a value', () => {
  for (const text of ['${', '${A', '${}', '${A-b}', '${A:b}', '${1A}', '${A B}', '${A:-${B}}', '${B}', '${EMPTY}', '${B:?}', '${B:?say why}']) {
    assert.throws(() => expandText(text, env), { name: 'Problem' }, text);
  }
  assert.throws(() => expandText('${B:?say why}', env), /say why/);
});

test('property: a variable arrives verbatim, whatever it holds', () => {
  fc.assert(fc.property(fc.string({ unit: 'binary', minLength: 1 }), fc.stringMatching(/^[^$]*$/), fc.stringMatching(/^[^$]*$/), (value, before, after) => {
    assert.equal(expandText(`${before}\${V}${after}`, { V: value }), `${before}${value}${after}`);
  }));
});

test('property: any text survives when its dollars are doubled', () => {
  fc.assert(fc.property(fc.string({ unit: 'binary' }), (text) => {
    assert.equal(expandText(text.replaceAll('$', '$$$$'), {}), text);
  }));
});

test('property: expansion ends in a text or a Problem, for every text and environment', () => {
  const soup = fc.array(fc.constantFrom('$', '{', '}', ':', '-', '?', 'A', 'B', '_', '1', ' ', '\n'), { maxLength: 24 }).map((parts) => parts.join(''));
  fc.assert(fc.property(soup, fc.dictionary(fc.constantFrom('A', 'B', 'AB'), soup), (text, variables) => {
    try {
      assert.equal(typeof expandText(text, variables), 'string');
    } catch (thrown) {
      assert.equal((thrown as Error).name, 'Problem');
    }
  }));
});

test('an expanded value is text and never becomes structure; keys are not expanded', () => {
  const tree = parseYaml(Buffer.from('a: ${YAML}\nb: [ "${N}", "${A}" ]\n"${A}": c\nd: "${B:-}"\n'));
  assert.deepEqual(expandTree(tree.root, env).tree, { 'a': 'x: [1, 2]\n- y', 'b': ['007', 'alpha'], '${A}': 'c' });
});

test('in a credential field a variable becomes a reference and is not looked at', () => {
  const tree = parseYaml(Buffer.from('source: { credentials: { access_key_id: "${ID}", secret_access_key: "${A}" } }\ndestination: { credentials: "${A:-x}" }\n'));
  const expanded = expandTree(tree.root, env);
  assert.deepEqual((expanded.tree as { source: unknown }).source, { credentials: { access_key_id: 'env:ID', secret_access_key: 'env:A' } });
  assert.deepEqual(expanded.findings.map((finding) => finding.path), [['destination', 'credentials']]);
});
