/** Listings that are not what they seem: a page that cannot be proven good is never "no objects", and nothing is called done after it. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { Fault } from '../../src/faults/kinds.ts';
import { type Ended, Lab } from './failures-lab.ts';

const listing = { operation: 'ListObjectsV2', bucket: 'from' } as const;
/** Two pages to list and few objects to copy. */
const FEW = 'select: { exclude: ["k*[1-9]", "k*[1-9]0"] }';
const LISTED = 1200;
const COPIED = 12;

async function listed(fault: Fault, more: { readonly nth?: number | readonly number[]; readonly max?: number } = {}): Promise<{ readonly lab: Lab; readonly ended: Ended }> {
  const lab = await Lab.open({ rules: [{ name: 'page', match: listing, fault, ...more }] });
  await lab.putMany(LISTED);
  return { lab, ended: await lab.run({ more: FEW }) };
}

function assertStopped({ ended, lab }: { readonly lab: Lab; readonly ended: Ended }, code: string): void {
  assert.deepEqual([ended.exit, ended.run.state, ended.pause?.code, ended.run.listing.sealed], [5, 'paused', code, false]);
  assert.equal(ended.tally.failed.objects, 0);
  lab.assertClean();
}

describe('a page that is none', () => {
  test('F005: an empty 200 once is listed again and nothing is missing', async () => {
    const { ended } = await listed({ kind: 'empty' }, { nth: [2, 3] });
    assert.deepEqual([ended.exit, ended.tally.copied.objects], [0, COPIED]);
  });

  test('F005: an empty 200 for ever stops the run after five tries: E_LIST_INVALID, nothing sealed, exit 5', async () => {
    const seen = await listed({ kind: 'empty' });
    assertStopped(seen, 'E_LIST_INVALID');
    assert.equal(seen.lab.proxy.counter('page').fired, 5);
  });

  test('F006: HTML is named as such, with the endpoint and what it may be', async () => {
    const seen = await listed({ kind: 'html' });
    assertStopped(seen, 'E_LIST_INVALID');
    const { pause } = seen.ended;
    assert.match(`${pause?.message} ${pause?.hint ?? ''}`, /text\/html.*(a proxy or a wrong endpoint|proxy)/);
  });

  test('F089: a listing that failed is not an empty one: exit 5, where an empty one is 0, or 1 with --require-objects', async () => {
    assertStopped(await listed({ kind: 'status', status: 500 }), 'E_SERVER');
    const lab = await Lab.open();
    assert.equal((await lab.run()).exit, 0);
    assert.equal((await lab.run({}, { requireObjects: true })).exit, 1);
  });
});

describe('a page that does not lead on', () => {
  test('F007: truncated without a token goes on behind its last key: nothing missing, nothing twice', async () => {
    const { ended } = await listed({ kind: 'truncated without token' }, { max: 2 });
    assert.deepEqual([ended.exit, ended.tally.copied.objects, ended.tally.listed.objects], [0, COPIED, COPIED]);
  });

  test('F007: XML that ends in the middle is not a page, at any place', async () => {
    for (const keep of [0, 200, 5000]) {
      const { ended } = await listed({ kind: 'truncated xml', keep }, { nth: 2 });
      assert.deepEqual([ended.exit, ended.tally.copied.objects], [0, COPIED], String(keep));
    }
  });

  test('F008: the same page for ever is E_LIST_LOOP, loudly, after few requests', async () => {
    let first: string | undefined;
    const seen = await listed({ kind: 'rewrite', edit: (text) => (first ??= text) });
    assertStopped(seen, 'E_LIST_LOOP');
    assert.ok(seen.lab.proxy.counter('page').fired <= 3, `${seen.lab.proxy.counter('page').fired} pages`);
  });

  test('F008: the same token for ever is E_LIST_LOOP', async () => {
    const seen = await listed({ kind: 'repeated token' });
    assertStopped(seen, 'E_LIST_LOOP');
    assert.ok(seen.lab.proxy.counter('page').fired <= 4);
  });
});

describe('a page that is wrong', () => {
  test('F038: a key that the store lists as U+FFFD is E_LIST_LOSSY, alone: it cannot be asked for', async () => {
    const { ended, lab } = await listed({ kind: 'rewrite', edit: (text) => text.replace('<EncodingType>url</EncodingType>', '').replace('<Key>k00000<', '<Key>k00000\uFFFD<') });
    const failed = [...ended.rows.values()].filter(({ state }) => state === 'failed');
    assert.deepEqual([ended.exit, failed.map(({ problem }) => problem?.code), ended.tally.copied.objects], [1, ['E_LIST_LOSSY'], COPIED - 1]);
    assert.equal(lab.requests.some(({ operation, key }) => operation === 'GetObject' && key.startsWith('k00000')), false);
  });

  test('F050: keys out of order are noticed on the page, and the run ends with every object once', async () => {
    const swap = (text: string): string => text.replaceAll('<Key>k00100<', '<Key>SWAP<').replaceAll('<Key>k00000<', '<Key>k00100<').replaceAll('<Key>SWAP<', '<Key>k00000<');
    const { lab, ended } = await listed({ kind: 'rewrite', edit: swap });
    const again = ended.exit === 0 ? ended : await lab.run({ more: FEW });
    assert.deepEqual([again.exit, again.tally.copied.objects, again.tally.listed.objects], [0, COPIED, COPIED]);
    assert.equal(lab.keys('dest').length, COPIED);
  });
});
