/** Page n + 1 of a listing is requested before page n is read, by the engine's cursor through all decorators: limits, retries and counts stay right. */
import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { test } from 'node:test';
import { Secret } from '../../src/core/secret.ts';
import type { Key } from '../../src/core/key.ts';
import { EntryCursor, type ListingOptions } from '../../src/engine/lister.ts';
import type { ObjectEntry } from '../../src/core/object.ts';
import type { ListPage, Store } from '../../src/ports/storage.ts';
import { createGovernor } from '../../src/stores/decorators/governor.ts';
import { createCounters, type Snapshot } from '../../src/stores/decorators/instrumented.ts';
import { createLimiter, type Limits } from '../../src/stores/decorators/limited.ts';
import { instead } from '../../src/stores/decorators/layer.ts';
import { createRetryBudget } from '../../src/stores/decorators/retrying.ts';
import { createMemoryStore } from '../../src/stores/memory/index.ts';
import { createS3Store, profileOf } from '../../src/stores/s3/index.ts';
import { DEFAULT_TIMEOUTS, type Transport } from '../../src/stores/s3/transport.ts';
import { createTransport } from '../../src/stores/s3/wire.ts';
import { stack } from '../../src/stores/stack.ts';
import { systemClock } from '../../src/telemetry/clock.ts';

const PAGES = 4;
const PER_PAGE = 3;
const keyOf = (index: number): string => `k${String(index).padStart(3, '0')}`;
const ALL = Array.from({ length: PAGES * PER_PAGE }, (_, i) => keyOf(i));

function pageFrom(start: number): string {
  const contents = ALL.slice(start, start + PER_PAGE).map((key) => `<Contents><Key>${key}</Key><LastModified>2026-11-21T09:00:00.000Z</LastModified><ETag>"e"</ETag><Size>1</Size></Contents>`);
  const end = start + PER_PAGE;
  const more = end < ALL.length ? `<IsTruncated>true</IsTruncated><NextContinuationToken>${end}</NextContinuationToken>` : '<IsTruncated>false</IsTruncated>';
  return `<ListBucketResult><EncodingType>url</EncodingType><KeyCount>${contents.length}</KeyCount>${more}${contents.join('')}</ListBucketResult>`;
}

interface Listed {
  readonly keys: readonly Key[];
  /** What happened, in its order: a request was sent, a page was read. */
  readonly steps: readonly ('sent' | 'read')[];
  readonly counts: Snapshot['list'];
}

/** `spoil`: what the answer with this number becomes. */
async function listed(options: { readonly spoil?: (page: string, request: number) => string; readonly limits?: Limits; readonly cursor?: Partial<ListingOptions> } = {}): Promise<Listed> {
  let requests = 0;
  const server = createServer((request, response) => {
    const query = new URL(request.url ?? '', 'http://x').searchParams;
    const after = query.get('start-after');
    const start = after === null ? Number(query.get('continuation-token') ?? 0) : ALL.indexOf(after) + 1;
    const page = pageFrom(start);
    response.end(options.spoil?.(page, ++requests) ?? page);
  });
  await new Promise<void>((resolve) => { server.listen(0, '127.0.0.1', resolve); });
  const steps: ('sent' | 'read')[] = [];
  const counters = createCounters();
  const store = open(`http://127.0.0.1:${(server.address() as AddressInfo).port}`, steps, counters, options.limits ?? {});
  try {
    const keys = await keysOf(new EntryCursor(store, {
      signal: new AbortController().signal, sorter: () => { throw new TypeError('in order'); }, onPage: () => { steps.push('read'); }, ...options.cursor,
    }));
    return { keys, steps, counts: counters.snapshot().list };
  } finally {
    await store.close();
    server.closeAllConnections();
    server.close();
  }
}

function open(endpoint: string, steps: 'sent'[] | ('sent' | 'read')[], counters: ReturnType<typeof createCounters>, limits: Limits): Store {
  const clock = systemClock();
  const wire = createTransport({ connections: 4, timeouts: DEFAULT_TIMEOUTS, lanes: 'never' });
  const transport: Transport = {
    send(request) {
      steps.push('sent');
      return wire.send(request);
    },
    close: () => wire.close(),
  };
  const credentials = { accessKeyId: 'k', secretAccessKey: new Secret('s') };
  const raw = createS3Store({ endpoint, bucket: 'b', profile: profileOf('aws'), pathStyle: true, clock, transport, credentials: { resolve: async () => credentials, invalidate: () => undefined, describe: 'test' } });
  return stack(raw, {
    side: 'source', clock, random: { next: () => 0 } as never, events: { emit: () => undefined }, counters, limiter: createLimiter(clock, limits),
    governor: createGovernor({ clock, initial: 4, min: 1, max: 8 }), budget: createRetryBudget(clock),
  });
}

async function keysOf(cursor: EntryCursor): Promise<Key[]> {
  const keys: Key[] = [];
  while (await cursor.more()) keys.push(...cursor.takeAll().map(({ key }) => key));
  await cursor.close();
  return keys;
}

test('each page is requested before the one before it is read; every request is counted, every key comes once', async () => {
  const { keys, steps, counts } = await listed();
  assert.deepEqual(keys, ALL);
  assert.deepEqual(steps, ['sent', 'sent', 'read', 'sent', 'read', 'sent', 'read', 'read']);
  assert.deepEqual([counts?.count, counts?.errors], [PAGES, {}]);
});

test('a limit on requests holds the request ahead, not the reading', async () => {
  const { keys, steps, counts } = await listed({ limits: { requestsPerSecond: 5 } });
  assert.deepEqual(keys, ALL);
  // A page is read while the request for the next one is held; on a busy machine not each of them.
  assert.match(steps.join(' '), /sent read sent/);
  assert.equal(counts?.count, PAGES);
});

test('F005: a page that turns out bad is listed again from behind the last good key; what was asked for ahead of it is dropped', async () => {
  for (const bad of [1, 2, 3]) {
    const { keys, counts } = await listed({ spoil: (page, request) => (request === bad ? page.replace('<KeyCount>', '<KeyCount>9') : page) });
    assert.deepEqual(keys, ALL, `request ${bad}`);
    assert.deepEqual([counts?.count, counts?.errors], [PAGES + 2, { E_LIST_INVALID: 1 }]);
  }
});

test('F005: bad for ever it ends in E_LIST_INVALID after five tries, with the good pages handed on', async () => {
  const seen: Key[] = [];
  const attempt = listed({ spoil: (page, request) => (request > 1 ? page.replace('<KeyCount>', '<KeyCount>9') : page), cursor: { onKeys: (_, last) => { seen.push(last); } } });
  await assert.rejects(attempt, { code: 'E_LIST_INVALID' });
  assert.deepEqual(seen, [ALL[PER_PAGE - 1]]);
});

test('nothing is requested behind the end of a range that a page reaches', async () => {
  const { keys, steps } = await listed({ cursor: { bound: { upTo: keyOf(4) } } });
  assert.deepEqual(keys, ALL.slice(0, 5));
  assert.deepEqual(steps, ['sent', 'sent', 'read', 'read']);
});

test('a range that is cut while its page waits unread hands over what lies beyond the cut, and keeps the rest', async () => {
  const entries = ALL.map((key): ObjectEntry => ({ key, size: 1, token: 'e', kind: 'object' }));
  const store = instead(createMemoryStore({ name: 'unread' }), {
    async* list(): AsyncGenerator<ListPage> {
      yield { entries: entries.slice(0, 6), reach: keyOf(5) };
      yield { entries: entries.slice(6) };
    },
  });
  const bound: { upTo?: Key } = {};
  const cursor = new EntryCursor(store, { signal: new AbortController().signal, sorter: () => { throw new TypeError('in order'); }, onPage: () => undefined, bound });
  const waiting = cursor.more();
  for (let i = 0; i < 10; i++) await Promise.resolve(); // the page is there, and the turn in which the next one is asked for is not over
  bound.upTo = keyOf(3);
  assert.deepEqual(cursor.handOver(keyOf(3)).entries.slice(0, 2).map(({ key }) => key), [keyOf(4), keyOf(5)]);
  assert.equal(await waiting, true);
  assert.deepEqual(cursor.takeAll().map(({ key }) => key), ALL.slice(0, 4));
  assert.equal(await cursor.more(), false);
});
