/** The failure catalogue is held by tests named after its rows: each row of this product must have one. */
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';

/** The rows to hold so far; what concerns fleets, versions and deletions comes with them. */
const TO_HOLD = 'F001-F013 F015 F017-F029 F031-F054 F057 F059-F070 F072 F073 F075 F077-F085 F087-F093 F102-F106 F111 F112 F115 F118';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const TITLE = /\b(?:test|it)\(\s*(?:'((?:[^'\\\n]|\\.)*)'|"((?:[^"\\\n]|\\.)*)"|`((?:[^`\\]|\\.)*)`)/g;

const rowName = (number: number): string => `F${String(number).padStart(3, '0')}`;

function expand(text: string): string[] {
  return text.split(' ').flatMap((span) => {
    const [first = '', last = first] = span.split('-');
    const from = Number(first.slice(1));
    return Array.from({ length: Number(last.slice(1)) - from + 1 }, (_, i) => rowName(from + i));
  });
}

function titlesIn(source: string): string[] {
  return [...source.matchAll(TITLE)].map(([, single, double, template]) => single ?? double ?? template ?? '');
}

function testFiles(): string[] {
  return ['src', 'test'].flatMap((folder) => readdirSync(join(ROOT, folder), { recursive: true, encoding: 'utf8' }).map((path) => join(ROOT, folder, path)))
    .filter((path) => path.endsWith('.test.ts') && !path.endsWith('rows.test.ts'));
}

test('every failure row to hold has a test whose title names it', () => {
  const held = new Set(testFiles().flatMap((path) => titlesIn(readFileSync(path, 'utf8'))).flatMap((title) => title.match(/\bF\d{3}\b/g) ?? []));
  assert.ok(held.size > 50, 'titles were read');
  assert.deepEqual(expand(TO_HOLD).filter((row) => !held.has(row)), [], 'rows without a test');
});

test('a row that nobody names would be missed', () => {
  assert.deepEqual(titlesIn("test('F001: a', () => {}); // F002\nit(`F003: ${x} b`, f)\ntest(\"F005, F006: c\", f)"), ['F001: a', 'F003: ${x} b', 'F005, F006: c']);
  assert.deepEqual(expand('F009-F011 F020'), ['F009', 'F010', 'F011', 'F020']);
});
