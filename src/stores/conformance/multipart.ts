import assert from 'node:assert/strict';
import { NO_ATTRIBUTES } from '../../core/object.ts';
import type { Multipart, Part, Upload } from '../../ports/storage.ts';
import { bodyOf, lyingBody, patterned } from './content.ts';
import { refused, type Bench, type Check, type Checks } from './subject.ts';

/** An upload of three parts, the last one short. */
interface Trial {
  readonly bench: Bench;
  readonly multipart: Multipart;
  readonly bytes: Buffer;
  readonly upload: Upload;
  put(number: number, bytes?: Uint8Array): Promise<Part>;
}

function sliceOf(bench: Bench, bytes: Buffer, number: number): Buffer {
  return bytes.subarray((number - 1) * bench.partSize, number * bench.partSize);
}

async function trial(bench: Bench, multipart: Multipart, key = 'big/object'): Promise<Trial> {
  const bytes = patterned(bench.partSize * 2 + 1234, 11);
  const upload = await multipart.create({ key, size: bytes.length, partSize: bench.partSize, attributes: NO_ATTRIBUTES });
  return { bench, multipart, bytes, upload, put: (number, other) => multipart.putPart(upload, number, bodyOf(other ?? sliceOf(bench, bytes, number))) };
}

/** A store without multipart takes any size in one write; the check then asserts just that. */
function withUpload(check: (trial: Trial) => Promise<void>): Check {
  return async (bench) => {
    const { multipart, facts } = bench.store;
    if (multipart === undefined) assert.ok(facts.maxSingleWrite >= facts.maxObjectSize, 'no multipart, and yet one write does not take every object');
    else await check(await trial(bench, multipart));
  };
}

async function complete(trial: Trial, parts: readonly Part[]): ReturnType<Multipart['complete']> {
  return trial.multipart.complete({ upload: trial.upload, parts, attributes: NO_ATTRIBUTES, guard: { kind: 'none' } });
}

async function uploadIds(multipart: Multipart): Promise<readonly string[]> {
  const ids: string[] = [];
  for await (const one of multipart.listUploads()) ids.push(one.id);
  return ids;
}

export const multipartChecks: Checks = {
  'parts sent out of order make the object, and the token is the listed one': withUpload(async (trial) => {
    const third = await trial.put(3);
    const [first, second] = await Promise.all([trial.put(1), trial.put(2)]);
    const written = await complete(trial, [first, second, third]);
    await trial.bench.expectContent(trial.upload.key, trial.bytes);
    assert.equal((await trial.bench.entry(trial.upload.key))?.token, written.token);
    assert.equal((await trial.bench.entry(trial.upload.key))?.size, trial.bytes.length);
  }),

  'nothing is visible before complete': withUpload(async (trial) => {
    await trial.put(1);
    assert.deepEqual(await trial.bench.keys(), []);
    await refused(trial.bench.store.head(trial.upload.key), 'gone');
  }),

  'another process goes on: listParts gives what is there, with number, size and token': withUpload(async (trial) => {
    const [second, first] = [await trial.put(2), await trial.put(1)];
    const other = (await trial.bench.again()).multipart;
    assert.ok(other !== undefined);
    const listed = await other.listParts(trial.upload);
    assert.deepEqual(listed.map(({ number, size, token }) => ({ number, size, token })), [first, second].map(({ number, size, token }) => ({ number, size, token })));
    const third = await other.putPart(trial.upload, 3, bodyOf(sliceOf(trial.bench, trial.bytes, 3)));
    await other.complete({ upload: trial.upload, parts: [...listed, third], attributes: NO_ATTRIBUTES, guard: { kind: 'none' } });
    await trial.bench.expectContent(trial.upload.key, trial.bytes);
  }),

  'a part sent again replaces the first': withUpload(async (trial) => {
    await trial.put(2, patterned(trial.bench.partSize, 99));
    const parts = [await trial.put(1), await trial.put(2), await trial.put(3)];
    assert.equal((await trial.multipart.listParts(trial.upload)).length, 3);
    await complete(trial, parts);
    await trial.bench.expectContent(trial.upload.key, trial.bytes);
  }),

  'F011: a missing part is refused, whichever it is, and the old object stays': withUpload(async (trial) => {
    await trial.bench.write(trial.upload.key, patterned(10, 3));
    const [first, third] = [await trial.put(1), await trial.put(3)];
    await refused(complete(trial, [first, third]));
    await refused(complete(trial, [first, { ...third, number: 2 }, third]));
    await trial.bench.expectContent(trial.upload.key, patterned(10, 3));
    await complete(trial, [first, await trial.put(2), third]);
    await trial.bench.expectContent(trial.upload.key, trial.bytes);
  }),

  'F012: a part body of another size than declared is refused, and the part does not count': withUpload(async (trial) => {
    const slice = sliceOf(trial.bench, trial.bytes, 1);
    await refused(trial.multipart.putPart(trial.upload, 1, lyingBody(slice.length, slice.subarray(1))));
    await refused(trial.multipart.putPart(trial.upload, 1, lyingBody(slice.length - 1, slice)));
    assert.deepEqual(await trial.multipart.listParts(trial.upload), []);
  }),

  'abort leaves nothing: no object, no upload, no part; twice is no error': withUpload(async (trial) => {
    await trial.put(1);
    assert.ok((await uploadIds(trial.multipart)).includes(trial.upload.id));
    await trial.multipart.abort(trial.upload);
    await trial.multipart.abort(trial.upload);
    assert.ok(!(await uploadIds(trial.multipart)).includes(trial.upload.id));
    await refused(trial.multipart.listParts(trial.upload), 'gone');
    const late = trial.put(3);
    if (trial.bench.has('accepts parts of nothing')) await late;
    else await refused(late, 'gone');
    assert.deepEqual(await trial.bench.keys(), []);
  }),

  'a completed upload is no longer listed': withUpload(async (trial) => {
    await complete(trial, [await trial.put(1), await trial.put(2), await trial.put(3)]);
    assert.ok(!(await uploadIds(trial.multipart)).includes(trial.upload.id));
  }),

  'two uploads of one key do not touch each other': withUpload(async (first) => {
    const second = await trial(first.bench, first.multipart);
    assert.notEqual(first.upload.id, second.upload.id);
    await second.put(1);
    assert.deepEqual(await first.multipart.listParts(first.upload), []);
    await complete(first, [await first.put(1), await first.put(2), await first.put(3)]);
    await second.multipart.abort(second.upload);
    await first.bench.expectContent(first.upload.key, first.bytes);
  }),

  'guard absent on complete: an object that came meanwhile is kind conflict, and stays': withUpload(async (trial) => {
    const parts = [await trial.put(1), await trial.put(2), await trial.put(3)];
    await trial.bench.write(trial.upload.key, patterned(10, 3));
    const attempt = trial.multipart.complete({ upload: trial.upload, parts, attributes: NO_ATTRIBUTES, guard: { kind: 'absent' } });
    if (trial.bench.store.facts.guards.onComplete) {
      await refused(attempt, 'conflict');
      await trial.bench.expectContent(trial.upload.key, patterned(10, 3));
    } else {
      const accepted = await attempt.then(() => true, () => false);
      await trial.bench.expectContent(trial.upload.key, accepted ? trial.bytes : patterned(10, 3));
    }
  }),

  'guard matches on complete: the expected version is replaced': withUpload(async (trial) => {
    const old = await trial.bench.write(trial.upload.key, patterned(10, 3));
    const parts = [await trial.put(1), await trial.put(2), await trial.put(3)];
    await trial.multipart.complete({ upload: trial.upload, parts, attributes: NO_ATTRIBUTES, guard: { kind: 'matches', token: old.token } });
    await trial.bench.expectContent(trial.upload.key, trial.bytes);
  }),

  'an object of exactly one part': withUpload(async ({ bench, multipart }) => {
    const bytes = patterned(bench.partSize, 4);
    const upload = await multipart.create({ key: 'one', size: bytes.length, partSize: bench.partSize, attributes: NO_ATTRIBUTES });
    const part = await multipart.putPart(upload, 1, bodyOf(bytes));
    await multipart.complete({ upload, parts: [part], attributes: NO_ATTRIBUTES, guard: { kind: 'none' } });
    await bench.expectContent('one', bytes);
  }),
};
