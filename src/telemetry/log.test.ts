import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { inspect } from 'node:util';
import { BrigadeError } from '../core/errors.ts';
import { Secret } from '../core/secret.ts';
import { simulatedClock } from './clock.ts';
import { createLog, fileSink, type LogLevel } from './log.ts';

function memoryLog(level: LogLevel = 'debug', maxLine?: number) {
  const lines: string[] = [];
  const sink = { write: (text: string) => void lines.push(text), close: () => undefined };
  const log = createLog({ sink, clock: simulatedClock({ startMs: 0 }), level, ...(maxLine === undefined ? {} : { maxLine }) });
  return { log, lines, parsed: () => lines.map((text) => JSON.parse(text) as Record<string, unknown>) };
}

test('a line is one JSON object with time, level, message and fields', () => {
  const { log, parsed } = memoryLog();
  log.with({ run: 3 }).warn('slow', { ms: 12, size: 5n, tags: new Map([['a', 'b']]) });
  assert.deepEqual(parsed(), [{ run: 3, ms: 12, size: '5', tags: { a: 'b' }, time: '1970-01-01T00:00:00.000Z', level: 'warn', message: 'slow' }]);
});

test('levels below the chosen one are not written', () => {
  const { log, lines } = memoryLog('warn');
  log.debug('a');
  log.info('b');
  log.warn('c');
  log.error('d');
  assert.equal(lines.length, 2);
});

test('F118: no key can forge a line, move the cursor or turn the text', () => {
  const { log, lines, parsed } = memoryLog();
  const key = 'a\n{"level":"error"}\r\u001b[2J\u009b\u2028\u202e\udc80';
  log.info('copied', { key });
  assert.equal(lines.length, 1);
  assert.doesNotMatch(lines[0]!.slice(0, -1), /[\u0000-\u001f\u007f-\u009f\u2028\u2029\u202a-\u202e]/);
  assert.equal(parsed()[0]!['key'], key);
});

test('fields cannot replace time, level or message', () => {
  const { log, parsed } = memoryLog();
  log.info('real', { level: 'error', message: 'forged', time: 'never' });
  assert.equal(parsed()[0]!['level'], 'info');
  assert.equal(parsed()[0]!['message'], 'real');
});

test('no secret is written, neither typed nor by its shape', () => {
  const { log, lines } = memoryLog();
  const secret = new Secret('hunter2hunter2');
  log.info('with AKIAIOSFODNN7EXAMPLE', { secret, deep: { list: [secret, 'AKIAIOSFODNN7EXAMPLE'] }, text: `${secret} ${inspect(secret)}` });
  log.error('failed', { error: new BrigadeError({ code: 'E_X', kind: 'premise', message: 'AKIAIOSFODNN7EXAMPLE refused' }) });
  assert.doesNotMatch(lines.join(''), /hunter2|AKIA/);
});

test('errors become their facts, without stack', () => {
  const { log, parsed } = memoryLog();
  log.error('failed', { error: new BrigadeError({ code: 'E_X', kind: 'object', message: 'no', status: 400 }), other: new TypeError('bad') });
  assert.deepEqual(parsed()[0]!['error'], { code: 'E_X', kind: 'object', message: 'no', status: 400 });
  assert.deepEqual(parsed()[0]!['other'], { name: 'TypeError', message: 'bad' });
});

test('a line is bounded, whatever is logged, and still JSON', () => {
  const { log, lines, parsed } = memoryLog('info', 1000);
  const cycle: Record<string, unknown> = {};
  cycle['self'] = cycle;
  log.info('x'.repeat(100_000), { big: Array.from({ length: 10_000 }, (_, i) => `${i}\u0001`) });
  log.info('cycle', { cycle, fn: () => 1, bytes: new Uint8Array(1e6) });
  assert.ok(lines.every((text) => text.length <= 1000), String(lines.map((l) => l.length)));
  assert.equal(parsed()[0]!['truncated'], true);
  assert.equal(parsed()[1]!['bytes'], '1000000 bytes');
});

test('a file gets whole lines and only its owner can read it', () => {
  const folder = mkdtempSync(join(tmpdir(), 'brigade-log-'));
  try {
    const sink = fileSink(join(folder, 'run.ndjson'));
    const log = createLog({ sink, clock: simulatedClock() });
    log.info('one');
    log.info('two');
    sink.close();
    assert.equal(readFileSync(join(folder, 'run.ndjson'), 'utf8').split('\n').length, 3);
    assert.equal(statSync(join(folder, 'run.ndjson')).mode & 0o777, 0o600);
  } finally {
    rmSync(folder, { recursive: true });
  }
});
