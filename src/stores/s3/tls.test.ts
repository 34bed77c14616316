import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { promisify } from 'node:util';
// eslint-disable-next-line import-x/no-restricted-paths -- the endpoint is the other side of the wire here, not a part of the driver
import { startEndpoint } from '../../agent/endpoint.ts';
// eslint-disable-next-line import-x/no-restricted-paths -- as above
import { memoryLayout } from '../../agent/memory.ts';
import { checksumOf } from '../../core/checksum.ts';
import { NO_ATTRIBUTES } from '../../core/object.ts';
import type { Store } from '../../ports/storage.ts';
import { bodyOf, clock, credentialsInTurn, errorOf, gather, keys, smallParts, streamOf } from './fixture.test.ts';
import { controlOf, createS3Store } from './index.ts';
import type { S3Options } from './store.ts';

/** A certificate for 127.0.0.1 that nobody has signed. */
async function selfSigned(): Promise<{ key: string; cert: string }> {
  const directory = await mkdtemp(join(tmpdir(), 'brigade-tls-'));
  try {
    const [key, cert] = [join(directory, 'key.pem'), join(directory, 'cert.pem')];
    const subject = ['-subj', '/CN=brigade-test', '-addext', 'subjectAltName=IP:127.0.0.1'];
    await promisify(execFile)('openssl', ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '2', '-keyout', key, '-out', cert, ...subject]);
    return { key: await readFile(key, 'utf8'), cert: await readFile(cert, 'utf8') };
  } finally {
    await rm(directory, { recursive: true });
  }
}

test('TLS: an unknown authority is one premise; its certificate, or insecure_tls, opens the way; bodies then go unsigned with a trailer', async () => {
  const tls = await selfSigned();
  const endpoint = await startEndpoint({ storage: memoryLayout(), accessKeys: [{ id: keys.accessKeyId, secret: keys.secretAccessKey }], tls });
  const stores: Store[] = [];
  const open = (more: Partial<S3Options>): Store => {
    const store = createS3Store({ endpoint: endpoint.url, bucket: 'bucket', profile: smallParts('aws'), credentials: credentialsInTurn(keys), clock, ...more });
    stores.push(store);
    return store;
  };
  try {
    const refused = await errorOf(open({}).head('k'));
    assert.deepEqual([refused.code, refused.kind], ['E_TLS', 'premise']);
    assert.match(refused.hint ?? '', /ca_file/);
    const trusted = open({ ca: tls.cert });
    await controlOf(trusted)?.createBucket();
    const bytes = Buffer.alloc(600_000, 3);
    const written = await trusted.write({ key: 'k', body: streamOf(bytes), attributes: NO_ATTRIBUTES, guard: { kind: 'absent' } });
    assert.deepEqual(written.checksum, checksumOf('crc32', bytes));
    const blind = open({ insecureTls: true });
    assert.ok(bytes.equals(await gather((await blind.read({ key: 'k', expectedSize: bytes.length, pin: { token: written.token } })).chunks)));
    await blind.write({ key: 'small', body: bodyOf('x'), attributes: NO_ATTRIBUTES, guard: { kind: 'none' } });
  } finally {
    await Promise.all(stores.map((store) => store.close()));
    await endpoint.close();
  }
});
