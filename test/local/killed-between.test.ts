/** A writer killed between link() and unlink(): its file has the temporary as a second name, and taking that away changes the file's token. */
import assert from 'node:assert/strict';
import { linkSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { cancelled } from '../../src/core/errors.ts';
import { compareKeys } from '../../src/core/key.ts';
import type { Store } from '../../src/ports/storage.ts';
import { createFilesystemStore } from '../../src/stores/filesystem/index.ts';
import { createMemoryStore } from '../../src/stores/memory/index.ts';
import { seededRandom } from '../../src/telemetry/random.ts';
import { Bench } from './harness.ts';

const KEPT = '.file.0123456789abcdef.brigade.part';
const CAREFUL = { onConflict: 'fail' } as const;

interface Scene { readonly it: Bench; readonly folder: string; readonly stop: AbortController; readonly copy: object }

/** The first writing of `file` ends as kill -9 just behind link() would end it. */
function scene(t: TestContext, kill: (inner: Store, die: (names: readonly string[]) => never) => Partial<Store>, copy: object = {}): Scene {
  const source = createMemoryStore();
  source.put('file', Buffer.alloc(200, 'f'));
  source.put('other', 'o');
  const folder = mkdtempSync(join(tmpdir(), 'brigade-killed-'));
  const stop = new AbortController();
  const die = (names: readonly string[]): never => {
    for (const name of names) linkSync(join(folder, 'file'), join(folder, name));
    stop.abort();
    throw cancelled('killed');
  };
  const inner = createFilesystemStore({ root: folder, names: 'verbatim', random: seededRandom(1) });
  const change = kill(inner, die);
  const it = new Bench(source, new Proxy(inner, { get: (target, name) => Reflect.get(name in change && !stop.signal.aborted ? change : target, name) }));
  t.after(async () => { await it.close(); rmSync(folder, { recursive: true }); });
  return { it, folder, stop, copy: { ...CAREFUL, ...copy } };
}

async function assertGoesOn({ it, folder, stop, copy }: Scene): Promise<void> {
  await it.run({ copy, plan: CAREFUL, signal: stop.signal }).catch(() => undefined);
  assert.ok(readdirSync(folder).some((name) => name.endsWith('.brigade.part')));
  const notes: string[] = [];
  const { state, tally } = await it.run({ copy, plan: CAREFUL, onEvent: (event) => { if (event.type === 'note' && event.text.startsWith('closing')) notes.push(event.text); } });
  assert.deepEqual([state, tally.copied.objects, tally.failed.objects, notes], ['finished', 2, 0, []]);
  assert.deepEqual(readdirSync(folder).toSorted(compareKeys), ['file', 'other']);
  assert.equal(it.ledger.item(1, 'file')?.destination, (await it.destination.head('file')).token);
  const next = await it.run({ copy, plan: CAREFUL });
  assert.deepEqual([next.tally.unchanged.objects, next.tally.failed.objects], [2, 0]);
}

test('I4: killed between link and unlink: the file is adopted under the token that it keeps', async (t) => {
  await assertGoesOn(scene(t, (inner, die) => ({
    write: async (request) => {
      const written = await inner.write(request);
      return request.key === 'file' ? die([KEPT]) : written;
    },
  })));
});

test('I4: killed between link and unlink of an upload: the file is adopted under the token that it keeps', async (t) => {
  await assertGoesOn(scene(t, (inner, die) => {
    const multipart = inner.multipart as NonNullable<Store['multipart']>;
    return { multipart: { ...multipart, complete: async (request) => { await multipart.complete(request); return die([`.file.${request.upload.id}.brigade.part`]); } } };
  }, { cut: { bufferUpTo: 10, streamUpTo: 100, partSize: 64 } }));
});

test('F025: leftovers go before the closing listing: an object adopted with a second name ends with its last token', async (t) => {
  const { it, folder, stop, copy } = scene(t, (inner, die) => ({
    write: async (request) => {
      const written = await inner.write(request);
      return request.key === 'file' ? die([KEPT]) : written;
    },
  }));
  await it.run({ copy: { ...copy, onConflict: 'overwrite' }, signal: stop.signal }).catch(() => undefined);
  const destination = new Proxy(it.destination, { get: (target, name) => (name === 'untie' ? undefined : Reflect.get(target, name)) });
  const blind = new Bench(it.source, destination);
  blind.ledger = it.ledger;
  const { tally } = await blind.run({ copy: { ...copy, onConflict: 'overwrite' } });
  assert.equal(tally.copied.objects + tally.unchanged.objects, 2);
  assert.equal(it.ledger.item(1, 'file')?.destination, (await it.destination.head('file')).token);
  assert.deepEqual(readdirSync(folder).toSorted(compareKeys), ['file', 'other']);
  rmSync(blind.dir, { recursive: true });
});
