import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { childText, el, parseXml, xmlDocument } from './xml.ts';

test('what is written is read back, whatever the text', () => {
  fc.assert(fc.property(fc.string({ unit: 'binary' }), (text) => {
    const lines = text.replaceAll('\r', ''); // S3's own reader normalises line ends; the writer escapes them
    assert.equal(childText(parseXml(xmlDocument('Root', el('Key', lines)), 'Root'), 'Key'), lines);
  }));
});

test('a carriage return and control characters are escaped', () => {
  assert.equal(el('Key', 'a\rb\u0001"<>&').markup, '<Key>a&#xd;b&#x1;&quot;&lt;&gt;&amp;</Key>');
});

for (const [name, text] of Object.entries({
  'a DTD': '<!DOCTYPE a [<!ENTITY x "y">]><Root>&x;</Root>', 'an unknown entity': '<Root>&x;</Root>', 'a wrong root': '<Other/>', 'two roots': '<Root/><Root/>',
  'an unclosed element': '<Root><Key>a</Root>', 'a bare ampersand': '<Root>a & b</Root>', 'text outside': 'x<Root/>', 'nothing': '', 'depth 40': `<Root>${'<a>'.repeat(40)}${'</a>'.repeat(40)}</Root>`,
})) {
  test(`F118: ${name} in a request is MalformedXML`, () => {
    assert.throws(() => parseXml(text, 'Root'), { code: 'MalformedXML' });
  });
}

test('F118: an element named __proto__ is only an element', () => {
  const root = parseXml('<Root><__proto__><polluted>1</polluted></__proto__></Root>', 'Root');
  assert.equal(root.children[0]?.name, '__proto__');
  assert.equal(({} as Record<string, unknown>)['polluted'], undefined);
});
