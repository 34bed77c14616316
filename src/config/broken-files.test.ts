/** I7: every mistake is one line with file, line, column, what, why and the fix; it never holds a secret, a stack or a second line. */
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { BrigadeError, errorLine } from '../core/errors.ts';
import { BROKEN, CANARIES } from './broken-files.ts';
import { parseMigration } from './load.ts';

const env = { SET_EMPTY: '', LEAK: CANARIES[1], OPCO: 'x' };

/** The line of a refusal, after all that must hold of every one; undefined if the file was accepted. */
function refusal(bytes: Uint8Array): string | undefined {
  let thrown: unknown;
  try {
    parseMigration(bytes, '/tmp/broken.yml', env);
    return undefined;
  } catch (error) {
    thrown = error;
  }
  assert.ok(thrown instanceof BrigadeError, String(thrown));
  assert.deepEqual([thrown.code, thrown.kind], ['E_CONFIG', 'usage']);
  const [, line, col] = /^\/tmp\/broken\.yml:(\d+):(\d+)$/.exec(thrown.location ?? '') ?? assert.fail(`no place: ${thrown.location}`);
  assert.ok(Number(line) >= 1 && Number(line) <= Buffer.from(bytes).toString('latin1').split('\n').length && Number(col) >= 1, thrown.location);
  assert.ok(thrown.hint !== undefined && thrown.hint.length > 2, 'has a fix');
  const shown = errorLine(thrown);
  assert.ok(shown.includes(thrown.hint) && shown.endsWith('[E_CONFIG]'), `cut short: ${shown}`);
   
  assert.doesNotMatch(shown, /[\u0000-\u001f\u007f]|\bat .*\.ts:\d+|undefined|\[object|Invalid input|NaN/);
  for (const canary of CANARIES) assert.ok(!shown.includes(canary), shown);
  return shown;
}

test(`F092: ${BROKEN.length} files broken by hand are refused, each with its own line`, () => {
  assert.ok(BROKEN.length >= 150);
  for (const [text, expected] of BROKEN) {
    const shown = refusal(Buffer.from(text)) ?? assert.fail(`accepted:\n${text}`);
    assert.match(shown, expected, text);
  }
});

test('F092: bytes that are no text are refused', () => {
  for (const bytes of [Buffer.from([0xff, 0xfe, 0x73]), Buffer.from([0x73, 0xc3, 0x28]), Buffer.alloc(4096, 0x80)]) assert.match(refusal(bytes) ?? '', /not UTF-8 text/);
});

/** Mulberry32: the same files every time. */
function seeded(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

type Mutation = (lines: string[], at: number, pick: <T>(of: readonly T[]) => T) => void;

const JUNK = ['', '[]', '{}', '[[1]]', '{ a: { b: c } }', '-1', '1e99', 'true', '~', '"\\u0000"', '"\\e[31m"', '${LEAK}', '${NOPE}', '"${', '*x', '&x', '!x y', '\t', CANARIES[0], `"${CANARIES[1]}"`, 'x'.repeat(3000), '"é\u2028"', '%', '@', '|', '>-'];

const MUTATIONS: Readonly<Record<string, Mutation>> = {
  'letters of a key swapped': (lines, at) => {
    lines[at] = lines[at]?.replace(/([a-z])([a-z])(?=[a-z_]*:)/, '$2$1') ?? '';
  },
  'a key made longer': (lines, at) => {
    lines[at] = lines[at]?.replace(/^(\s*)([a-z_]+):/, '$1$2s:') ?? '';
  },
  'a value replaced': (lines, at, pick) => {
    lines[at] = lines[at]?.replace(/:( .*)?$/, `: ${pick(JUNK)}`) ?? '';
  },
  'a line twice': (lines, at) => {
    lines.splice(at, 0, lines[at] ?? '');
  },
  'a line gone': (lines, at) => {
    lines.splice(at, 1);
  },
  'indented by a tab': (lines, at) => {
    lines[at] = `\t${lines[at]}`;
  },
  'indented by one more': (lines, at) => {
    lines[at] = ` ${lines[at]}`;
  },
  'the colon gone': (lines, at) => {
    lines[at] = lines[at]?.replace(':', '') ?? '';
  },
  'a quote opened': (lines, at, pick) => {
    lines[at] = lines[at]?.replace(/: /, `: ${pick(['"', '\'', '[', '{', '${'])}`) ?? '';
  },
  'cut off inside a line': (lines, at, pick) => {
    lines.splice(at + 1);
    lines[at] = lines[at]?.slice(0, pick([1, 3, 6, 9])) ?? '';
  },
  'a secret added': (lines, at, pick) => {
    lines.splice(at, 0, `${pick(['', '  ', '    '])}${pick(['secret_key', 'access_key', 'password', 'credentials', 'endpoint'])}: ${pick(CANARIES)}`);
  },
};

test('F092: mutations of the examples are accepted or refused in one line', () => {
  const folder = join(import.meta.dirname, '../../examples');
  const files = readdirSync(folder).map((name) => readFileSync(join(folder, name), 'utf8'));
  const random = seeded(20261121);
  const pick = <T>(of: readonly T[]): T => of[Math.floor(random() * of.length)] as T;
  const lines = new Set<string>();
  let refused = 0;
  for (let round = 0; round < 2000; round++) {
    const mutated = pick(files).split('\n');
    const mutation = MUTATIONS[pick(Object.keys(MUTATIONS))] ?? assert.fail();
    mutation(mutated, Math.floor(random() * mutated.length), pick);
    const shown = refusal(Buffer.from(mutated.join('\n')));
    if (shown !== undefined) lines.add(shown);
    if (shown !== undefined) refused++;
  }
  assert.ok(refused >= 900, `${refused} refused`);
  assert.ok(lines.size >= 200, `${lines.size} different lines`);
});
