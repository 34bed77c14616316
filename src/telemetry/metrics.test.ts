import assert from 'node:assert/strict';
import { test } from 'node:test';
import { expose } from './exposition.ts';
import { countersOf, Meter, summed } from './meter.ts';
import { serveMetrics } from './metrics-endpoint.ts';

test('rows of one name stand together behind its meaning and kind; a value cannot end its label or its line', () => {
  const text = expose([
    { name: 'brigade_backlog_tasks', labels: { migration: 'a"b\\c\nd' }, value: 3 },
    { name: 'brigade_requests_total', labels: { endpoint: 'source', op: 'read' }, value: 7 },
    { name: 'brigade_backlog_tasks', labels: { migration: 'other' }, value: 0.5 },
    { name: 'brigade_epoch', labels: {}, value: 2 },
  ]);
  const rows = text.split('\n').filter((line) => !line.startsWith('# HELP'));
  assert.deepEqual(rows, [
    '# TYPE brigade_backlog_tasks gauge', String.raw`brigade_backlog_tasks{migration="a\"b\\c\nd"} 3`, 'brigade_backlog_tasks{migration="other"} 0.5',
    '# TYPE brigade_requests_total counter', 'brigade_requests_total{endpoint="source",op="read"} 7',
    '# TYPE brigade_epoch gauge', 'brigade_epoch 2', '',
  ]);
  assert.equal(text.split('\n').filter((line) => line.startsWith('# HELP')).length, 3);
});

test('events are counted by migration, endpoint and operation; what the journal is written stands apart', () => {
  const meter = new Meter();
  const [events, journal] = [meter.events({ migration: 'm' }), meter.events({ migration: 'm' }, 'journal')];
  for (let i = 0; i < 3; i++) events.emit({ type: 'request', side: 'source', op: 'read', ms: 1 });
  events.emit({ type: 'requests', side: 'source', counts: { read: 10, head: 1 } });
  events.emit({ type: 'request', side: 'destination', op: 'write', ms: 1, error: 'E_THROTTLED' });
  events.emit({ type: 'throttled', side: 'destination' });
  events.emit({ type: 'retry', side: 'destination', op: 'write', problem: { code: 'E_THROTTLED', message: 'slower' }, waitMs: 5 });
  events.emit({ type: 'bytes', key: 'k', bytes: 5 });
  events.emit({ type: 'landed', objects: 2, bytes: 6, checksums: {} });
  events.emit({ type: 'reported', objects: { copied: 3, unchanged: 0 }, bytes: 7, checksums: {} });
  events.emit({ type: 'lease', what: 'extended' });
  events.emit({ type: 'task', what: 'taken', ms: 0 });
  events.emit({ type: 'task', what: 'done', ms: 1500 });
  for (const error of [undefined, 'E_CONFLICT']) journal.emit({ type: 'request', side: 'destination', op: 'write', ms: 1, ...(error === undefined ? {} : { error }) });
  const value = (name: string, labels: object): number | undefined => meter.samples().find((sample) => sample.name === name && JSON.stringify(sample.labels) === JSON.stringify({ migration: 'm', ...labels }))?.value;
  assert.equal(value('brigade_requests_total', { endpoint: 'source', op: 'read' }), 13);
  assert.equal(value('brigade_requests_total', { endpoint: 'source', op: 'head' }), 1);
  assert.equal(value('brigade_request_errors_total', { endpoint: 'destination', op: 'write', code: 'E_THROTTLED' }), 1);
  assert.equal(value('brigade_throttles_total', { endpoint: 'destination' }), 1);
  assert.equal(value('brigade_retries_total', { endpoint: 'destination', op: 'write', code: 'E_THROTTLED' }), 1);
  assert.equal(value('brigade_bytes_sent_total', {}), 11);
  assert.deepEqual([value('brigade_objects_ended_total', { state: 'copied' }), value('brigade_objects_ended_total', { state: 'unchanged' })], [3, undefined]);
  assert.equal(value('brigade_lease_extensions_total', {}), 1);
  assert.equal(value('brigade_tasks_total', { what: 'done' }), 1);
  assert.equal(value('brigade_task_seconds_total', {}), 1.5);
  assert.equal(value('brigade_requests_total', { endpoint: 'journal', op: 'write' }), 2);
  assert.equal(value('brigade_journal_writes_total', {}), 1, 'a write that was refused wrote nothing');
});

test('what several processes say is added up; of one that is gone what only grows stays', () => {
  const one = [{ name: 'brigade_throttles_total', labels: { b: '1', a: '2' }, value: 3 }, { name: 'brigade_worker_processes', labels: {}, value: 1 }] as const;
  const other = [{ name: 'brigade_throttles_total', labels: { a: '2', b: '1' }, value: 4 }, { name: 'brigade_worker_processes', labels: {}, value: 1 }] as const;
  assert.deepEqual(summed([...one, ...other]).map(({ value }) => value), [7, 2]);
  assert.deepEqual(countersOf(one).map(({ name }) => name), ['brigade_throttles_total']);
});

test('metrics are shown to whoever asks for them, and nothing else is', async (t) => {
  let broken = false;
  const read = (): readonly [{ name: 'brigade_epoch'; labels: Record<string, string>; value: number }] => {
    if (broken) throw new Error('no ledger now');
    return [{ name: 'brigade_epoch', labels: {}, value: 4 }];
  };
  const endpoint = await serveMetrics({ host: '127.0.0.1', port: 0, read });
  t.after(() => endpoint.close());
  const got = await fetch(endpoint.url);
  assert.equal(got.headers.get('content-type'), 'text/plain; version=0.0.4; charset=utf-8');
  assert.match(await got.text(), /^brigade_epoch 4$/m);
  assert.equal((await fetch(`${endpoint.url}?x=1`)).status, 200);
  assert.equal((await fetch(new URL('/', endpoint.url))).status, 404);
  assert.equal((await fetch(endpoint.url, { method: 'POST', body: 'x' })).status, 405);
  broken = true;
  assert.equal((await fetch(endpoint.url)).status, 500, 'and the process lives on');
  broken = false;
  assert.equal((await fetch(endpoint.url)).status, 200);
});
