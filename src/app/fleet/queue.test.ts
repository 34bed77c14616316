import assert from 'node:assert/strict';
import { test } from 'node:test';
import { seededRandom } from '../../telemetry/random.ts';
import { systemClock } from '../../telemetry/clock.ts';
import { parsePartition } from './partitions.ts';
import { openQueue, parseQueue } from './queue.ts';

const AT = { env: { AWS_REGION: 'eu-west-1' }, cwd: '/work' };
const NO_ENV = { env: {}, cwd: '/work' };

test('sqs: a name takes its region from the environment, a URL from its host; both from ?region', () => {
  assert.deepEqual(parseQueue('sqs:brigade', AT), { engine: 'sqs', queue: 'brigade', create: false, region: 'eu-west-1', credentials: { kind: 'default' } });
  const url = 'https://sqs.eu-central-1.amazonaws.com/123456789012/brigade';
  const at = (text: string, around = AT) => { const { queue, region, endpoint } = parseQueue(text, around) as { queue: string; region: string; endpoint?: string }; return [queue, region, endpoint]; };
  assert.deepEqual(at(`sqs:${url}`), [url, 'eu-central-1', undefined]);
  assert.deepEqual(at(`sqs:${url}?region=us-east-1`), [url, 'us-east-1', undefined]);
  const vpc = 'https://vpce-1a2b-3c4d.sqs.us-west-2.vpce.amazonaws.com/123456789012/brigade';
  assert.deepEqual(at(`sqs:${vpc}`), [vpc, 'us-west-2', undefined]);
  assert.deepEqual(at('sqs:https://us-east-2.queue.amazonaws.com/123456789012/b', NO_ENV as typeof AT).slice(1), ['us-east-2', undefined]);
});

test('sqs: another server is asked at its own address, for everything', () => {
  const at = (text: string, env = {}) => (parseQueue(text, { env: { ...AT.env, ...env }, cwd: '/' }) as { endpoint?: string }).endpoint;
  assert.equal(at('sqs:http://127.0.0.1:4566/000000000000/brigade'), 'http://127.0.0.1:4566');
  assert.equal(at('sqs:brigade?endpoint=https://sqs.example.com/'), 'https://sqs.example.com');
  assert.equal(at('sqs:brigade', { AWS_ENDPOINT_URL_SQS: 'http://127.0.0.1:1' }), 'http://127.0.0.1:1');
});

test('sqs: every option is taken', () => {
  assert.deepEqual(parseQueue('sqs:brigade?region=eu-central-1&credentials=file:keys.json&create=true&lease=2m', NO_ENV), {
    engine: 'sqs', queue: 'brigade', create: true, leaseMs: 120_000, region: 'eu-central-1', credentials: { kind: 'document', ref: { from: 'file', path: '/work/keys.json' } },
  });
});

test('nats: servers, secrets and options are taken', () => {
  assert.deepEqual(parseQueue('nats:brigade@nats://a:4222,tls://b?ca=ca.pem&create=true&replicas=3&lease=30s&user=brigade&password=env:NATS_PASSWORD', NO_ENV), {
    engine: 'nats', queue: 'brigade', create: true, leaseMs: 30_000, servers: ['nats://a:4222', 'tls://b'], ca: '/work/ca.pem', replicas: 3,
    secret: { kind: 'user', user: 'brigade', ref: { from: 'env', name: 'NATS_PASSWORD' } },
  });
  for (const kind of ['token', 'creds', 'nkey']) {
    const { secret } = parseQueue(`nats:b@nats://a:4222?${kind}=aws-sm:fleet%2Fnats#key`, NO_ENV) as { secret?: unknown };
    assert.deepEqual(secret, { kind, ref: { from: 'aws-sm', name: 'fleet/nats', jsonKey: 'key' } });
  }
});

const REFUSED: readonly (readonly [text: string, message: RegExp])[] = [
  ['brigade', /does not begin with sqs:, nats: or partitions:/],
  ['partitions:0', /"0" is no number of members from 1 to 256/],
  ['partitions:257', /no number of members/],
  ['partitions:4?create=true', /"create" is not an option here/],
  ['kafka:brigade', /does not begin with/],
  ['sqs:', /names no queue/],
  ['sqs:a b', /names no queue/],
  ['sqs:https://sqs.eu-central-1.amazonaws.com/brigade', /not the URL of a queue/],
  ['sqs:brigade?regoin=x', /"regoin" is not an option here/],
  ['sqs:brigade?region=a&region=b', /region stands twice/],
  ['sqs:brigade?region', /region has no value/],
  ['sqs:brigade?create=yes', /neither true nor false/],
  ['sqs:brigade?lease=30', /lease is no time/],
  ['sqs:brigade?lease=13h', /lease is no time/],
  ['sqs:brigade?endpoint=ftp://x', /no URL of a server/],
  ['sqs:brigade?credentials=anonymous', /no anonymous requests/],
  ['nats:brigade', /names no server/],
  ['nats:brigade@a:4222', /a server of NATS/],
  ['nats:brigade@nats://a:4222,', /a server of NATS/],
  ['nats:brigade@nats://a:4222/path', /a server of NATS/],
  ['nats:brigade@nats://a:4222?replicas=9', /replicas is no whole number/],
  ['nats:brigade@nats://a:4222?user=x', /belong together/],
  ['nats:brigade@nats://a:4222?token=env:A&nkey=env:B', /says twice who asks: token and nkey/],
];

for (const [text, message] of REFUSED) {
  test(`refused in one line: ${text}`, () => {
    assert.throws(() => parseQueue(text, AT), (error: Error & { code?: string; kind?: string; hint?: string; location?: string }) => {
      assert.deepEqual([error.code, error.kind], ['E_CONFIG', 'usage']);
      assert.match(error.message, message);
      assert.match(error.location ?? '', /^--queue/);
      assert.ok(error.hint !== undefined && !`${error.message}${error.hint}`.includes('\n'));
      return true;
    });
  });
}

test('partitions: how many, or as many as there are; they lie in a journal', async () => {
  assert.deepEqual(parseQueue('partitions:7?lease=20s', NO_ENV), { engine: 'partitions', members: 7, leaseMs: 20_000 });
  assert.deepEqual(parseQueue('partitions', NO_ENV), { engine: 'partitions' });
  await assert.rejects(openQueue('partitions:7', { ...NO_ENV, clock: systemClock(), random: seededRandom(1) }), { code: 'E_USAGE', kind: 'usage', message: 'partitions lie in the journal, and none is named' });
});

test('--partition: one of N, or several', () => {
  assert.deepEqual(parsePartition('3/7'), [{ member: 3, members: 7 }]);
  assert.deepEqual(parsePartition('2-4/8').map(({ member }) => member), [2, 3, 4]);
  for (const text of ['0/3', '4/3', '3-2/4', '1-5/4', '3', '1/257', '1/3/5', '-1/3', '1/3 ']) assert.throws(() => parsePartition(text), { code: 'E_CONFIG', kind: 'usage' }, text);
});

test('sqs without any region is refused', () => {
  assert.throws(() => parseQueue('sqs:brigade', NO_ENV), { code: 'E_CONFIG', message: 'names no region' });
});

test('I10: a secret in the place of a reference is refused and never repeated', () => {
  const secret = 'wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY';
  for (const text of [`sqs:b?credentials=${secret}`, `nats:b@nats://a?token=${secret}`, `nats:b@nats://user:${secret}@a:4222`, `sqs:https://user:${secret.replaceAll('/', '')}@sqs.eu-west-1.amazonaws.com/1/b`, `nats:b@nats://a?token=${secret}%`, `sqs:b?${secret}`]) {
    assert.throws(() => parseQueue(text, AT), (error: Error & { code?: string; hint?: string; location?: string }) => {
      assert.equal(error.code, 'E_CONFIG', text);
      assert.ok(!`${error.message} ${error.hint} ${error.location}`.includes(secret.slice(0, 12)), `${text}: ${error.message}`);
      return true;
    });
  }
});

test('a queue in memory is the same for all who name it', async () => {
  const around = { ...AT, clock: systemClock(), random: seededRandom(1) };
  const [one, two] = await Promise.all([openQueue('memory:here', around), openQueue('memory:here', around)]);
  await one.send([{ id: 'a', body: 'hello' }]);
  const [got] = await two.receive(1, 0, new AbortController().signal);
  assert.equal(got?.body, 'hello');
});

test('nobody listens at the server that is named: transient, and the secret was read before', async () => {
  const around = { ...NO_ENV, clock: systemClock(), random: seededRandom(1) };
  await assert.rejects(openQueue('nats:b@nats://127.0.0.1:1?token=env:NO_SUCH', around), { code: 'E_CREDENTIALS', kind: 'premise' });
  await assert.rejects(openQueue('nats:b@nats://127.0.0.1:1?token=env:TOKEN', { ...around, env: { TOKEN: 'x' } }), { code: 'E_NETWORK', kind: 'transient' });
  await assert.rejects(openQueue('nats:b@nats://127.0.0.1:1?ca=/no/such.pem', around), { code: 'E_CA_FILE', kind: 'usage' });
});
