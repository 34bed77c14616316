import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Clock } from '../../ports/clock.ts';
import type { CredentialSource } from '../../ports/credentials.ts';
import { NO_ATTRIBUTES } from '../../core/object.ts';
import { bodyOf, clock, credentialsInTurn, errorOf, errorXml, keys, listXml, smallParts, startBench, startScripted, streamOf } from './fixture.test.ts';
import { controlOf, detectProfile, findProfile, probeStore, profileOf } from './index.ts';
import { createS3Store } from './store.ts';
import type { S3Options } from './store.ts';
import type { HttpRequest, Transport } from './transport.ts';

const ok = { headers: { etag: '"x"' } };
const write = (store: ReturnType<typeof createS3Store>, key = 'k'): Promise<unknown> => store.write({ key, body: bodyOf('hello'), attributes: NO_ATTRIBUTES, guard: { kind: 'none' } });

test('F083: a clock that is hours off is corrected from the answer, once, for all later requests', async () => {
  await using bench = await startBench();
  for (const hours of [3, -3]) {
    const wrong: Clock = { ...clock, now: () => Date.now() + hours * 3_600_000 };
    const store = bench.store({ clock: wrong });
    bench.endpoint.stats.reset();
    await write(store);
    await write(store);
    await store.head('k');
    const facts = await controlOf(store)?.headBucket();
    assert.ok(Math.abs((facts?.skewMs ?? 0) + hours * 3_600_000) < 3000);
  }
});

test('F083: skew that stays is a premise, not an endless loop', async () => {
  await using server = await startScripted(() => ({ status: 403, headers: { date: 'Sat, 21 Nov 2020 09:00:00 GMT' }, body: errorXml('RequestTimeTooSkewed') }));
  const error = await errorOf(write(server.store()));
  assert.deepEqual([error.code, error.kind, server.asked.length], ['E_CLOCK_SKEW', 'premise', 2]);
});

test('F082: expired credentials are fetched anew once, and the same request goes out again, body and all', async () => {
  await using bench = await startBench();
  const credentials = credentialsInTurn({ accessKeyId: 'AKIAOLD', secretAccessKey: 'old' }, keys);
  const store = bench.store({ credentials });
  const bytes = Buffer.alloc(300_000, 5);
  await store.write({ key: 'k', body: streamOf(bytes), attributes: NO_ATTRIBUTES, guard: { kind: 'none' } });
  assert.equal(credentials.invalidated, 1);
  assert.equal((await store.head('k')).size, bytes.length);
});

test('F082: credentials that stay refused are one premise', async () => {
  for (const code of ['ExpiredToken', 'TokenRefreshRequired', 'InvalidToken']) {
    await using server = await startScripted(() => ({ status: 400, body: errorXml(code) }));
    const credentials = credentialsInTurn(keys);
    const error = await errorOf(write(server.store({ credentials })));
    assert.deepEqual([error.code, error.kind, credentials.invalidated, server.asked.length], ['E_CREDENTIALS', 'premise', 1, 2]);
  }
});

test('F078: the region is learned from the header or the body, and signed for from then on', async () => {
  for (const answer of [{ status: 301, headers: { 'x-amz-bucket-region': 'eu-west-3' } }, { status: 400, body: errorXml('AuthorizationHeaderMalformed', '<Region>eu-west-3</Region>') }]) {
    await using server = await startScripted(({ headers }) => (headers.authorization?.includes('/eu-west-3/') === true ? ok : answer));
    const store = server.store();
    await write(store);
    await write(store);
    assert.equal(server.asked.length, 3);
  }
  await using both = await startScripted(({ headers }) => (headers.authorization?.includes('/eu-west-3/') === true ? ok : { status: 301, headers: { 'x-amz-bucket-region': 'eu-west-3' } }));
  const shared = both.store();
  await Promise.all([write(shared), write(shared), write(shared)]);
  assert.equal(both.asked.length, 6, 'those that were under way when the first one learnt it are sent again too');
  await using server = await startScripted(() => ({ status: 301, body: errorXml('PermanentRedirect') }));
  assert.deepEqual([(await errorOf(write(server.store()))).code, server.asked.length], ['E_REGION', 1]);
});

/** Records what would go out. */
function recording(): { transport: Transport; sent: HttpRequest[] } {
  const sent: HttpRequest[] = [];
  const body = { collect: () => Promise.resolve(Buffer.alloc(0)), discard: () => { /* nothing held */ }, [Symbol.asyncIterator]: () => ({ next: () => Promise.resolve({ done: true as const, value: undefined }) }) };
  const transport: Transport = { send: (request) => { sent.push(request); return Promise.resolve({ status: 200, headers: { etag: '"x"' }, body }); }, close: () => Promise.resolve() };
  return { transport, sent };
}

test('where requests go: virtual hosts, paths, addresses, dots in names, China', async () => {
  const target = async (over: Partial<S3Options>): Promise<string> => {
    const { transport, sent } = recording();
    await write(createS3Store({ bucket: 'b', profile: profileOf('aws'), credentials: credentialsInTurn(keys), clock, transport, ...over }), 'a//b c');
    return `${sent[0]?.origin}${sent[0]?.path}`;
  };
  assert.equal(await target({}), 'https://b.s3.us-east-1.amazonaws.com/a//b%20c');
  assert.equal(await target({ region: 'cn-north-1' }), 'https://b.s3.cn-north-1.amazonaws.com.cn/a//b%20c');
  assert.equal(await target({ bucket: 'b.c' }), 'https://s3.us-east-1.amazonaws.com/b.c/a//b%20c');
  assert.equal(await target({ bucket: 'B_c' }), 'https://s3.us-east-1.amazonaws.com/B_c/a//b%20c');
  assert.equal(await target({ pathStyle: true }), 'https://s3.us-east-1.amazonaws.com/b/a//b%20c');
  assert.equal(await target({ endpoint: 'https://s3.example:9000' }), 'https://b.s3.example:9000/a//b%20c');
  assert.equal(await target({ endpoint: 'https://10.0.0.1:9000' }), 'https://10.0.0.1:9000/b/a//b%20c');
  assert.equal(await target({ endpoint: 'http://localhost' }), 'http://localhost/b/a//b%20c');
  assert.equal(await target({ endpoint: 'https://s3.example', profile: profileOf('ceph') }), 'https://s3.example/b/a//b%20c');
  assert.equal(await target({ endpoint: 'https://s3.example', profile: profileOf('ceph'), pathStyle: false }), 'https://b.s3.example/a//b%20c');
});

test('anonymous requests are not signed', async () => {
  const { transport, sent } = recording();
  const nobody: CredentialSource = { resolve: () => Promise.resolve(undefined), invalidate: () => { /* nothing to refresh */ }, describe: 'anonymous' };
  await write(createS3Store({ bucket: 'b', profile: profileOf('aws'), credentials: nobody, clock, transport }));
  assert.deepEqual(sent[0]?.headers.filter((name) => /authorization|x-amz-date|content-sha256/.test(name)), []);
});

test('F077: requester pays goes with reads, writes and listings when asked for', async () => {
  await using server = await startScripted(({ method, url }) => (url.includes('list-type') ? { body: listXml([]) } : { ...ok, body: method === 'GET' ? 'hello' : '' }));
  const store = server.store({ requesterPays: true });
  await write(store);
  (await store.read({ key: 'k', expectedSize: 5 })).discard();
  await store.head('k');
  for await (const page of store.list({})) assert.equal(page.entries.length, 0);
  assert.deepEqual(server.asked.map(({ headers }) => headers['x-amz-request-payer']), server.asked.map(() => 'requester'));
});

test('F115: no error shows a secret, a signature or a query', async () => {
  await using server = await startScripted(() => ({ status: 403, body: errorXml('SignatureDoesNotMatch', `<StringToSign>${keys.secretAccessKey}</StringToSign>`) }));
  const error = await errorOf(server.store({ profile: smallParts('aws') }).multipart?.putPart({ key: 'k', id: 'SECRETID', size: 1, partSize: 1 }, 1, bodyOf('x')) as Promise<unknown>);
  assert.doesNotMatch(JSON.stringify({ ...error, message: error.message }), /secret\/with|SECRETID|Signature=/);
});

test('the profile of an endpoint is known by its host, else by what the server calls itself', () => {
  const cases: [string | undefined, string | undefined, string | undefined][] = [
    [undefined, undefined, 'aws'], ['s3.eu-west-1.amazonaws.com', undefined, 'aws'], ['s3.us-south.cloud-object-storage.appdomain.cloud', undefined, 'ibm-cos'],
    ['abc.r2.cloudflarestorage.com:443', undefined, 'r2'], ['s3.fr-par.scw.cloud', undefined, 'scaleway'], ['evil-amazonaws.com', undefined, undefined],
    ['10.0.0.1:9000', 'MinIO', 'minio'], ['10.0.0.1', 'SeaweedFS S3', 'seaweedfs'], ['nas', 'nginx', undefined],
  ];
  for (const [host, server, name] of cases) assert.equal(detectProfile(host, server)?.name, name, host);
});

test('an unknown host is asked what it is, and one that does not say gets the careful profile', async () => {
  const options = { bucket: 'b', credentials: credentialsInTurn(keys), clock };
  await using ceph = await startScripted(() => ({ headers: { server: 'Ceph Object Gateway (squid)' } }));
  await using silent = await startScripted(() => ({ status: 403 }));
  assert.equal((await findProfile({ ...options, endpoint: ceph.url })).name, 'ceph');
  assert.equal((await findProfile({ ...options, endpoint: silent.url })).name, 'generic');
  assert.equal((await findProfile(options)).name, 'aws');
});

test('F068: headers beyond ASCII are signed as they go out', async () => {
  await using bench = await startBench();
  const store = bench.store();
  const headers = { contentType: 'text/plain; name="Gr\u00fc\u00dfe"', contentDisposition: 'attachment; filename="é  two spaces"' };
  await store.write({ key: 'k', body: bodyOf('x'), attributes: { headers, userMetadata: new Map([['a', ' awkward  value ']]) }, guard: { kind: 'none' } });
  const info = await store.head('k');
  assert.deepEqual([info.headers.contentType, info.headers.contentDisposition, info.userMetadata.get('a')], [headers.contentType, headers.contentDisposition, ' awkward  value ']);
});

test('control: facts of the bucket for doctor, and a bucket is made once', async () => {
  await using bench = await startBench();
  const control = controlOf(bench.store());
  assert.equal((await control?.headBucket())?.region, 'us-east-1');
  assert.equal(await control?.versioning(), 'Off');
  const fresh = controlOf(bench.store({ bucket: 'fresh' }));
  assert.equal((await errorOf(fresh?.headBucket() as Promise<unknown>)).code, 'E_BUCKET_MISSING');
  await fresh?.createBucket();
  await fresh?.createBucket();
  assert.ok(await fresh?.headBucket());
});

test('control: what a store does not know is unknown, what is not configured is off', async () => {
  await using unable = await startScripted(() => ({ status: 501, body: errorXml('NotImplemented') }));
  await using bare = await startScripted(({ url }) => ({ status: 404, body: errorXml(url.includes('object-lock') ? 'ObjectLockConfigurationNotFoundError' : 'OwnershipControlsNotFoundError') }));
  await using paying = await startScripted(() => ({ body: '<RequestPaymentConfiguration><Payer>Requester</Payer></RequestPaymentConfiguration>' }));
  assert.equal(await controlOf(unable.store())?.requesterPays(), undefined);
  assert.equal(await controlOf(bare.store())?.objectLock(), false);
  assert.equal(await controlOf(bare.store())?.ownership(), undefined);
  assert.equal(await controlOf(paying.store())?.requesterPays(), true);
});

test('control: rules that abort unfinished uploads, as each form of a rule says them', async () => {
  const abort = (days: number) => `<AbortIncompleteMultipartUpload><DaysAfterInitiation>${days}</DaysAfterInitiation></AbortIncompleteMultipartUpload>`;
  const rules = [
    `<Rule><ID>a</ID><Filter/><Status>Enabled</Status>${abort(7)}</Rule>`, `<Rule><Prefix>old/</Prefix><Status>Enabled</Status>${abort(1)}</Rule>`,
    `<Rule><Filter><Prefix>a&amp;b/</Prefix></Filter><Status>Enabled</Status>${abort(2)}</Rule>`, `<Rule><Filter><And><Prefix>c/</Prefix><Tag><Key>k</Key><Value>v</Value></Tag></And></Filter><Status>Enabled</Status>${abort(3)}</Rule>`,
    `<Rule><Filter/><Status>Disabled</Status>${abort(4)}</Rule>`, '<Rule><Filter/><Status>Enabled</Status><Expiration><Days>30</Days></Expiration></Rule>',
  ];
  await using set = await startScripted(() => ({ body: `<LifecycleConfiguration>${rules.join('')}</LifecycleConfiguration>` }));
  await using bare = await startScripted(() => ({ status: 404, body: errorXml('NoSuchLifecycleConfiguration') }));
  await using unable = await startScripted(() => ({ status: 501, body: errorXml('NotImplemented') }));
  assert.deepEqual(await controlOf(set.store())?.abortRules(), [{ prefix: '', days: 7 }, { prefix: 'old/', days: 1 }, { prefix: 'a&b/', days: 2 }, { prefix: 'c/', days: 3 }]);
  assert.deepEqual(await controlOf(bare.store())?.abortRules(), []);
  assert.equal(await controlOf(unable.store())?.abortRules(), undefined);
});

test('F020: a probe of our endpoint finds what it can do, overrides the careful profile, and cleans up', async () => {
  await using bench = await startBench();
  const store = bench.store({ profile: smallParts('generic'), payloadSigning: 'unsigned' });
  assert.deepEqual(store.facts.guards, { absent: false, matches: false, onComplete: false });
  const found = await probeStore(store, { next: () => Math.random() });
  assert.deepEqual(found, {
    guards: { absent: true, matches: true, sent: true },
    checksums: { headers: ['crc32', 'crc32c', 'crc64nvme', 'sha256'], md5: true, trailer: true, fullObject: true },
    listing: { ordered: true, plusIsSpace: true }, normalisesDots: false, countsTags: true,
  });
  assert.deepEqual([store.facts.guards.absent, store.facts.checksums[0], store.facts.fullObjectChecksum], [true, 'crc32', true]);
  for await (const page of store.list({})) assert.deepEqual(page.entries, []);
});

test('a probe of a store that ignores everything finds nothing', async () => {
  await using server = await startScripted(({ method, url }) => (url.includes('list-type') ? { body: listXml([]) } : { ...ok, body: method === 'HEAD' ? 'x' : '' }));
  const found = await probeStore(server.store({ profile: smallParts('generic') }), { next: () => 0.5 });
  assert.deepEqual([found?.guards?.absent, found?.guards?.matches, found?.checksums?.headers, found?.listing?.ordered, found?.normalisesDots], [false, false, [], false, true]);
});
