import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { cutObject, partRange, planPartSize, partSpans } from './parts.ts';
import { GiB, MiB, TiB } from './units.ts';

const s3 = { minPartSize: 5 * MiB, maxPartSize: 5 * GiB, maxParts: 10_000, maxObjectSize: 48.8 * TiB, maxSingleWrite: 5 * GiB };
const options = { bufferUpTo: 8 * MiB, streamUpTo: 64 * MiB };

test('F062: parts never exceed the provider’s number, from any size and any limit', () => {
  fc.assert(fc.property(fc.integer({ min: 1, max: 40 * TiB }), fc.constantFrom(1000, 10_000), (size, maxParts) => {
    const limits = { ...s3, maxParts };
    if (size > maxParts * limits.maxPartSize) return;
    const partSize = planPartSize(size, limits);
    const count = Math.ceil(size / partSize);
    assert.ok(count <= maxParts && partSize >= limits.minPartSize && partSize <= limits.maxPartSize);
    const last = partRange(count, size, partSize);
    assert.equal(last.offset + last.length, size);
    assert.ok(last.length > 0);
  }));
});

test('F062: 64 GiB in a 1,000-part store takes 66 MiB parts, in S3 8 MiB', () => {
  assert.equal(planPartSize(64 * GiB, { ...s3, maxParts: 1000 }), 66 * MiB);
  assert.equal(planPartSize(64 * GiB, s3), 8 * MiB);
  assert.equal(planPartSize(TiB, s3), 105 * MiB);
});

test('F064: an object beyond the destination’s maximum is refused with both figures', () => {
  assert.throws(() => cutObject(49 * TiB, s3, options, true), { code: 'E_TOO_LARGE', message: /49\.0 TiB.*48\.8 TiB/ });
  assert.throws(() => cutObject(6 * GiB, s3, options, false), { code: 'E_TOO_LARGE', message: /6\.00 GiB.*5\.00 GiB/ });
});

test('the three ways, at their borders', () => {
  assert.deepEqual(cutObject(8 * MiB, s3, options, true), { way: 'buffer' });
  assert.deepEqual(cutObject(8 * MiB + 1, s3, options, true), { way: 'stream' });
  assert.deepEqual(cutObject(64 * MiB, s3, options, true), { way: 'stream' });
  assert.deepEqual(cutObject(64 * MiB + 1, s3, options, true), { way: 'parts', partSize: 8 * MiB, parts: 9 });
  assert.deepEqual(cutObject(64 * MiB + 1, s3, options, false), { way: 'stream' });
});

test('spans: all parts, each once, in no more than about 256 pieces', () => {
  for (const [size, partSize, bytes, pieces] of [[20 * GiB, 8 * MiB, 256 * MiB, 80], [20 * GiB + 1, 8 * MiB, 256 * MiB, 81], [5 * TiB, 525 * MiB, 256 * MiB, 256], [100 * MiB, 8 * MiB, 256 * MiB, 1], [17 * MiB, 8 * MiB, 1, 3]] as const) {
    const spans = partSpans(size, partSize, bytes);
    assert.ok(spans.length <= pieces && spans.length >= pieces * 0.9, `${spans.length} of ${size}`);
    let next = 1;
    for (const { first, count } of spans) {
      assert.equal(first, next);
      next += count;
    }
    assert.equal(next - 1, Math.ceil(size / partSize));
  }
});
