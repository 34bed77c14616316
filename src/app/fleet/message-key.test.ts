import assert from 'node:assert/strict';
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { simulatedClock } from '../../telemetry/clock.ts';
import { messageKeys } from './message-key.ts';

const [OLD, NEW] = ['o'.repeat(32), 'n'.repeat(32)];
const ENVELOPE = { kind: 'task', id: '1/0/0', spec: { id: 'photos', sha256: 'a'.repeat(64) }, body: { run: 1, size: 'small', sending: 0, items: '' } } as const;

function keyFile(t: TestContext): { readonly path: string; put(key: string): void; remove(): void } {
  const dir = mkdtempSync(join(tmpdir(), 'brigade-key-'));
  t.after(() => rmSync(dir, { recursive: true, force: true }));
  const path = join(dir, 'key');
  return { path, put: (key) => { writeFileSync(path, `${key}\n`); chmodSync(path, 0o600); }, remove: () => rmSync(path) };
}

const at = (env: Record<string, string> = {}, clock = simulatedClock()) => ({ env, cwd: '/', clock });

test('the first key seals, the second also opens: a rotation without a pause', async () => {
  const env = { OLD, NEW };
  const before = await messageKeys(['env:OLD'], at(env));
  const during = await messageKeys(['env:OLD', 'env:NEW'], at(env));
  const after = await messageKeys(['env:NEW', 'env:OLD'], at(env));
  assert.deepEqual(during.codec.open(after.codec.seal(ENVELOPE)).body, ENVELOPE.body);
  assert.deepEqual(after.codec.open(before.codec.seal(ENVELOPE)).body, ENVELOPE.body);
  assert.throws(() => before.codec.open(after.codec.seal(ENVELOPE)), { code: 'E_MESSAGE_SIGNATURE' });
  assert.equal(after.describe, 'env:NEW, env:OLD');
});

test('D7: a key that is replaced where it stands is taken up, by who finds a signature wrong or by time', async (t) => {
  const file = keyFile(t);
  file.put(OLD);
  const clock = simulatedClock();
  const keys = await messageKeys([`file:${file.path}`], at({}, clock));
  const sealed = keys.codec.seal(ENVELOPE);
  file.put(NEW);
  assert.equal(await keys.refresh(), false, 'read a moment ago');
  await clock.advance(10_000);
  assert.deepEqual(await Promise.all([keys.refresh(), keys.refresh()]), [true, true]);
  assert.throws(() => keys.codec.open(sealed), { code: 'E_MESSAGE_SIGNATURE' });
  await clock.advance(10_000);
  assert.equal(await keys.refresh(), false, 'the same');

  const stop = new AbortController();
  const told: unknown[] = [];
  const fresh = keys.keepFresh(stop.signal, { emit: (event) => told.push(event) });
  file.put(OLD);
  await clock.advance(15 * 60_000);
  // The file is read by the operating system, which knows nothing of simulated time.
  while (keys.current.current.reveal() !== OLD) await new Promise((resolve) => setTimeout(resolve, 5));
  assert.deepEqual(keys.codec.open(sealed).spec, ENVELOPE.spec);
  file.remove();
  for (let i = 0; i < 2; i++) {
    await clock.advance(15 * 60_000);
    while (told.length === 0) await new Promise((resolve) => setTimeout(resolve, 5));
  }
  stop.abort();
  await fresh;
  assert.equal(told.length, 1, 'once, however often it fails');
  assert.match(JSON.stringify(told[0]), /those of before stay/);
  assert.deepEqual(keys.codec.open(sealed).spec, ENVELOPE.spec);
});

test('what is no reference, no key or no file is refused, and a key is never repeated', async (t) => {
  const file = keyFile(t);
  file.put(NEW);
  chmodSync(file.path, 0o644);
  const refused: readonly (readonly [readonly string[], { code: string; kind: string }])[] = [
    [[], { code: 'E_CONFIG', kind: 'usage' }],
    [[NEW], { code: 'E_CONFIG', kind: 'usage' }],
    [['env:A', 'env:A'], { code: 'E_CONFIG', kind: 'usage' }],
    [['env:NEW', 'env:OLD', 'env:A'], { code: 'E_CONFIG', kind: 'usage' }],
    [['env:SHORT'], { code: 'E_MESSAGE_KEY', kind: 'usage' }],
    [['env:NONE'], { code: 'E_CREDENTIALS', kind: 'premise' }],
    [[`file:${file.path}`], { code: 'E_CREDENTIALS', kind: 'premise' }],
  ];
  for (const [references, expected] of refused) {
    await assert.rejects(messageKeys(references, at({ OLD, NEW, SHORT: 'n'.repeat(31) })), (error: Error & { code?: string; kind?: string; hint?: string; location?: string }) => {
      assert.deepEqual({ code: error.code, kind: error.kind }, expected, references.join());
      assert.ok(!`${error.message} ${error.hint} ${error.location}`.includes('nnnnnnnn'));
      return true;
    });
  }
});
