// Pages that are handed out unread: the next one is asked for first, and none that is bad is ever gone behind.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { BrigadeError } from '../../core/errors.ts';
import type { ListPage } from '../../ports/storage.ts';
import { errorOf, listXml, startScripted } from './fixture.test.ts';
import type { Answer, Asked, PageLine } from './fixture.test.ts';

const lines = (...keys: string[]): PageLine[] => keys.map((key) => ({ key }));
const keysOf = (page: ListPage): string[] => page.entries.map(({ key }) => key);
const tokenOf = ({ url }: Asked): string | null => new URLSearchParams(url.split('?')[1]).get('continuation-token');
const startOf = ({ url }: Asked): string | null => new URLSearchParams(url.split('?')[1]).get('start-after');

interface Ahead { readonly asked: readonly Asked[]; step(): Promise<ListPage | undefined>; ordered(): boolean }

async function ahead(answer: (asked: Asked, count: number) => Answer, run: (listing: Ahead) => Promise<void>): Promise<void> {
  await using server = await startScripted(answer);
  const store = server.store();
  const pages = store.list({ ahead: true })[Symbol.asyncIterator]();
  await run({
    asked: server.asked, ordered: () => store.facts.ordered,
    async step() {
      const { done, value } = await pages.next() as IteratorResult<ListPage>;
      return done === true ? undefined : value as ListPage;
    },
  });
}

const entriesError = (page: ListPage | undefined): string => {
  try {
    return `${page?.entries.length} entries`;
  } catch (thrown) {
    return (thrown as BrigadeError).code;
  }
};

async function until(fact: () => boolean): Promise<void> {
  while (!fact()) await new Promise((resolve) => setImmediate(resolve));
}

test('page n + 1 is asked for before page n is read; each is read once, and the last one at once', async () => {
  const answer = (asked: Asked): Answer => {
    const token = tokenOf(asked);
    if (token === null) return { body: listXml(lines('a', 'b'), { truncated: true, token: 'one' }) };
    return { body: token === 'one' ? listXml(lines('c', 'd+e'), { truncated: true, token: 'two' }) : listXml(lines('f')) };
  };
  await ahead(answer, async ({ asked, step }) => {
    const first = await step() as ListPage;
    assert.equal(first.reach, 'b');
    const [second, sent] = [step(), asked.length];
    await until(() => asked.length === 2);
    assert.equal(sent, 1, 'no request before the step is taken');
    assert.deepEqual(keysOf(first), ['a', 'b']);
    assert.equal(first.entries, first.entries);
    const page = await second as ListPage;
    assert.deepEqual([page.reach, keysOf(page)], ['d+e', ['c', 'd+e']]);
    const last = await step() as ListPage;
    assert.deepEqual([last.reach, last.last, keysOf(last)], [undefined, true, ['f']]);
    assert.equal(await step(), undefined);
    assert.deepEqual(asked.map(tokenOf), [null, 'one', 'two']);
  });
});

const truncated = { truncated: true, token: 't' };
const BAD: Readonly<Record<string, { readonly body: string; readonly code: string }>> = {
  'F005: a wrong KeyCount': { body: listXml(lines('a', 'b'), truncated).replace('<IsTruncated>', '<KeyCount>7</KeyCount><IsTruncated>'), code: 'E_LIST_INVALID' },
  'F007: an object without a size': { body: listXml(lines('a', 'b'), truncated).replace(/<Size>.*?<\/Size>/, ''), code: 'E_LIST_INVALID' },
  'F050: keys out of order': { body: listXml(lines('b', 'a'), truncated), code: 'E_LIST_ORDER' },
};

for (const [what, { body, code }] of Object.entries(BAD)) {
  test(`${what}: thrown by the page and by the step behind it; the page asked for ahead is dropped`, async () => {
    await ahead((_, count) => ({ body: count === 1 ? body : listXml(lines('z')) }), async ({ asked, step, ordered }) => {
      const page = await step();
      const next = errorOf(step());
      assert.equal(entriesError(page), code);
      assert.equal((await next).code, code);
      assert.equal(await step(), undefined, 'nothing comes behind a bad page');
      assert.equal(asked.length, 2);
      assert.equal(ordered(), code !== 'E_LIST_ORDER');
    });
  });
}

test('F050: a bad page that was looked at first costs no second request', async () => {
  await ahead(() => ({ body: BAD['F050: keys out of order']?.body ?? '' }), async ({ asked, step }) => {
    assert.equal(entriesError(await step()), 'E_LIST_ORDER');
    assert.equal((await errorOf(step())).code, 'E_LIST_ORDER');
    assert.equal(asked.length, 1);
  });
});

test('F008: the same page, or the same token, again is E_LIST_LOOP, and none is asked for a third time but the one ahead', async () => {
  await ahead(() => ({ body: listXml(lines('a', 'b'), truncated) }), async ({ asked, step }) => {
    assert.deepEqual(keysOf(await step() as ListPage), ['a', 'b']);
    assert.equal((await errorOf(step())).code, 'E_LIST_LOOP');
    assert.equal(asked.length, 2, 'the token is known: it is read at once');
  });
  await ahead((_, count) => ({ body: listXml(lines('a', 'b'), { truncated: true, token: `t${count}` }) }), async ({ asked, step }) => {
    await step();
    const again = await step();
    const next = errorOf(step());
    assert.equal(entriesError(again), 'E_LIST_LOOP');
    assert.equal((await next).code, 'E_LIST_LOOP');
    assert.equal(asked.length, 3);
  });
});

test('F005, F006, F007: what is empty, HTML or cut is never handed out unread, and nothing is asked for behind it', async () => {
  const whole = listXml(lines('a', 'b'), truncated);
  for (const body of ['', '<html>Welcome</html>', whole.slice(0, -5), whole.slice(0, whole.indexOf('</Contents>')), '<Error/>']) {
    await ahead(() => ({ body }), async ({ asked, step }) => {
      assert.equal((await errorOf(step())).code, 'E_LIST_INVALID');
      assert.equal(asked.length, 1);
    });
  }
});

test('F007: truncated without a token: the page ahead is asked for behind the last key', async () => {
  await ahead((asked) => ({ body: startOf(asked) === null ? listXml(lines('a', 'b'), { truncated: true }) : listXml(lines('c')) }), async ({ asked, step }) => {
    const first = await step() as ListPage;
    const second = step();
    await until(() => asked.length === 2);
    assert.deepEqual([keysOf(first), keysOf(await second as ListPage)], [['a', 'b'], ['c']]);
    assert.deepEqual(asked.map(startOf), [null, 'b']);
  });
});

test('a page that goes on in another way than it seemed to is gone on from as it proved', async () => {
  const twice = listXml(lines('a', 'b'), { truncated: true, token: 'seems' }).replace('</ListBucketResult>', '<NextContinuationToken>proves</NextContinuationToken></ListBucketResult>');
  await ahead((asked) => ({ body: tokenOf(asked) === null ? twice : listXml(lines(tokenOf(asked) === 'proves' ? 'c' : 'wrong')) }), async ({ asked, step }) => {
    const first = await step() as ListPage;
    assert.deepEqual([keysOf(await step() as ListPage), keysOf(first)], [['c'], ['a', 'b']]);
    assert.deepEqual(asked.map(tokenOf), [null, 'seems', 'proves']);
  });
  const over = listXml(lines('a', 'b'), truncated).replace('</ListBucketResult>', '<IsTruncated>false</IsTruncated></ListBucketResult>');
  await ahead(() => ({ body: over }), async ({ step }) => {
    const only = await step() as ListPage;
    assert.deepEqual([await step(), keysOf(only)], [undefined, ['a', 'b']]);
  });
});

test('a released page is not looked at again', async () => {
  await ahead((_, count) => ({ body: count === 1 ? listXml(lines('a'), truncated) : listXml(lines('b')) }), async ({ step }) => {
    const first = await step() as ListPage;
    assert.deepEqual(keysOf(first), ['a']);
    first.release?.();
    assert.throws(() => first.entries, TypeError);
    assert.deepEqual(keysOf(await step() as ListPage), ['b'], 'it was proven, and the listing goes on');
  });
});
