import assert from 'node:assert/strict';
import { test } from 'node:test';
import { BrigadeError } from '../../core/errors.ts';
import type { Clock } from '../../ports/clock.ts';
import { patient } from './patient.ts';
import type { HttpRequest, HttpResponse, Transport } from './transport.ts';

const clock: Clock = { now: () => 0, monotonic: () => 0, sleep: () => Promise.resolve() };
const reset = new BrigadeError({ code: 'E_NETWORK', kind: 'transient', message: 'connection reset' });
const refused = new BrigadeError({ code: 'E_TLS', kind: 'premise', message: 'no' });
const request = (more: Partial<HttpRequest> = {}): HttpRequest => ({ origin: 'http://x', method: 'PUT', path: '/', headers: [], bodySize: 0, ...more });

/** Answers in turn; the last one stays. Tells how often it was asked and how many bodies were left unread. */
function answering(...all: readonly (number | BrigadeError)[]): { readonly transport: Transport; readonly asked: () => number; readonly discarded: () => number } {
  let asked = 0;
  let discarded = 0;
  const send = async (): Promise<HttpResponse> => {
    const answer = all[Math.min(asked++, all.length - 1)]!;
    if (answer instanceof BrigadeError) throw answer;
    return { status: answer, headers: {}, body: { collect: async () => Buffer.alloc(0), discard: () => { discarded++; }, async *[Symbol.asyncIterator]() { yield* []; } } };
  };
  return { transport: { send, close: async () => undefined }, asked: () => asked, discarded: () => discarded };
}

async function outcomeOf(all: readonly (number | BrigadeError)[], asked: HttpRequest): Promise<readonly [unknown, number, number]> {
  const store = answering(...all);
  const end = await patient(store.transport, clock).send(asked).then(({ status }) => status, (error: BrigadeError) => error.code);
  return [end, store.asked(), store.discarded()];
}

test('what passes is asked again, what is an answer is not', async () => {
  assert.deepEqual(await outcomeOf([503, reset, 500, 200], request()), [200, 4, 2]);
  assert.deepEqual(await outcomeOf([412], request()), [412, 1, 0]);
  assert.deepEqual(await outcomeOf([403], request()), [403, 1, 0]);
  assert.deepEqual(await outcomeOf([refused, 200], request()), ['E_TLS', 1, 0]);
});

test('it ends after five tries', async () => {
  assert.deepEqual(await outcomeOf([503], request()), [503, 5, 4]);
  assert.deepEqual(await outcomeOf([reset], request()), ['E_NETWORK', 5, 0]);
});

test('a guarded write whose answer was lost, and a stream, are not sent twice', async () => {
  assert.deepEqual(await outcomeOf([reset, 412], request({ headers: ['if-match', '"x"'] })), ['E_NETWORK', 1, 0]);
  assert.deepEqual(await outcomeOf([503, 412], request({ headers: ['if-match', '"x"'] })), [412, 2, 1], 'answered: it was not done');
  assert.deepEqual(await outcomeOf([reset, 200], request({ headers: ['x', 'if-match'] })), [200, 2, 0], 'a value is no name');
  assert.deepEqual(await outcomeOf([503, 200], request({ body: (async function* () { yield Buffer.alloc(1); })() })), [503, 1, 0]);
});
