import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseMigration } from '../../config/index.ts';
import { BrigadeError } from '../../core/errors.ts';
import { simulatedClock } from '../../telemetry/clock.ts';
import { Places } from './places.ts';

const clock = simulatedClock();

const migration = (source: string, destination: string) => parseMigration(Buffer.from(`source: ${source}\ndestination: ${destination}\n`), '/tmp/x.yml', {});
const failed = (code: string, location?: string): BrigadeError => new BrigadeError({ code, kind: 'premise', message: 'x', ...(location === undefined ? {} : { location }) });

test('a place is a bucket as certain credentials reach it: prefixes share it, other credentials and servers do not', () => {
  const [one] = new Places(migration('{ url: "s3://aaa/x/", credentials: "env:ONE" }', '/to'), clock).all;
  const placeOf = (source: string): string | undefined => new Places(migration(source, '/to'), clock).all[0];
  assert.equal(placeOf('{ url: "s3://aaa/y/", credentials: "env:ONE" }'), one);
  assert.notEqual(placeOf('{ url: "s3://aaa/x/", credentials: "env:TWO" }'), one);
  assert.notEqual(placeOf('{ url: "s3://aaa/x/", credentials: "env:ONE", endpoint: "https://s3.example.com" }'), one);
  assert.notEqual(placeOf('{ url: "s3://bbb/x/", credentials: "env:ONE" }'), one);
});

test('an error is of the side where it happened; where nothing says which, of none', () => {
  const places = new Places(migration('{ url: "s3://aaa", credentials: "env:ONE" }', '{ url: "s3://bbb", credentials: "env:TWO" }'), clock);
  const [source, destination] = places.all;
  assert.deepEqual(places.blame(failed('E_BUCKET_MISSING', 's3://aaa')), [source]);
  assert.deepEqual(places.blame(failed('E_ACCESS_DENIED', 's3://bbb/key')), [destination]);
  assert.deepEqual(places.blame(failed('E_CREDENTIALS')), []);
  places.emit({ type: 'request', side: 'destination', op: 'write', ms: 1, error: 'E_CREDENTIALS' });
  assert.deepEqual(places.blame(failed('E_CREDENTIALS')), [destination]);
  places.emit({ type: 'request', side: 'source', op: 'read', ms: 1, error: 'E_CREDENTIALS' });
  assert.deepEqual(places.blame(failed('E_CREDENTIALS')), [], 'either may be meant');
});

test('a side that has got over its error is not blamed for that of the other one, nor one whose error was long ago', async () => {
  const places = new Places(migration('{ url: "s3://aaa", credentials: "env:ONE" }', '{ url: "s3://bbb", credentials: "env:TWO" }'), clock);
  const [source, destination] = places.all;
  const request = (side: 'source' | 'destination', op: string, error?: string, ms = 1): void => places.emit({ type: 'request', side, op, ms, ...(error === undefined ? {} : { error }) });
  request('source', 'read', 'E_TIMEOUT');
  await clock.advance(100);
  request('source', 'read', undefined, 5000);
  assert.deepEqual(places.blame(failed('E_TIMEOUT')), [source], 'what was on its way before says nothing');
  request('source', 'head');
  assert.deepEqual(places.blame(failed('E_TIMEOUT')), [source], 'nor what is another question');
  request('source', 'read');
  assert.deepEqual(places.blame(failed('E_TIMEOUT')), [], 'it has got over it');
  request('destination', 'write', 'E_TIMEOUT');
  assert.deepEqual(places.blame(failed('E_TIMEOUT')), [destination]);
  await clock.advance(11 * 60_000);
  assert.deepEqual(places.blame(failed('E_TIMEOUT')), [], 'nobody said anything of it for long');
});
