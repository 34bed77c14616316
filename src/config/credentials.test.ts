import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type IncomingMessage } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { inspect } from 'node:util';
import { after, before, test } from 'node:test';
import { BrigadeError, cancelled, errorLine } from '../core/errors.ts';
import { Secret } from '../core/secret.ts';
import type { Clock } from '../ports/clock.ts';
import type { Credentials } from '../ports/credentials.ts';
import { RefreshingSource } from './credential-refresh.ts';
import { credentialSource, describeCredentials, usesEnvironment } from './credentials.ts';
import type { CredentialRef } from './migration.ts';
import { parseMigration } from './load.ts';

const folder = mkdtempSync(join(tmpdir(), 'brigade-credentials-'));
after(() => rmSync(folder, { recursive: true }));

const SECRET = 'wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY';
const MINUTE = 60_000;

/** Time that stands until it is moved; sleepers wake when it passes them. */
class TestClock implements Clock {
  time = 1_800_000_000_000;
  readonly #sleepers = new Set<{ readonly at: number; readonly wake: () => void }>();
  now = () => this.time;
  monotonic = () => this.time;
  sleep(ms: number, signal?: AbortSignal): Promise<void> {
    return new Promise((wake, reject) => {
      this.#sleepers.add({ at: this.time + ms, wake });
      signal?.addEventListener('abort', () => reject(cancelled()), { once: true });
    });
  }
  advance(ms: number): void {
    this.time += ms;
    for (const sleeper of this.#sleepers) if (sleeper.at <= this.time) sleeper.wake();
  }
}

const ref = (credentials: string): CredentialRef => {
  const { source } = parseMigration(Buffer.from(`source: { s3: bucket, credentials: ${credentials} }\ndestination: /to\n`), join(folder, 'pair.yml'), {});
  assert.ok(source.kind === 's3');
  return source.connection.credentials;
};
const resolveAll = async (credentials: string, env: Record<string, string> = {}, clock: Clock = new TestClock()) => {
  const found = await credentialSource(ref(credentials), { env, clock }).resolve();
  return found === undefined ? undefined : [found.accessKeyId, found.secretAccessKey.reveal(), found.sessionToken?.reveal(), found.expiresAtMs];
};
const refusal = async (credentials: string, env: Record<string, string> = {}) => {
  const thrown = await resolveAll(credentials, env).then(() => assert.fail('was accepted'), (error: unknown) => error);
  assert.ok(thrown instanceof BrigadeError, String(thrown));
  assert.deepEqual([thrown.code, thrown.kind], ['E_CREDENTIALS', 'premise']);
  const shown = errorLine(thrown);
  assert.ok(!shown.includes(SECRET) && !inspect(thrown, { depth: 9 }).includes(SECRET), shown);
  return shown;
};
const privateFile = (name: string, text: string, mode = 0o600) => {
  writeFileSync(join(folder, name), text);
  chmodSync(join(folder, name), mode);
};

test('env: by prefix and by part; the token is optional by prefix only', async () => {
  const env = { P_ACCESS_KEY_ID: 'id', P_SECRET_ACCESS_KEY: SECRET, T: 'token' };
  assert.deepEqual(await resolveAll('env:P', env), ['id', SECRET, undefined, undefined]);
  assert.deepEqual(await resolveAll('env:P', { ...env, P_SESSION_TOKEN: 'token' }), ['id', SECRET, 'token', undefined]);
  const parts = '{ access_key_id: "env:P_ACCESS_KEY_ID", secret_access_key: "${P_SECRET_ACCESS_KEY}", session_token: "env:T" }';
  assert.deepEqual(await resolveAll(parts, env), ['id', SECRET, 'token', undefined]);
  assert.match(await refusal(parts, { P_ACCESS_KEY_ID: 'id', P_SECRET_ACCESS_KEY: SECRET }), /the variable T is not set; export T/);
  assert.match(await refusal('env:P', { P_ACCESS_KEY_ID: 'id' }), /P_SECRET_ACCESS_KEY is not set/);
  assert.match(await refusal('env:P', { ...env, P_ACCESS_KEY_ID: ' ' }), /P_ACCESS_KEY_ID is empty/);
});

test('file: a document or one value, private to its owner', async () => {
  privateFile('ours.json', JSON.stringify({ access_key_id: 'id', secret_access_key: SECRET }));
  privateFile('sts.json', JSON.stringify({ Version: 1, AccessKeyId: 'id', SecretAccessKey: SECRET, SessionToken: 'token', Expiration: '2030-01-01T00:00:00Z' }));
  privateFile('secret', `${SECRET}\n`);
  assert.deepEqual(await resolveAll('"file:ours.json"'), ['id', SECRET, undefined, undefined]);
  assert.deepEqual(await resolveAll('"file:./sts.json"'), ['id', SECRET, 'token', Date.UTC(2030, 0)]);
  assert.deepEqual(await resolveAll(`{ access_key_id: "env:ID", secret_access_key: "file:${join(folder, 'secret')}" }`, { ID: 'id' }), ['id', SECRET, undefined, undefined]);
  privateFile('open.json', SECRET, 0o640);
  assert.match(await refusal('"file:open.json"'), /can be read by others than its owner; chmod 600/);
  assert.match(await refusal('"file:none.json"'), /cannot be read \(ENOENT\)/);
  assert.match(await refusal('"file:."'), /not a regular file/);
  execFileSync('mkfifo', ['-m', '600', join(folder, 'fifo')]);
  assert.match(await refusal('"file:fifo"'), /not a regular file/);
  privateFile('broken.json', `{"secret_access_key": "${SECRET}", `);
  assert.match(await refusal('"file:broken.json"'), /does not hold a JSON object/);
  privateFile('half.json', `{"secret_access_key": "${SECRET}"}`);
  assert.match(await refusal('"file:half.json"'), /lacks access_key_id/);
  privateFile('huge.json', 'x'.repeat(70_000));
  assert.match(await refusal('"file:huge.json"'), /larger than 64 KiB/);
});

test('anonymous has none; describe and usesEnvironment say where the others come from', async () => {
  assert.equal(await resolveAll('anonymous'), undefined);
  const cases: readonly [string, string, boolean][] = [
    ['default', 'the default chain', false], ['anonymous', 'anonymous', false], ['"profile:x"', 'profile:x', false], ['"env:P"', 'env:P_ACCESS_KEY_ID', true], ['"aws-sm:/m/x"', 'aws-sm:/m/x', false],
    ['{ access_key_id: "aws-sm:s#id", secret_access_key: "env:X" }', 'aws-sm:s#id', true],
    ['{ assume_role: { role_arn: "arn:aws:iam::123456789012:role/x", base: "env:P" } }', 'assume_role arn:aws:iam::123456789012:role/x', true],
  ];
  for (const [text, described, fromEnv] of cases) assert.deepEqual([describeCredentials(ref(text)), usesEnvironment(ref(text))], [described, fromEnv], text);
});

test('profile: and the default chain read the AWS files that the environment names', async () => {
  privateFile('aws', `[ops]\naws_access_key_id = id\naws_secret_access_key = ${SECRET}\n`);
  writeFileSync(join(folder, 'config'), '');
  const env = { AWS_SHARED_CREDENTIALS_FILE: join(folder, 'aws'), AWS_CONFIG_FILE: join(folder, 'config') };
  assert.deepEqual(await resolveAll('"profile:ops"', env), ['id', SECRET, undefined, undefined]);
  assert.deepEqual(await resolveAll('default', { ...env, AWS_PROFILE: 'ops' }), ['id', SECRET, undefined, undefined]);
  assert.deepEqual(await resolveAll('default', { AWS_ACCESS_KEY_ID: 'id2', AWS_SECRET_ACCESS_KEY: SECRET, AWS_SESSION_TOKEN: 't' }), ['id2', SECRET, 't', undefined]);
  assert.match(await refusal('"profile:nobody"', env), /^profile:nobody gives no credentials: .*; check ~\/\.aws\/config/);
});

/** Just enough of three AWS services, on this machine: each answer is as their API references show it. */
const asked: string[] = [];
const sessions = { count: 0, refuse: false };
const server = createServer(async (request, response) => {
  const body = await text(request);
  const target = String(request.headers['x-amz-target'] ?? new URLSearchParams(body).get('Action'));
  asked.push(`${target} ${/Credential=([^/]+)/.exec(request.headers.authorization ?? '')?.[1] ?? ''}`);
  const answer = answers[target]?.(body) ?? { status: 404, body: '{}' };
  response.writeHead(answer.status ?? 200, { 'content-type': target === 'AssumeRole' ? 'text/xml' : 'application/x-amz-json-1.1' }).end(answer.body);
});
const answers: Record<string, (body: string) => { status?: number; body: string }> = {
  'secretsmanager.GetSecretValue': (body) => {
    const name = (JSON.parse(body) as { SecretId: string }).SecretId;
    if (name === 'missing') return { status: 400, body: JSON.stringify({ __type: 'ResourceNotFoundException', message: 'Secrets Manager can\'t find the specified secret.' }) };
    return { body: JSON.stringify({ Name: name, SecretString: JSON.stringify({ access_key_id: 'sm-id', secret_access_key: SECRET, only: 'sm-part' }) }) };
  },
  'AmazonSSM.GetParameter': (body) => {
    assert.equal((JSON.parse(body) as { WithDecryption: boolean }).WithDecryption, true);
    return { body: JSON.stringify({ Parameter: { Name: 'p', Value: JSON.stringify({ AccessKeyId: 'ssm-id', SecretAccessKey: SECRET }) } }) };
  },
  'AssumeRole': (body) => {
    const query = new URLSearchParams(body);
    if (sessions.refuse) return { status: 403, body: `<ErrorResponse><Error><Type>Sender</Type><Code>AccessDenied</Code><Message>not authorized to perform: sts:AssumeRole</Message></Error></ErrorResponse>` };
    sessions.count++;
    const end = new Date(new Date(1_800_000_000_000 + (sessions.count - 1) * 45 * MINUTE).getTime() + Number(query.get('DurationSeconds')) * 1000).toISOString();
    return { body: `<AssumeRoleResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><AssumeRoleResult><AssumedRoleUser><AssumedRoleId>A:${query.get('RoleSessionName')}</AssumedRoleId><Arn>${query.get('RoleArn')}</Arn></AssumedRoleUser><Credentials><AccessKeyId>role-${sessions.count}-${query.get('ExternalId')}</AccessKeyId><SecretAccessKey>${SECRET}</SecretAccessKey><SessionToken>token-${sessions.count}</SessionToken><Expiration>${end}</Expiration></Credentials></AssumeRoleResult></AssumeRoleResponse>` };
  },
};
async function text(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks).toString();
}
const aws = (): Record<string, string> => {
  const endpoint = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  return {
    AWS_REGION: 'eu-central-1', AWS_ACCESS_KEY_ID: 'own-id', AWS_SECRET_ACCESS_KEY: SECRET,
    AWS_ENDPOINT_URL_SECRETS_MANAGER: endpoint, AWS_ENDPOINT_URL_SSM: endpoint, AWS_ENDPOINT_URL_STS: endpoint,
  };
};
before(() => new Promise<void>((ready) => server.listen(0, '127.0.0.1', ready)));
after(() => {
  server.close();
  server.closeAllConnections();
});

test('aws-sm: and aws-ssm: as documents and by part, read with this process\'s own identity', async () => {
  assert.deepEqual(await resolveAll('"aws-sm:/migration/source"', aws()), ['sm-id', SECRET, undefined, undefined]);
  assert.deepEqual(await resolveAll('"aws-ssm:/migration/source"', aws()), ['ssm-id', SECRET, undefined, undefined]);
  assert.deepEqual(await resolveAll('{ access_key_id: "aws-sm:s#only", secret_access_key: "aws-sm:s#secret_access_key" }', aws()), ['sm-part', SECRET, undefined, undefined]);
  assert.match(await refusal('{ access_key_id: "aws-sm:s#other", secret_access_key: "env:X" }', aws()), /aws-sm:s#other: the secret has no text under that key/);
  assert.match(await refusal('"aws-sm:missing"', aws()), /^aws-sm:missing gives no credentials: ResourceNotFoundException: .*; check its name/);
  assert.ok(asked.every((line) => line.endsWith(' own-id')), asked.join());
});

const ROLE = '{ assume_role: { role_arn: "arn:aws:iam::123456789012:role/x", external_id: ext, base: "aws-sm:base" } }';

test('S3.8: an assumed role is renewed 15 minutes before its end, over any base, once for all', async () => {
  sessions.count = 0;
  const clock = new TestClock();
  const source = credentialSource(ref(ROLE), { env: aws(), clock });
  const [first, same] = await Promise.all([source.resolve(), source.resolve()]);
  assert.equal(first, same);
  assert.deepEqual([first?.accessKeyId, first?.sessionToken?.reveal(), first?.expiresAtMs], ['role-1-ext', 'token-1', clock.now() + 60 * MINUTE]);
  clock.advance(44 * MINUTE);
  assert.equal(await source.resolve(), first);
  clock.advance(MINUTE);
  const renewed = await Promise.all(Array.from({ length: 20 }, () => source.resolve()));
  assert.deepEqual(new Set(renewed.map((one) => one?.accessKeyId)), new Set(['role-2-ext']));
  assert.equal(sessions.count, 2);
  assert.equal(asked.filter((line) => line === 'AssumeRole sm-id').length, 2, 'signed by the base');
});

test('F082: refused credentials are fetched anew once; a refusal of older ones changes nothing', async () => {
  sessions.count = 0;
  const source = credentialSource(ref(ROLE), { env: aws(), clock: new TestClock() });
  const first = await source.resolve() ?? assert.fail();
  source.invalidate(first);
  source.invalidate(first);
  const [second, alsoSecond] = await Promise.all([source.resolve(), source.resolve()]);
  assert.ok(second !== undefined && second === alsoSecond && second !== first);
  source.invalidate(first);
  assert.equal(await source.resolve(), second);
  assert.equal(sessions.count, 2);
});

test('F082: a role that cannot be assumed is one line, premise E_CREDENTIALS', async () => {
  sessions.refuse = true;
  assert.match(await refusal(ROLE, aws()), /^assume_role arn:aws:iam::123456789012:role\/x gives no credentials: AccessDenied: not authorized to perform: sts:AssumeRole; check the trust policy/);
  sessions.refuse = false;
});

const made = (id: string, expiresAtMs?: number): Credentials => ({ accessKeyId: id, secretAccessKey: new Secret(SECRET), ...(expiresAtMs === undefined ? {} : { expiresAtMs }) });

/** A source that gives what is queued, and counts. */
function queued(clock: Clock, ...answers: readonly (Credentials | Error)[]) {
  const state = { fetches: 0 };
  const source = new RefreshingSource('test', () => {
    const answer = answers[Math.min(state.fetches++, answers.length - 1)];
    return answer instanceof Error || answer === undefined ? Promise.reject(answer ?? new Error('none')) : Promise.resolve(answer);
  }, clock);
  return { source, state };
}

test('a session shorter than an hour is renewed when a third of its life is left', async () => {
  const clock = new TestClock();
  const { source, state } = queued(clock, made('a', clock.now() + 30 * MINUTE), made('b', clock.now() + 90 * MINUTE));
  await source.resolve();
  clock.advance(19 * MINUTE);
  assert.equal((await source.resolve()).accessKeyId, 'a');
  clock.advance(2 * MINUTE);
  assert.equal((await source.resolve()).accessKeyId, 'b');
  assert.equal(state.fetches, 2);
});

test('while the old ones are good a failing refresh is nobody\'s error; after their end it is', async () => {
  const clock = new TestClock();
  const { source, state } = queued(clock, made('a', clock.now() + 60 * MINUTE), new Error('no answer'));
  await source.resolve();
  clock.advance(50 * MINUTE);
  for (let i = 0; i < 100; i++) assert.equal((await source.resolve()).accessKeyId, 'a');
  assert.equal(state.fetches, 2, 'asked again only after a pause');
  clock.advance(10 * MINUTE - 5000);
  assert.equal((await source.resolve()).accessKeyId, 'a');
  clock.advance(5000);
  await assert.rejects(source.resolve(), /no answer/, 'the pause ends with the session');
  const refused = queued(clock, made('a', clock.now() + 60 * MINUTE), new Error('no answer'), made('b', clock.now() + 60 * MINUTE));
  const first = await refused.source.resolve();
  clock.advance(50 * MINUTE);
  await refused.source.resolve();
  refused.source.invalidate(first);
  assert.equal((await refused.source.resolve()).accessKeyId, 'b', 'a refusal does not wait for the pause');
});

test('D7: credentials without an end are looked up again; the same object stays while they are the same', async () => {
  const clock = new TestClock();
  const { source, state } = queued(clock, made('a'), made('a'), made('b'));
  const first = await source.resolve();
  clock.advance(16 * MINUTE);
  assert.equal(await source.resolve(), first);
  assert.equal(state.fetches, 2);
  clock.advance(16 * MINUTE);
  assert.equal((await source.resolve()).accessKeyId, 'b');
});

test('credentials that come back the same, or expired, are not fetched on every request', async () => {
  const clock = new TestClock();
  const same = queued(clock, made('a'));
  for (let i = 0; i < 50; i++) same.source.invalidate(await same.source.resolve());
  assert.equal(same.state.fetches, 2);
  const expired = queued(clock, made('a', clock.now() - 1));
  for (let i = 0; i < 50; i++) await expired.source.resolve();
  assert.equal(expired.state.fetches, 1);
});

test('one caller may leave, the others get their answer; nobody waits for ever', async () => {
  const clock = new TestClock();
  const gate = Promise.withResolvers<Credentials>();
  const source = new RefreshingSource('slow', () => gate.promise, clock);
  const stop = new AbortController();
  const leaving = source.resolve(stop.signal);
  const staying = source.resolve();
  stop.abort();
  await assert.rejects(leaving, { code: 'E_CANCELLED' });
  gate.resolve(made('a'));
  assert.equal((await staying).accessKeyId, 'a');
  const stuck = new RefreshingSource('stuck', () => new Promise(() => undefined), clock).resolve();
  clock.advance(61_000);
  await assert.rejects(stuck, { code: 'E_CREDENTIALS', kind: 'premise' });
});
