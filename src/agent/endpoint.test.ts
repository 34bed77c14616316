import assert from 'node:assert/strict';
import { createHash, createHmac } from 'node:crypto';
import { connect } from 'node:net';
import { test } from 'node:test';
import {
  CreateBucketCommand, DeleteBucketCommand, DeleteObjectCommand, GetBucketLocationCommand, GetBucketVersioningCommand, GetObjectCommand, GetObjectLockConfigurationCommand, HeadBucketCommand, HeadObjectCommand, ListBucketsCommand, ListObjectsV2Command, PutObjectCommand,
} from '@aws-sdk/client-s3';
import type { RequestHook } from './endpoint.ts';
import { bucketName as Bucket, credentials, failure, sdkClient, send, sendSigned, sign, startBench } from './fixture.test.ts';
import type { Bench } from './fixture.test.ts';
import type { AccessKey } from './sigv4.ts';

const get = (bench: Bench, Key = 'k') => bench.client.send(new GetObjectCommand({ Bucket, Key }));
const put = (bench: Bench, Key = 'k') => bench.client.send(new PutObjectCommand({ Bucket, Key, Body: 'content' }));

test('buckets: create, head, settings, list, delete only when empty', async () => {
  await using bench = await startBench();
  const { client } = bench;
  await client.send(new CreateBucketCommand({ Bucket: 'second' }));
  assert.deepEqual((await client.send(new ListBucketsCommand({}))).Buckets?.map((b) => b.Name), [Bucket, 'second']);
  assert.equal((await client.send(new HeadBucketCommand({ Bucket }))).BucketRegion, 'us-east-1');
  assert.equal((await client.send(new GetBucketLocationCommand({ Bucket }))).LocationConstraint, undefined);
  assert.equal((await client.send(new GetBucketVersioningCommand({ Bucket }))).Status, undefined);
  assert.equal((await failure(client.send(new GetObjectLockConfigurationCommand({ Bucket })))).name, 'ObjectLockConfigurationNotFoundError');
  assert.equal((await failure(client.send(new CreateBucketCommand({ Bucket })))).name, 'BucketAlreadyOwnedByYou');
  await put(bench);
  assert.equal((await failure(client.send(new DeleteBucketCommand({ Bucket })))).name, 'BucketNotEmpty');
  await client.send(new DeleteObjectCommand({ Bucket, Key: 'k' }));
  await client.send(new DeleteBucketCommand({ Bucket }));
  assert.equal((await failure(get(bench))).name, 'NoSuchBucket');
  assert.equal((await failure(client.send(new HeadBucketCommand({ Bucket })))).status, 404);
});

test('the path is taken as it came on the wire: //, .., %2F and a bare $ are not tidied', async () => {
  await using bench = await startBench();
  const { url } = bench.endpoint;
  for (const [path, key] of [[`/${Bucket}//a`, '/a'], [`/${Bucket}/x/../y`, 'x/../y'], [`/${Bucket}/./z`, './z'], [`/${Bucket}/a%2Fb`, 'a/b'], [`/${Bucket}/test$file`, 'test$file'], [`/${Bucket}/q%3Fr`, 'q?r']] as const) {
    assert.equal((await sendSigned(url, { method: 'PUT', path, body: key })).status, 200, path);
    assert.equal(bench.layout.entry(Bucket, key)?.key, key);
    assert.equal((await sendSigned(url, { method: 'GET', path })).body, key);
  }
  assert.match((await sendSigned(url, { method: 'GET', path: `/${Bucket}/%zz` })).body, /<Code>InvalidURI</);
  assert.match((await sendSigned(url, { method: 'GET', path: `/${Bucket}/%ff%fe` })).body, /<Code>InvalidURI</, 'not UTF-8');
});

test('without a signature, with a wrong secret, a wrong clock or another host: 403 by its own name', async () => {
  await using bench = await startBench();
  const { url } = bench.endpoint;
  const code = (body: string): string | undefined => /<Code>(\w+)</.exec(body)?.[1];
  assert.equal(code((await send(url, 'GET', `/${Bucket}`, {})).body), 'AccessDenied');
  assert.equal(code((await sendSigned(url, { method: 'GET', path: `/${Bucket}`, secret: 'wrong' })).body), 'SignatureDoesNotMatch');
  const late = await sendSigned(url, { method: 'GET', path: `/${Bucket}`, date: new Date(Date.now() - 16 * 60_000) });
  assert.equal(code(late.body), 'RequestTimeTooSkewed');
  assert.ok(Math.abs(Date.parse(late.headers.date!) - Date.now()) < 5000, 'the answer tells the server\'s time');
  const { headers } = sign(url, { method: 'GET', path: `/${Bucket}` });
  assert.equal(code((await send(url, 'GET', `/${Bucket}`, { ...headers, host: 'elsewhere' })).body), 'SignatureDoesNotMatch');
  assert.equal(code((await send(url, 'GET', `/${Bucket}`, { ...headers, 'x-amz-acl': 'private' })).body), 'AccessDenied');
  assert.equal((await failure(sdkClient(url, { region: 'eu-west-1' }).send(new GetObjectCommand({ Bucket, Key: 'k' })))).name, 'AuthorizationHeaderMalformed');
});

test('the endpoint\'s clock decides what is skewed', async () => {
  await using bench = await startBench({ clock: { now: () => Date.now() } });
  assert.equal((await sendSigned(bench.endpoint.url, { method: 'GET', path: `/${Bucket}` })).status, 200);
  let ahead = 0;
  await using skewed = await startBench({ clock: { now: () => Date.now() + ahead } });
  ahead = 20 * 60_000;
  const answer = await sendSigned(skewed.endpoint.url, { method: 'GET', path: `/${Bucket}` });
  assert.match(answer.body, /RequestTimeTooSkewed/);
  assert.ok(Date.parse(answer.headers.date!) - Date.now() > 19 * 60_000);
});

test('session tokens: needed, compared, expiring while the endpoint runs', async () => {
  const key: AccessKey = { id: credentials.accessKeyId, secret: credentials.secretAccessKey };
  await using bench = await startBench({ accessKeys: [key] });
  const withToken = (sessionToken: string) => sdkClient(bench.endpoint.url, { credentials: { ...credentials, sessionToken } });
  const name = async (client = bench.client) => (await failure(client.send(new ListObjectsV2Command({ Bucket })))).name;
  key.sessionToken = 'the token';
  assert.equal(await name(), 'InvalidAccessKeyId');
  assert.equal(await name(withToken('another')), 'InvalidToken');
  assert.equal(await name(withToken('the token')), 'no error');
  key.expiresAt = Date.now() - 1;
  assert.equal(await name(withToken('the token')), 'ExpiredToken');
});

test('a read-only key reads and lists but writes nothing', async () => {
  const key: AccessKey = { id: credentials.accessKeyId, secret: credentials.secretAccessKey };
  await using bench = await startBench({ accessKeys: [key] });
  await put(bench);
  key.readOnly = true;
  assert.equal(await (await get(bench)).Body!.transformToString(), 'content');
  assert.equal((await failure(put(bench, 'other'))).name, 'AccessDenied');
  assert.equal((await failure(bench.client.send(new DeleteObjectCommand({ Bucket, Key: 'k' })))).name, 'AccessDenied');
  assert.equal(bench.layout.entry(Bucket, 'other'), undefined);
});

test('presigned GET and PUT work without further headers', async () => {
  await using bench = await startBench();
  const amzDate = `${new Date().toISOString().slice(0, 19).replace(/[-:]/g, '')}Z`;
  const scope = `${amzDate.slice(0, 8)}/us-east-1/s3/aws4_request`;
  const hmac = (key: string | Buffer, text: string): Buffer => createHmac('sha256', key).update(text).digest();
  const target = (method: string): string => {
    const query = `X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=${encodeURIComponent(`${credentials.accessKeyId}/${scope}`)}&X-Amz-Date=${amzDate}&X-Amz-Expires=60&X-Amz-SignedHeaders=host`;
    const canonical = [method, `/${Bucket}/k`, query, `host:${new URL(bench.endpoint.url).host}`, '', 'host', 'UNSIGNED-PAYLOAD'].join('\n');
    const toSign = ['AWS4-HMAC-SHA256', amzDate, scope, createHash('sha256').update(canonical).digest('hex')].join('\n');
    const key = hmac(hmac(hmac(hmac(`AWS4${credentials.secretAccessKey}`, amzDate.slice(0, 8)), 'us-east-1'), 's3'), 'aws4_request');
    return `/${Bucket}/k?${query}&X-Amz-Signature=${hmac(key, toSign).toString('hex')}`;
  };
  assert.equal((await send(bench.endpoint.url, 'PUT', target('PUT'), { 'content-length': '7' }, 'content')).status, 200);
  assert.equal((await send(bench.endpoint.url, 'GET', target('GET'), {})).body, 'content');
  assert.equal((await send(bench.endpoint.url, 'DELETE', target('GET'), {})).status, 403);
});

test('statistics tell operations, writes and requests per object', async () => {
  await using bench = await startBench();
  await put(bench);
  const { stats } = bench.endpoint;
  stats.reset();
  await get(bench);
  await bench.client.send(new HeadObjectCommand({ Bucket, Key: 'k' }));
  await bench.client.send(new ListObjectsV2Command({ Bucket }));
  assert.equal(stats.writes, 0);
  await put(bench);
  assert.deepEqual([stats.writes, stats.count(), stats.count('PutObject'), stats.statuses.get(200)], [1, 4, 1, 4]);
  assert.deepEqual([...stats.object(Bucket, 'k')], [['GetObject', 1], ['HeadObject', 1], ['PutObject', 1]]);
});

test('a hook denies like a policy, answers, breaks the connection, or holds a request', async () => {
  await using bench = await startBench();
  await put(bench);
  const hook = (h: RequestHook) => bench.endpoint.setHook(h);
  hook((info) => (info.operation === 'GetObject' && info.key === 'k' ? { code: 'AccessDenied' } : undefined));
  assert.deepEqual(await failure(get(bench)), { name: 'AccessDenied', status: 403 });
  hook(() => ({ code: 'SlowDown', status: 503, headers: { 'retry-after': '3' } }));
  assert.deepEqual(await failure(get(bench)), { name: 'SlowDown', status: 503 });
  hook(() => ({ status: 200, body: 'canned' }));
  assert.equal(await (await get(bench)).Body!.transformToString(), 'canned');
  hook(() => ({ reset: true }));
  assert.equal((await failure(get(bench))).status, 0);
  const gate = Promise.withResolvers<undefined>();
  hook(() => gate.promise);
  let settled = false;
  const held = put(bench, 'held').then(() => { settled = true; });
  await new Promise((resolve) => setTimeout(resolve, 50));
  assert.deepEqual([settled, bench.layout.entry(Bucket, 'held')], [false, undefined]);
  gate.resolve(undefined);
  await held;
  assert.equal(bench.layout.entry(Bucket, 'held')?.key, 'held');
});

test('a client that waits for 100-continue sends no body to a refusal, and the connection closes', async () => {
  await using bench = await startBench();
  const ask = (): Promise<string> => new Promise((resolve, reject) => {
    const { headers } = sign(bench.endpoint.url, { method: 'PUT', path: `/${Bucket}/k`, headers: { 'content-length': '5' } });
    const socket = connect(bench.endpoint.port, '127.0.0.1');
    let text = '';
    let sent = false;
    socket.on('data', (piece: Buffer) => {
      text += piece.toString();
      if (!sent && text.startsWith('HTTP/1.1 100')) socket.write('hello');
      sent = true;
      if (/ETag/i.test(text)) socket.end();
    });
    socket.on('close', () => resolve(text));
    socket.on('error', reject);
    socket.write(`PUT /${Bucket}/k HTTP/1.1\r\nexpect: 100-continue\r\n${Object.entries(headers).map(([n, v]) => `${n}: ${v}\r\n`).join('')}\r\n`);
  });
  assert.match(await ask(), /^HTTP\/1.1 100 Continue\r\n\r\nHTTP\/1.1 200 OK/);
  bench.endpoint.setHook(() => ({ code: 'SlowDown' }));
  const refused = await ask();
  assert.match(refused, /^HTTP\/1.1 503/);
  assert.match(refused, /connection: close/i);
});

test('a defect of the layout is an InternalError that keeps its text to itself', async () => {
  await using bench = await startBench();
  await put(bench);
  const broken = (): never => { throw new Error('/secret/path'); };
  Object.assign(bench.layout, { entry: broken, newest: broken });
  const answer = await sendSigned(bench.endpoint.url, { method: 'GET', path: `/${Bucket}/k` });
  assert.deepEqual([answer.status, answer.body.includes('InternalError'), answer.body.includes('secret')], [500, true, false]);
  assert.match(String(bench.endpoint.stats.failures[0]), /secret/);
});

test('an expected bucket owner is compared', async () => {
  await using bench = await startBench();
  await put(bench);
  const ask = (ExpectedBucketOwner: string) => failure(bench.client.send(new GetObjectCommand({ Bucket, Key: 'k', ExpectedBucketOwner })));
  assert.deepEqual([(await ask('111122223333')).name, (await ask('999988887777')).name], ['no error', 'AccessDenied']);
});

test('a PUT that breaks off in the middle stores nothing', async () => {
  await using bench = await startBench();
  const { headers } = sign(bench.endpoint.url, { method: 'PUT', path: `/${Bucket}/k`, headers: { 'content-length': '1000' } });
  const socket = connect(bench.endpoint.port, '127.0.0.1');
  socket.write(`PUT /${Bucket}/k HTTP/1.1\r\n${Object.entries(headers).map(([n, v]) => `${n}: ${v}\r\n`).join('')}\r\n${'x'.repeat(500)}`);
  while (bench.endpoint.stats.count('PutObject') === 0) await new Promise((resolve) => setTimeout(resolve, 5));
  socket.destroy();
  while (bench.endpoint.stats.statuses.size === 0) await new Promise((resolve) => setTimeout(resolve, 5));
  assert.equal(bench.endpoint.stats.count('PutObject'), 1);
  assert.equal(bench.layout.entry(Bucket, 'k'), undefined);
});

test('F118: oversized header blocks, XML bodies and unknown lengths are refused', async () => {
  await using bench = await startBench({ limits: { maxXmlBytes: 1000 } });
  const { url } = bench.endpoint;
  const tooLong = await sendSigned(url, { method: 'GET', path: `/${Bucket}`, headers: { 'x-amz-meta-a': 'x'.repeat(20_000) } });
  assert.deepEqual([tooLong.status, /<Code>(\w+)</.exec(tooLong.body)?.[1]], [400, 'RequestHeaderSectionTooLarge']);
  assert.match((await sendSigned(url, { method: 'PUT', path: `/${Bucket}/k`, headers: { 'x-amz-meta-a': 'x'.repeat(2048) }, body: '' })).body, /MetadataTooLarge/);
  assert.match((await sendSigned(url, { method: 'POST', path: `/${Bucket}`, query: 'delete=', body: 'x'.repeat(1001) })).body, /MaxMessageLengthExceeded/);
  const unknown = sign(url, { method: 'PUT', path: `/${Bucket}/k` });
  assert.match((await send(url, 'PUT', `/${Bucket}/k`, { ...unknown.headers, 'transfer-encoding': 'chunked' }, 'content')).body, /<Code>NotImplemented</);
});

test('F118: a client that never finishes its header block is dropped', async () => {
  await using bench = await startBench({ limits: { headersTimeoutMs: 100, requestTimeoutMs: 200 } });
  const socket = connect(bench.endpoint.port, '127.0.0.1');
  socket.write('GET / HTTP/1.1\r\nhost: ');
  const closed = await Promise.race([new Promise((resolve) => socket.once('close', () => resolve(true)).resume()), new Promise((resolve) => setTimeout(resolve, 60_000, false).unref())]);
  assert.equal(closed, true);
});

test('a subresource this endpoint does not know is never taken for the object', async () => {
  await using bench = await startBench();
  await put(bench);
  const answer = await sendSigned(bench.endpoint.url, { method: 'PUT', path: `/${Bucket}/k`, query: 'legal-hold=', body: 'not the content' });
  assert.deepEqual([answer.status, /<Code>NotImplemented</.test(answer.body)], [501, true]);
  const acl = await sendSigned(bench.endpoint.url, { method: 'PUT', path: `/${Bucket}/k`, query: 'acl=', body: 'nor this' });
  assert.deepEqual([acl.status, /<Code>AccessControlListNotSupported</.test(acl.body)], [400, true]);
  assert.equal(await (await get(bench)).Body!.transformToString(), 'content');
});

test('a bucket of another region redirects and names its region', async () => {
  await using bench = await startBench();
  bench.layout.bucket(Bucket)!.region = 'eu-central-1';
  const answer = await sendSigned(bench.endpoint.url, { method: 'GET', path: `/${Bucket}/k` });
  assert.deepEqual([answer.status, answer.headers['x-amz-bucket-region']], [301, 'eu-central-1']);
});

test('virtual-hosted names work where a base is set', async () => {
  await using bench = await startBench({ behaviours: { hostBase: 's3.test' } });
  await put(bench, 'a//b');
  const { port } = bench.endpoint;
  const host = `${Bucket}.s3.test:${port}`;
  const { headers } = sign(`http://${host}`, { method: 'GET', path: '/a//b' });
  assert.equal((await send(bench.endpoint.url, 'GET', '/a//b', headers)).body, 'content');
});
