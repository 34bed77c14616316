/** The engine over memory stores and a real ledger: what a run promises, fault by fault. */
import assert from 'node:assert/strict';
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, test } from 'node:test';
import { BrigadeError } from '../../src/core/errors.ts';
import { compareKeys } from '../../src/core/key.ts';
import { type Attributes, NO_ATTRIBUTES } from '../../src/core/object.ts';
import { MiB } from '../../src/core/units.ts';
import { sameContent } from '../../src/engine/content.ts';
import type { Clock } from '../../src/ports/clock.ts';
import type { RunEvent } from '../../src/ports/events.ts';
import type { Multipart, Store } from '../../src/ports/storage.ts';
import { createFilesystemStore } from '../../src/stores/filesystem/index.ts';
import { createMemoryStore, type MemoryStore } from '../../src/stores/memory/index.ts';
import { seededRandom } from '../../src/telemetry/random.ts';
import { Bench } from './harness.ts';

const benches: Bench[] = [];
afterEach(async () => { for (const bench of benches.splice(0)) await bench.close(); });

function bench(source: Store, destination: Store): Bench {
  const made = new Bench(source, destination);
  benches.push(made);
  return made;
}

function filled(objects: number, name = 'source'): MemoryStore {
  const store = createMemoryStore({ name });
  for (let i = 0; i < objects; i++) store.put(`k${String(i).padStart(6, '0')}`, `content ${i}`);
  return store;
}

function assertSame(source: MemoryStore, destination: MemoryStore, keys: readonly string[]): void {
  for (const key of keys) assert.deepEqual(destination.bytes(key), source.bytes(key), key);
}

/** A store that does something of its own before an operation. */
function meddling(store: MemoryStore, change: Partial<Store>): Store {
  return new Proxy(store, { get: (target, name) => Reflect.get(name in change ? change : target, name) });
}

const keysOf = (count: number): string[] => Array.from({ length: count }, (_, i) => `k${String(i).padStart(6, '0')}`);

describe('a run', () => {
  test('copies everything, accounts for everything, and a second run copies nothing', async () => {
    const [source, destination] = [filled(500), createMemoryStore({ name: 'destination' })];
    const it = bench(source, destination);
    const first = await it.run();
    assert.equal(first.tally.copied.objects, 500);
    assert.equal(first.tally.listed.objects, 500);
    assertSame(source, destination, keysOf(500));
    let requests = 0;
    const second = await it.run({ onEvent: (event) => { if (event.type === 'started') requests++; } });
    assert.deepEqual([second.tally.unchanged.objects, second.tally.copied.objects, requests], [500, 0, 0]);
  });

  test('a delta run copies what changed, reports what is extra and touches nothing else', async () => {
    const [source, destination] = [filled(50), createMemoryStore({ name: 'destination' })];
    const it = bench(source, destination);
    await it.run();
    source.put('k000007', 'changed');
    source.put('new', 'new');
    destination.put('mine', 'not yours');
    const { tally } = await it.run();
    assert.deepEqual([tally.copied.objects, tally.unchanged.objects, tally.extra.objects, tally.listed.objects], [2, 49, 1, 51]);
    assertSame(source, destination, [...keysOf(50), 'new']);
    assert.equal(destination.bytes('mine')?.toString(), 'not yours');
  });

  test('F036: awkward keys arrive unchanged', async () => {
    const keys = ['a//b', '/a', 'a/', 'a/../b', '..', '+', '%41', '#?*:', '\u0001', 'caf\u00e9', 'cafe\u0301', '\u{1F600}', '\uFFFD', ' lead', 'trail ', 'a', 'a/b'];
    const [source, destination] = [createMemoryStore(), createMemoryStore({ name: 'destination' })];
    for (const key of keys) source.put(key, `body of ${key}`);
    const { tally } = await bench(source, destination).run();
    assert.equal(tally.copied.objects, keys.length);
    assertSame(source, destination, keys);
  });

  test('F065: metadata and tags are the same below, at and above the multipart threshold', async () => {
    const [source, destination] = [createMemoryStore(), createMemoryStore({ name: 'destination' })];
    const attributes = { headers: { contentType: 'text/x' }, userMetadata: new Map([['a', 'é']]), tags: new Map([['t', '1']]), storageClass: 'STANDARD_IA' };
    const sizes = [0, 1, 99, 100, 101, 250];
    for (const size of sizes) source.put(`o${size}`, Buffer.alloc(size, 'x'), attributes);
    await bench(source, destination).run({ copy: { cut: { bufferUpTo: 50, streamUpTo: 100, partSize: 64 } } });
    for (const size of sizes) {
      const info = await destination.head(`o${size}`);
      assert.deepEqual([info.headers, [...info.userMetadata], info.storageClass], [attributes.headers, [['a', 'é']], 'STANDARD_IA']);
      assert.deepEqual([...(await destination.readTags?.(`o${size}`) ?? [])], [['t', '1']]);
    }
  });

  test('a write cut off before its tags were set is taken for whole only with them', async () => {
    const [source, inner] = [createMemoryStore(), createMemoryStore({ name: 'destination' })];
    for (const size of [10, 250]) source.put(`o${size}`, Buffer.alloc(size, 'x'), { ...NO_ATTRIBUTES, tags: new Map([['t', '1']]) });
    const tagged = new Map<string, unknown>();
    const cutAfter = async (write: Promise<unknown>): Promise<never> => {
      await write;
      throw new BrigadeError({ code: 'E_NETWORK', kind: 'transient', message: 'cut off' });
    };
    const untagged = ({ tags: _, ...rest }: Attributes): Attributes => rest;
    const parts = inner.multipart as Multipart;
    const destination = meddling(inner, {
      write: (request) => cutAfter(inner.write({ ...request, attributes: untagged(request.attributes) })),
      multipart: { ...bound(parts), create: (request) => parts.create({ ...request, attributes: untagged(request.attributes) }), complete: (request) => cutAfter(parts.complete(request)) },
      writeTags: async (key, tags) => void tagged.set(key, [...tags]),
    });
    const { tally } = await bench(source, destination).run({ clock: impatient(), copy: { cut: { bufferUpTo: 50, streamUpTo: 100, partSize: 64 } } });
    assert.deepEqual([tally.copied.objects, tally.failed.objects], [2, 0], JSON.stringify(tally));
    assert.deepEqual(Object.fromEntries(tagged), { o10: [['t', '1']], o250: [['t', '1']] });
  });

  test('F001: a short read is an error of the object, nothing stands at the destination, the others arrive', async () => {
    const [inner, destination] = [filled(20), createMemoryStore({ name: 'destination' })];
    const source = meddling(inner, {
      read: async (request) => {
        const read = await inner.read(request);
        return request.key !== 'k000003' ? read : { ...read, chunks: (async function* () { for await (const chunk of read.chunks) yield chunk.subarray(1); })() };
      },
    });
    const clock = impatient();
    const { tally } = await bench(source, destination).run({ clock });
    assert.deepEqual([tally.copied.objects, tally.failed.objects], [19, 1]);
    assert.equal(tally.byCode[0]?.code, 'E_SHORT_READ');
    assert.equal(destination.bytes('k000003'), undefined);
  });

  test('F026: an object that changes while it is copied is followed to its new version', async () => {
    const [inner, destination] = [filled(5), createMemoryStore({ name: 'destination' })];
    let changes = 0;
    const source = meddling(inner, {
      read: async (request) => {
        if (request.key === 'k000002' && changes++ < 2) inner.put('k000002', `version ${changes}`);
        return inner.read(request);
      },
    });
    const { tally } = await bench(source, destination).run();
    assert.equal(tally.copied.objects, 5);
    assert.equal(destination.bytes('k000002')?.toString(), 'version 2');
  });

  test('F027: a change between two parts starts the whole object again, never a mixture', async () => {
    const [inner, destination] = [createMemoryStore(), createMemoryStore({ name: 'destination' })];
    inner.put('big', Buffer.alloc(500, 'a'));
    let reads = 0;
    const source = meddling(inner, {
      read: async (request) => {
        if (++reads === 3) inner.put('big', Buffer.alloc(500, 'b'));
        return inner.read(request);
      },
    });
    const it = bench(source, destination);
    const { tally } = await it.run({ copy: { cut: { bufferUpTo: 10, streamUpTo: 100, partSize: 64 }, partConcurrency: 1 } });
    assert.equal(tally.copied.objects, 1);
    assert.deepEqual(destination.bytes('big'), Buffer.alloc(500, 'b'));
    assert.deepEqual(await uploadsOf(destination), []);
    assert.equal(it.ledger.openUploads().length, 0);
  });

  test('F028: deleted between list and copy is skipped:source_gone; a definitive second look is needed', async () => {
    const [inner, destination] = [filled(5), createMemoryStore({ name: 'destination' })];
    const source = meddling(inner, {
      read: async (request) => {
        if (request.key === 'k000001') await inner.remove('k000001');
        return inner.read(request);
      },
    });
    const { tally } = await bench(source, destination).run();
    assert.deepEqual([tally.copied.objects, tally.skipped.objects, tally.byCode[0]?.code], [4, 1, 'source_gone']);
  });

  test('F029: not allowed to look is not gone', async () => {
    const [inner, destination] = [filled(3), createMemoryStore({ name: 'destination' })];
    const denied = (): never => { throw new BrigadeError({ code: 'E_ACCESS_DENIED', kind: 'object', message: 'denied' }); };
    const source = meddling(inner, {
      read: async (request) => (request.key === 'k000001' ? Promise.reject(new BrigadeError({ code: 'E_NOT_FOUND', kind: 'gone', message: 'gone' })) : inner.read(request)),
      head: async (key, options) => (key === 'k000001' ? denied() : inner.head(key, options)),
    });
    const { tally } = await bench(source, destination).run();
    assert.deepEqual([tally.failed.objects, tally.byCode[0]?.code], [1, 'E_ACCESS_DENIED']);
  });

  test('F042, F043: a and a/b on a file system: the shorter fails, the longer is written, also with keys between them', async () => {
    const source = createMemoryStore();
    for (const key of ['a', 'a!', 'a-1', 'a/b', 'a0', 'c', 'c/', 'd']) source.put(key, key.endsWith('/') ? '' : 'x');
    const destination = createMemoryStore({ name: 'destination', facts: { names: 'posix' } });
    const it = bench(source, destination);
    const { tally } = await it.run();
    const failed = [...it.ledger.objects(1, { states: ['failed'] })].map(({ key }) => key);
    assert.deepEqual(failed, ['a', 'c']);
    assert.equal(tally.listed.objects, 8);
    assert.ok(destination.bytes('a/b') && destination.bytes('a!') && destination.bytes('a-1') && destination.bytes('d'));
  });

  test('a conflict is settled by content: our own lost answer is adopted, somebody else’s object is not overwritten', async () => {
    const [source, inner] = [filled(4), createMemoryStore({ name: 'destination' })];
    let lost = 0;
    const destination = meddling(inner, {
      write: async (request) => {
        if (request.key === 'k000001' && lost++ === 0) {
          await inner.write(request);
          throw new BrigadeError({ code: 'E_NETWORK', kind: 'transient', message: 'answer lost' });
        }
        if (compareKeys(request.key, 'k000002') >= 0 && request.guard.kind === 'absent') inner.put(request.key, 'somebody else');
        if (request.key === 'k000003') source.put('k000003', 'and the source changes at that moment');
        return inner.write(request);
      },
    });
    const it = bench(source, destination);
    const { tally } = await it.run({ copy: { onConflict: 'fail' }, plan: { onConflict: 'fail' }, clock: impatient() });
    assert.deepEqual([tally.copied.objects, tally.failed.objects], [2, 2]);
    for (const key of ['k000002', 'k000003']) assert.deepEqual([inner.bytes(key)?.toString(), it.ledger.item(1, key)?.problem?.code], ['somebody else', 'E_CONFLICT'], key);
  });

  test('what an earlier run wrote is ours, also after runs that did not look at it, failed at it, or were given up; what others wrote is not', async () => {
    const [source, inner] = [filled(30), createMemoryStore({ name: 'destination' })];
    let broken: string | undefined;
    const destination = meddling(inner, {
      write: async (request) => {
        if (request.key === broken) throw new BrigadeError({ code: 'E_DENIED', kind: broken === 'k000029' ? 'premise' : 'object', message: 'no' });
        return inner.write(request);
      },
    });
    const it = bench(source, destination);
    const run = (exclude: readonly string[] = []) => it.run({ copy: { onConflict: 'fail' }, plan: { onConflict: 'fail', selection: { include: [], exclude } }, clock: impatient() });
    broken = 'k000029';
    const first = await run();
    assert.equal(first.state, 'paused');
    it.ledger.updateRun(1, { state: 'abandoned' });
    broken = 'k000001';
    for (const key of ['k000000', 'k000001', 'k000002']) source.put(key, `changed ${key}`);
    inner.put('k000002', 'somebody else');
    const second = await run(['k000000']);
    assert.deepEqual([second.tally.unchanged.objects, second.tally.copied.objects, second.tally.failed.objects], [first.tally.copied.objects - 3, 30 - first.tally.copied.objects, 2]);
    broken = undefined;
    const third = await run();
    assert.deepEqual([third.tally.unchanged.objects, third.tally.copied.objects, third.tally.byCode], [27, 2, [{ state: 'failed', code: 'E_CONFLICT', objects: 1, bytes: 15 }]]);
    assert.deepEqual(['k000000', 'k000001', 'k000002'].map((key) => inner.bytes(key)?.toString()), ['changed k000000', 'changed k000001', 'somebody else']);
  });

  test('the closing listing finds a write that was undone and plans it again', async () => {
    const [source, inner] = [filled(30), createMemoryStore({ name: 'destination' })];
    let undone = 0;
    const destination = meddling(inner, {
      write: async (request) => {
        const written = await inner.write(request);
        if (request.key === 'k000005' && undone++ === 0) inner.put('k000005', 'an older version lands late');
        return written;
      },
    });
    const { tally } = await bench(source, destination).run();
    assert.equal(tally.copied.objects, 30);
    assert.equal(inner.bytes('k000005')?.toString(), 'content 5');
  });

  test('a premise that fails pauses the run and burns no attempts; the next run goes on', async () => {
    const [source, inner] = [filled(300), createMemoryStore({ name: 'destination' })];
    let full = true;
    const destination = meddling(inner, {
      write: async (request) => {
        if (full && inner.count >= 120) throw new BrigadeError({ code: 'E_DISK_FULL', kind: 'premise', message: 'no space left' });
        return inner.write(request);
      },
    });
    const it = bench(source, destination);
    const paused = await it.run();
    assert.deepEqual([paused.state, paused.pause?.code, paused.tally.failed.objects], ['paused', 'E_DISK_FULL', 0]);
    assert.ok(paused.tally.pending.objects > 0);
    full = false;
    const done = await it.run();
    assert.deepEqual([done.state, done.tally.copied.objects, done.tally.failed.objects], ['finished', 300, 0]);
    assert.equal([...it.ledger.items(1)].every(({ attempts }) => attempts === 1), true);
  });

  test('F081: throttling is not failure: no attempt is burned while the store asks for patience', async () => {
    const [source, inner] = [filled(40), createMemoryStore({ name: 'destination' })];
    let refusals = 0;
    const destination = meddling(inner, {
      write: async (request) => {
        if (refusals++ < 3) throw new BrigadeError({ code: 'E_THROTTLED', kind: 'throttled', message: 'slow down' });
        return inner.write(request);
      },
    });
    const it = bench(source, destination);
    const { tally } = await it.run({ onPause: 'auto', clock: impatient() });
    assert.deepEqual([tally.copied.objects, tally.failed.objects], [40, 0]);
    assert.equal([...it.ledger.items(1)].every(({ attempts }) => attempts === 1), true);
  });

  test('F098: one poison object fails after five attempts and the others of its task arrive', async () => {
    const [source, inner] = [filled(10), createMemoryStore({ name: 'destination' })];
    let tries = 0;
    const destination = meddling(inner, {
      write: async (request) => {
        if (request.key === 'k000004') { tries++; throw new BrigadeError({ code: 'E_SERVER', kind: 'transient', message: '500' }); }
        return inner.write(request);
      },
    });
    const it = bench(source, destination);
    const { tally } = await it.run({ clock: impatient() });
    assert.deepEqual([tally.copied.objects, tally.failed.objects, tries], [9, 1, 5]);
    assert.deepEqual(it.ledger.retry(1, { codes: ['E_SERVER'] }), { pending: 1, failedInPlan: 0 });
  });

  test('F050: a store that lists in any order goes through the sorter', async () => {
    const [inner, destination] = [filled(2500), createMemoryStore({ name: 'destination' })];
    const source = meddling(inner, {
      facts: { ...inner.facts, ordered: false },
      list: async function* (request) { const pages = []; for await (const page of inner.list(request)) pages.unshift({ entries: [...page.entries].reverse() }); yield* pages; },
    });
    const { tally } = await bench(source, destination).run();
    assert.equal(tally.copied.objects, 2500);
  });

  test('F005: an invalid page ends the listing loudly: nothing is sealed, nothing is called done', async () => {
    const [inner, destination] = [filled(10), createMemoryStore({ name: 'destination' })];
    const source = meddling(inner, { list: async function* () { throw new BrigadeError({ code: 'E_LIST_INVALID', kind: 'transient', message: 'not a listing' }); } });
    const it = bench(source, destination);
    const { state, pause } = await it.run();
    assert.deepEqual([state, pause?.code, it.ledger.run()?.listing.sealed], ['paused', 'E_LIST_INVALID', false]);
  });

  test('verify finds planted damage of the right size, and none where there is none', async () => {
    const [source, destination] = [filled(200), createMemoryStore({ name: 'destination', facts: { checksums: [] } })];
    const it = bench(source, destination);
    const told: RunEvent[] = [];
    const clean = await it.run({ verify: 'full', onEvent: (event) => { if (event.type === 'verified') told.push(event); } });
    const bytes = clean.verified?.summary.bytesRead ?? 0;
    assert.deepEqual([told[0], told.at(-1)], [{ type: 'verified', objects: 0, of: 200, bytes: 0 }, { type: 'verified', objects: 200, of: 200, bytes }]);
    assert.deepEqual([clean.verified?.summary.findings, clean.verified?.summary.checked], [0, 200]);
    assert.equal(clean.verified?.summary.evidence['both ends re-read'], 200);
    assert.equal(it.ledger.tally(1).evidence['both ends re-read'], 200);
  });

  test('I9: the evidence says which ends were read: one at level checksum, both at level full, and what was read stays read', async () => {
    const [source, destination] = [createMemoryStore({ facts: { checksums: [] } }), createMemoryStore({ name: 'destination', facts: { checksums: [] } })];
    for (const key of ['a', 'b', 'c']) source.put(key, '12');
    const it = bench(source, destination);
    const looked = async (level: 'checksum' | 'full'): Promise<readonly [number | undefined, number | undefined, unknown]> => {
      const { verified } = await it.run({ verify: level });
      return [verified?.summary.bytesRead, verified?.summary.findings, Object.entries(verified?.summary.evidence ?? {}).filter(([, count]) => count > 0)];
    };
    assert.deepEqual(await looked('checksum'), [6, 0, [['destination re-read', 3]]]);
    assert.equal(it.ledger.tally(1).evidence['destination re-read'], 3);
    assert.deepEqual(await looked('full'), [12, 0, [['both ends re-read', 3]]]);
    assert.deepEqual(await looked('checksum'), [6, 0, [['destination re-read', 3]]]);
    assert.deepEqual([2, 3].map((run) => it.ledger.tally(run).evidence['both ends re-read']), [3, 3]);
  });

  test('I9: a comparison says which ends were read for it', async () => {
    for (const [ours, theirs, evidence] of [[[], [], 'both ends re-read'], [['crc32'], [], 'destination re-read'], [[], ['crc32'], 'store checksum'], [['crc32'], ['crc32'], 'store checksum']] as const) {
      const [source, destination] = [createMemoryStore({ facts: { checksums: ours } }), createMemoryStore({ name: 'destination', facts: { checksums: theirs } })];
      for (const one of [source, destination]) one.put('k', 'same');
      const [a, b] = await Promise.all([source.head('k', { checksum: true }), destination.head('k', { checksum: true })]);
      const same = await sameContent(source, a, destination, b, { read: 'if needed' });
      assert.deepEqual([same?.equal, same?.evidence], [true, evidence]);
    }
  });

  test('I9: a copier that lies is found by full verification, every planted defect', async () => {
    const [source, inner] = [filled(300), createMemoryStore({ name: 'destination', facts: { checksums: [] } })];
    const destination = meddling(inner, {
      write: async (request) => {
        const lie = Number(request.key.slice(1)) % 3 === 0;
        if (!lie) return inner.write(request);
        return inner.write({ ...request, body: { size: request.body.size, open: async function* () { yield Buffer.alloc(request.body.size); } } });
      },
    });
    const { verified } = await bench(source, destination).run({ verify: 'full' });
    assert.equal(verified?.summary.findings, 100);
  });

  test('stopped in the middle and resumed: sealed listings are not listed again, nothing is copied twice', async () => {
    const [source, inner] = [filled(400), createMemoryStore({ name: 'destination' })];
    const stop = new AbortController();
    let writes = 0;
    const destination = meddling(inner, {
      write: async (request) => {
        if (++writes === 150) stop.abort();
        return inner.write(request);
      },
    });
    const it = bench(source, destination);
    await assert.rejects(it.run({ signal: stop.signal }), { kind: 'cancelled' });
    const done = await it.run();
    assert.equal(done.tally.copied.objects, 400);
    assert.ok(writes <= 400 + 8, `${writes} writes for 400 objects`);
    assertSame(source, inner, keysOf(400));
  });

  test('parts: another process goes on with the missing parts only', async () => {
    const [inner, destination] = [createMemoryStore(), createMemoryStore({ name: 'destination' })];
    inner.put('big', Buffer.alloc(3 * MiB, 'abc'));
    const stop = new AbortController();
    let reads = 0;
    const source = meddling(inner, {
      read: async (request) => {
        if (++reads === 20) stop.abort();
        return inner.read(request);
      },
    });
    const it = bench(source, destination);
    const copy = { cut: { bufferUpTo: 1000, streamUpTo: 1000, partSize: 64 * 1024 }, partConcurrency: 4 };
    await assert.rejects(it.run({ signal: stop.signal, copy }), { kind: 'cancelled' });
    const before = reads;
    const done = await it.run({ copy });
    assert.equal(done.tally.copied.objects, 1);
    assert.ok(reads - before <= 48 - 19 + 4, `${reads - before} parts read again`);
    assert.deepEqual(destination.bytes('big'), inner.bytes('big'));
    assert.deepEqual(await uploadsOf(destination), []);
  });

  test('F072: an upload whose answer was lost is found at the end by key and time; one of another time or key stays', async () => {
    const [source, inner] = [createMemoryStore(), createMemoryStore({ name: 'destination' })];
    source.put('big', Buffer.alloc(500, 'a'));
    const multipart = inner.multipart as NonNullable<Store['multipart']>;
    const begun = new Map<string, number>();
    const begin = async (key: string, initiatedMs: number): Promise<void> => { begun.set((await multipart.create({ key, size: 500, partSize: 64, attributes: NO_ATTRIBUTES })).id, initiatedMs); };
    await begin('big', Date.now() - 3_600_000);
    await begin('somebody else', Date.now() + 1000);
    const destination = meddling(inner, {
      multipart: {
        ...bound(multipart),
        create: async (request) => { await begin('big', Date.now()); return multipart.create(request); },
        listUploads: async function* () { for await (const one of multipart.listUploads()) yield { ...one, initiatedMs: begun.get(one.id) ?? Date.now() }; },
      },
    });
    const { tally } = await bench(source, destination).run({ copy: { cut: { bufferUpTo: 10, streamUpTo: 100, partSize: 64 } } });
    assert.equal(tally.copied.objects, 1);
    assert.deepEqual((await uploadsOf(inner)).sort(compareKeys), ['big', 'somebody else']);
  });

  test('F072: parts of a file that a killed process began and told nobody of are removed; those of another key stay', async (t) => {
    const source = createMemoryStore();
    source.put('big', Buffer.alloc(500, 'a'));
    const folder = mkdtempSync(join(tmpdir(), 'brigade-strays-'));
    t.after(() => rmSync(folder, { recursive: true }));
    const inner = createFilesystemStore({ root: folder, names: 'verbatim', random: seededRandom(1) });
    const multipart = inner.multipart as NonNullable<Store['multipart']>;
    const stop = new AbortController();
    const create: typeof multipart.create = async (request) => {
      if (stop.signal.aborted) return multipart.create(request);
      for (const key of ['big', 'somebody else']) await multipart.create({ ...request, key });
      stop.abort();
      throw new BrigadeError({ code: 'E_CANCELLED', kind: 'cancelled', message: 'killed' });
    };
    const it = bench(source, new Proxy(inner, { get: (target, name) => (name === 'multipart' ? { ...bound(multipart), create } : Reflect.get(target, name)) }));
    const copy = { cut: { bufferUpTo: 10, streamUpTo: 100, partSize: 64 } };
    await it.run({ copy, signal: stop.signal }).catch(() => undefined);
    assert.equal((await uploadsOf(inner)).length, 2);
    const { tally } = await it.run({ copy });
    assert.equal(tally.copied.objects, 1);
    assert.deepEqual(await uploadsOf(inner), ['somebody else']);
    assert.equal(readdirSync(folder).filter((name) => name.includes('big')).length, 1);
  });

  test('server-side copy moves no byte through us and is checked after', async () => {
    const source = createMemoryStore({ name: 'one' });
    const destination = createMemoryStore({ name: 'two', serverCopy: true });
    source.put('small', 'x');
    source.put('large', Buffer.alloc(1000, 'y'), { headers: {}, userMetadata: new Map([['m', '1']]) });
    let reads = 0;
    const watched = meddling(source, { read: async (request) => { reads++; return source.read(request); } });
    const bare = new Proxy(destination, { get: (target, name) => name === 'serverCopy' ? { canCopyFrom: () => true, copy: (r: never) => target.serverCopy?.copy({ ...(r as object), source } as never), copyPart: (u: never, n: never, r: never) => target.serverCopy?.copyPart(u, n, { ...(r as object), source } as never) } : Reflect.get(target, name) });
    const { tally } = await bench(watched, bare).run({ copy: { singleCopyLimit: 100 } });
    assert.deepEqual([tally.copied.objects, reads], [2, 0]);
    assertSame(source, destination, ['small', 'large']);
  });
});

/** A Multipart whose methods keep their own `this`. */
function bound(multipart: NonNullable<Store['multipart']>): NonNullable<Store['multipart']> {
  return {
    create: (request) => multipart.create(request), putPart: (...args) => multipart.putPart(...args), complete: (request) => multipart.complete(request),
    abort: (...args) => multipart.abort(...args), listParts: (...args) => multipart.listParts(...args), listUploads: (signal) => multipart.listUploads(signal),
  };
}

async function uploadsOf(store: Store): Promise<string[]> {
  const open: string[] = [];
  for await (const upload of store.multipart?.listUploads() ?? []) open.push(upload.key);
  return open;
}

/** Waits are skipped, so that five attempts take no minute; order and causes stay. */
function impatient(): Clock {
  let at = 0;
  return {
    now: () => 1_700_000_000_000 + at,
    monotonic: () => performance.now() + at,
    sleep: async (ms, signal) => {
      if (ms > 300) at += ms;
      await new Promise<void>((resolve, reject) => {
        const timer = setTimeout(resolve, Math.min(ms, 20));
        signal?.addEventListener('abort', () => { clearTimeout(timer); reject(new BrigadeError({ code: 'E_CANCELLED', kind: 'cancelled', message: 'stopped' })); }, { once: true });
      });
    },
  };
}
