import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, afterEach, beforeEach, describe, test } from 'node:test';
import { type Endpoint, type EndpointOptions, type RequestHook, startEndpoint } from '../../src/agent/endpoint.ts';
import { type MemoryLayout, memoryLayout } from '../../src/agent/memory.ts';
import { seedBucket, seedObject } from '../../src/agent/seeding.ts';
import { doctor, preflight } from '../../src/app/doctor.ts';
import { examineFiles, examineMemory } from '../../src/app/doctor-machine.ts';
import type { DoctorAround, DoctorLine } from '../../src/app/doctor-types.ts';
import { type Migration, parseMigration } from '../../src/config/index.ts';
import { systemClock } from '../../src/telemetry/clock.ts';
import { seededRandom } from '../../src/telemetry/random.ts';

const ENV = { ID: 'AKIAEXAMPLE', SECRET: 'right-secret', WRONG: 'wrong-secret' };

let dir: string;
let layout: MemoryLayout;
let endpoint: Endpoint | undefined;

beforeEach(async () => {
  dir = mkdtempSync(join(tmpdir(), 'brigade-doctor-'));
  layout = memoryLayout();
  await seedBucket(layout, 'orig');
  await seedBucket(layout, 'dest');
  await seedObject(layout, 'orig', { key: 'a/one.txt', tags: [['k', 'v']] }, 'hello');
});

afterEach(async () => {
  await endpoint?.close();
  endpoint = undefined;
  rmSync(dir, { recursive: true, force: true });
});

async function serve(options: Partial<EndpointOptions> = {}): Promise<Endpoint> {
  await endpoint?.close();
  endpoint = await startEndpoint({ storage: layout, accessKeys: [{ id: ENV.ID, secret: ENV.SECRET }], ...options });
  return endpoint;
}

interface Setup {
  readonly url?: string;
  readonly secret?: string;
  readonly connection?: string;
  readonly source?: string;
  readonly destination?: string;
  readonly more?: string;
}

function migrationOf({ url = endpoint?.url ?? 'http://127.0.0.1:9', secret = 'SECRET', connection = '', source = '{ s3: orig, connection: here }', destination = '{ s3: dest, connection: here }', more = '' }: Setup = {}): Migration {
  const text = `name: pair
connections:
  here: { endpoint: "${url}", credentials: { access_key_id: env:ID, secret_access_key: env:${secret} } ${connection === '' ? '' : `, ${connection}`} }
source: ${source}
destination: ${destination}
${more}
`;
  return parseMigration(Buffer.from(text), join(dir, 'pair.yml'), ENV);
}

function around(change: Partial<DoctorAround> = {}): DoctorAround {
  return { stateDir: join(dir, 'state'), env: ENV, clock: systemClock(), random: seededRandom(7), signal: new AbortController().signal, ...change };
}

async function examine(setup: Setup = {}): Promise<DoctorLine[]> {
  const lines: DoctorLine[] = [];
  for await (const line of doctor(migrationOf(setup), around())) lines.push(line);
  for (const { status, fix, message } of lines) {
    assert.ok(status === 'OK' || (fix !== undefined && fix !== ''), `no fix: ${message}`);
    assert.ok(!`${message}${fix ?? ''}`.includes('-secret'), 'a secret was shown');
    assert.ok(!/\n/.test(message));
  }
  if (process.env['SHOW_DOCTOR'] !== undefined) for (const line of lines.filter(({ status }) => status !== 'OK')) process.stdout.write(`${line.status.padEnd(4)} ${line.name}: ${line.message}; ${line.fix ?? ''}\n`);
  return lines;
}

/** The lines that are not OK. */
async function troubles(setup: Setup = {}): Promise<DoctorLine[]> {
  return (await examine(setup)).filter(({ status }) => status !== 'OK');
}

function only(lines: readonly DoctorLine[], status: DoctorLine['status'], name: string): DoctorLine {
  assert.deepEqual(lines.map((line) => `${line.status} ${line.name}`), [`${status} ${name}`], JSON.stringify(lines));
  return lines[0] as DoctorLine;
}

const deny = (...operations: readonly string[]): RequestHook => ({ operation }) => (operations.includes(operation) ? { code: 'AccessDenied' } : undefined);

function keysIn(bucket: string): string[] {
  const keys: string[] = [];
  for (const entry of layout.scan(bucket, Buffer.alloc(0))) keys.push(entry.key);
  return keys;
}

describe('doctor, all well', () => {
  test('every check is OK, the source is only read, and no canary is left', async () => {
    const writes: string[] = [];
    await serve({ onRequest: ({ method, bucket }) => { if (bucket === 'orig' && method !== 'GET' && method !== 'HEAD') writes.push(method); } });
    const lines = await examine();
    assert.deepEqual(lines.filter(({ status }) => status !== 'OK'), []);
    for (const name of ['source: list', 'source: permissions', 'destination: write', 'destination: read back', 'destination: multipart', 'destination: permissions']) assert.ok(lines.some((line) => line.name === name), name);
    assert.deepEqual(writes, []);
    assert.deepEqual([keysIn('orig'), keysIn('dest'), layout.uploads('dest').length], [['a/one.txt'], [], 0]);
  });

  test('F020: what was measured of checksums and conditional writes is said once', async () => {
    await serve();
    const lines = await examine();
    assert.match(lines.find(({ name }) => name === 'destination: checksums')?.message ?? '', /^crc32.*measured/);
    assert.match(lines.find(({ name }) => name === 'destination: conditional writes')?.message ?? '', /If-None-Match and If-Match are enforced/);
    assert.equal(lines.filter(({ name }) => name === 'destination: checksums').length, 1);
  });

  test('F075, F076: ownership is told and no ACL is ever sent', async () => {
    const acls: string[] = [];
    await serve({ onRequest: ({ headers }) => { for (const name of headers.keys()) if (name.includes('acl') || name.includes('grant')) acls.push(name); } });
    const lines = await examine();
    assert.match(lines.find(({ name }) => name === 'destination: ownership')?.message ?? '', /BucketOwnerEnforced; no ACL/);
    assert.deepEqual(acls, []);
  });
});

describe('broken set-ups: one line each', { timeout: 300_000 }, () => {
  test('wrong secret', async () => {
    await serve();
    const lines = await troubles({ secret: 'WRONG', destination: join(dir, 'out') });
    assert.match(only(lines, 'FAIL', 'source: credentials').message, /env:ID: .*SignatureDoesNotMatch/);
  });

  test('credentials that are not there', async () => {
    await serve();
    const lines = await troubles({ secret: 'NOT_SET', destination: join(dir, 'out') });
    assert.match(only(lines, 'FAIL', 'source: credentials').message, /NOT_SET/);
  });

  test('missing bucket; with create_bucket it is the run\'s to make', async () => {
    await serve();
    assert.match(only(await troubles({ destination: '{ s3: nowhere, connection: here }' }), 'FAIL', 'destination: bucket').fix ?? '', /create_bucket: true/);
    only(await troubles({ destination: '{ s3: nowhere, connection: here }', more: 'create_bucket: true' }), 'WARN', 'destination: bucket');
    assert.equal(layout.bucket('nowhere'), undefined);
  });

  test('F078: wrong region is learnt, and said', async () => {
    await serve({ region: 'us-east-1' });
    const lines = await troubles({ connection: 'region: eu-west-3', destination: join(dir, 'out') });
    const line = only(lines, 'WARN', 'source: region');
    assert.match(`${line.message}; ${line.fix ?? ''}`, /in us-east-1, the connection says eu-west-3.*set region: us-east-1/);
  });

  test('F083: a clock 5 minutes off warns, 11 minutes and 2 hours block', async () => {
    for (const [minutes, status] of [[5, 'WARN'], [-11, 'FAIL'], [120, 'FAIL']] as const) {
      await serve({ clock: { now: () => Date.now() + minutes * 60_000 } });
      const line = only(await troubles({ destination: join(dir, 'out') }), status, 'source: clock');
      assert.match(line.message, minutes > 0 ? /behind/ : /ahead of/);
      await endpoint?.close();
    }
  });

  test('F066: read denied and tags denied come in one line', async () => {
    await serve({ onRequest: deny('GetObject', 'HeadObject', 'GetObjectTagging') });
    const line = only(await troubles({ destination: '{ url: "memory://x" }' }), 'FAIL', 'source: permissions');
    assert.match(line.message, /s3:GetObject \(.*s3:GetObjectTagging \(/);
    assert.match(line.fix ?? '', /grant s3:GetObject, s3:GetObjectTagging on arn:aws:s3:::orig/);
  });

  test('F066: only tags denied; without copied tags it is no matter', async () => {
    await serve({ onRequest: deny('GetObjectTagging') });
    const line = only(await troubles({ destination: '{ url: "memory://x" }' }), 'FAIL', 'source: permissions');
    assert.match(line.message, /^denied: s3:GetObjectTagging \(tags are copied/);
    assert.deepEqual(await troubles({ destination: '{ url: "memory://x" }', more: 'transform: { tags: { copy: false } }' }), []);
  });

  test('F066: one object that may not be read is a failure of that object, not of the run', async () => {
    await serve({ onRequest: ({ operation, bucket, key }) => (bucket === 'orig' && operation === 'GetObject' && key === 'a/one.txt' ? { code: 'AccessDenied' } : undefined) });
    await seedObject(layout, 'orig', { key: 'b/two.txt' }, 'two');
    const line = only(await troubles({ destination: '{ url: "memory://x" }' }), 'WARN', 'source: read');
    assert.match(line.message, /a\/one\.txt.* may not be read, .*b\/two\.txt.* may/);
  });

  test('a folder of our own name in the source is said to be left out', async () => {
    await serve();
    mkdirSync(join(dir, 'in', '.brigade'), { recursive: true });
    writeFileSync(join(dir, 'in', 'one'), '1');
    assert.deepEqual(await troubles({ source: join(dir, 'in'), destination: '{ url: "memory://x" }' }), []);
    writeFileSync(join(dir, 'in', '.brigade', 'mine'), 'x');
    assert.match(only(await troubles({ source: join(dir, 'in'), destination: '{ url: "memory://x" }' }), 'WARN', 'source: own folder').message, /not copied/);
  });

  test('list denied', async () => {
    await serve({ onRequest: deny('ListObjectsV2', 'ListObjects') });
    assert.match(only(await troubles({ destination: '{ url: "memory://x" }' }), 'FAIL', 'source: permissions').message, /s3:ListBucket/);
  });

  test('write denied: nothing is left and nothing else is complained of', async () => {
    await serve({ onRequest: ({ operation, bucket }) => (bucket === 'dest' && operation === 'PutObject' ? { code: 'AccessDenied' } : undefined) });
    assert.match(only(await troubles(), 'FAIL', 'destination: permissions').message, /s3:PutObject \(to write\)/);
    assert.deepEqual(keysIn('dest'), []);
  });

  test('F066: permissions for tags and for large objects are tried too, and gathered', async () => {
    await serve({ onRequest: ({ operation, headers }) => (operation === 'AbortMultipartUpload' || operation === 'ListParts' || (operation === 'PutObject' && headers.has('x-amz-tagging')) ? { code: 'AccessDenied' } : undefined) });
    const line = only(await troubles({ source: join(dir, 'in') }).then((lines) => lines.filter(({ name }) => name.startsWith('destination'))), 'FAIL', 'destination: permissions');
    assert.match(line.message, /s3:PutObjectTagging.*s3:AbortMultipartUpload.*s3:ListMultipartUploadParts/);
  });

  test('delete denied: the one key that is left is named', async () => {
    await serve({ onRequest: deny('DeleteObject') });
    const lines = await troubles();
    assert.deepEqual(lines.map(({ status, name }) => `${status} ${name}`), ['WARN destination: delete', 'WARN destination: conditional writes']);
    const [left, ...more] = keysIn('dest');
    assert.match(left ?? '', /^\.brigade\/canary-[0-9a-f]{12}$/);
    assert.deepEqual(more, []);
    assert.ok(lines[0]?.message.includes(left ?? '?'));
  });

  test('F006: HTML from a proxy', async () => {
    await serve({ onRequest: ({ operation }) => (operation.startsWith('ListObjects') ? { status: 200, headers: { 'content-type': 'text/html' }, body: '<html><body>Please log in</body></html>' } : undefined) });
    assert.match(only(await troubles({ destination: '{ url: "memory://x" }' }), 'FAIL', 'source: list').message, /text\/html: a proxy or a wrong endpoint/);
  });

  test('a self-signed certificate; trusted by ca_file it is well', async () => {
    const { key, cert } = selfSigned();
    await serve({ tls: { key, cert } });
    const line = only(await troubles({ destination: '{ url: "memory://x" }' }), 'FAIL', 'source: reach');
    assert.match(`${line.message}; ${line.fix ?? ''}`, /self-signed.*ca_file/);
    writeFileSync(join(dir, 'ca.pem'), cert);
    assert.deepEqual(await troubles({ destination: '{ url: "memory://x" }', connection: 'ca_file: ca.pem' }), []);
    assert.match(only(await troubles({ destination: '{ url: "memory://x" }', connection: 'ca_file: none.pem' }), 'FAIL', 'source: reach').message, /CA file cannot be read/);
  });

  test('F077: requester pays', async () => {
    await seedBucket(layout, 'paid', { requestPayment: 'Requester' });
    await seedObject(layout, 'paid', { key: 'x' }, 'x');
    await serve();
    const setup = { source: '{ s3: paid, connection: here }', destination: '{ url: "memory://x" }' };
    assert.match(only(await troubles(setup), 'FAIL', 'source: requester pays').fix ?? '', /requester_pays: true \(you will be billed\)/);
    assert.deepEqual(await troubles({ ...setup, more: 'requester_pays: true' }), []);
  });

  test('object lock: no canary', async () => {
    await seedBucket(layout, 'locked', { objectLock: true, versioning: 'Enabled' });
    const writes: string[] = [];
    await serve({ onRequest: ({ method, bucket }) => { if (bucket === 'locked' && method === 'PUT') writes.push(method); } });
    only(await troubles({ destination: '{ s3: locked, connection: here }' }), 'WARN', 'destination: canary');
    assert.deepEqual(writes, []);
  });

  test('F080: an encryption that is refused', async () => {
    await serve({ onRequest: ({ operation, headers }) => (operation === 'PutObject' && headers.get('x-amz-server-side-encryption') === 'aws:kms' ? { code: 'AccessDenied', message: 'not authorized to perform: kms:GenerateDataKey' } : undefined) });
    assert.match(only(await troubles({ destination: '{ s3: dest, connection: here, sse: "aws:kms", kms_key_id: k }' }), 'FAIL', 'destination: permissions').message, /kms:GenerateDataKey/);
  });

  test('F068, F019: metadata and headers that come back changed', async () => {
    const changed = { etag: '"x"', 'content-length': '25', 'content-type': 'text/plain', 'content-encoding': 'aws-chunked,identity-canary', 'cache-control': 'no-transform', 'x-amz-meta-note': 'K?fer' };
    let written = false;
    await serve({
      onRequest: ({ operation, key }) => {
        if (!/^\.brigade\/canary-[0-9a-f]+$/.test(key)) return undefined;
        written ||= operation === 'PutObject';
        return written && operation === 'HeadObject' ? { status: 200, headers: changed } : undefined;
      },
    });
    const lines = await troubles();
    const line = only(lines, 'WARN', 'destination: read back');
    assert.match(line.message, /metadata note/);
    assert.doesNotMatch(line.message, /Content-Encoding/);
  });

  test('F073: archived objects are told before the run', async () => {
    await seedBucket(layout, 'cold');
    await seedObject(layout, 'cold', { key: 'x', storageClass: 'DEEP_ARCHIVE' }, 'x');
    await seedObject(layout, 'cold', { key: 'y' }, 'y');
    await serve();
    const setup = { source: '{ s3: cold, connection: here }', destination: '{ url: "memory://x" }' };
    assert.match(only(await troubles(setup), 'WARN', 'source: archived').message, /1 of the first 2 objects/);
    assert.deepEqual(await troubles({ ...setup, more: 'allow_archived: true' }), []);
  });

  test('unreachable: nobody listens, and no such host', async () => {
    const server = createServer().listen(0, '127.0.0.1');
    await new Promise((resolve) => server.once('listening', resolve));
    const { port } = server.address() as AddressInfo;
    await new Promise((resolve) => server.close(resolve));
    const setup = { destination: '{ url: "memory://x" }' };
    assert.match(only(await troubles({ ...setup, url: `http://127.0.0.1:${port}` }), 'FAIL', 'source: reach').message, /connection refused/);
    assert.match(only(await troubles({ ...setup, url: 'http://no-such-host.invalid' }), 'FAIL', 'source: reach').message, /does not resolve/);
  });

  test('destination inside the source', async () => {
    mkdirSync(join(dir, 'in'));
    writeFileSync(join(dir, 'in', 'x'), 'x');
    assert.match(only(await troubles({ source: join(dir, 'in'), destination: join(dir, 'in', 'out') }), 'FAIL', 'configuration').message, /lies in the other/);
  });

  test('a source folder that is not there, and an empty one', async () => {
    assert.match(only(await troubles({ source: join(dir, 'none'), destination: join(dir, 'out') }), 'FAIL', 'source: reach').fix ?? '', /make .*none/);
    mkdirSync(join(dir, 'empty'));
    only(await troubles({ source: join(dir, 'empty'), destination: join(dir, 'out') }), 'WARN', 'source: list');
  });
});

describe('a destination folder', () => {
  beforeEach(() => {
    mkdirSync(join(dir, 'in'));
    writeFileSync(join(dir, 'in', 'x'), 'x');
  });

  test('nothing stays in it, and one that is not there yet is not made', async () => {
    const out = join(dir, 'out');
    assert.deepEqual(await troubles({ source: join(dir, 'in'), destination: out }), []);
    assert.equal(existsSync(out), false);
    mkdirSync(out);
    assert.deepEqual(await troubles({ source: join(dir, 'in'), destination: out }), []);
    assert.deepEqual(readdirSync(out), []);
  });

  test('read-only', async () => {
    const out = join(dir, 'out');
    mkdirSync(out);
    chmodSync(out, 0o555);
    chmodSync(dir, 0o755);
    chmodSync(join(dir, 'in'), 0o755);
    mkdirSync(join(dir, 'state'));
    chmodSync(join(dir, 'state'), 0o777);
    const lines = await unprivileged(() => troubles({ source: join(dir, 'in'), destination: out }));
    assert.match(only(lines, 'FAIL', 'destination: folder').message, /permission denied/);
  });

  test('full', { skip: process.platform !== 'linux' || process.getuid?.() !== 0 ? 'needs root to mount' : false }, async (context) => {
    const out = join(dir, 'out');
    mkdirSync(out);
    if (spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=16k', 'tmpfs', out]).status !== 0) return context.skip('mounting is not allowed here');
    try {
      writeFileSync(join(out, 'filler'), Buffer.alloc(16_384));
      const line = only(await troubles({ source: join(dir, 'in'), destination: out }), 'FAIL', 'destination: folder');
      assert.match(`${line.message}; ${line.fix ?? ''}`, /no space is left.*free space/);
    } finally {
      spawnSync('umount', [out]);
    }
  });

  test('a file stands where the folder should', async () => {
    writeFileSync(join(dir, 'out'), '');
    only(await troubles({ source: join(dir, 'in'), destination: join(dir, 'out') }), 'FAIL', 'destination: folder');
  });
});

/** Runs as nobody where the tests run as root, for whom nothing is read-only. */
async function unprivileged<T>(work: () => Promise<T>): Promise<T> {
  if (process.geteuid?.() !== 0) return work();
  process.seteuid?.(65534);
  try {
    return await work();
  } finally {
    process.seteuid?.(0);
  }
}

function selfSigned(): { key: string; cert: string } {
  const made = spawnSync('openssl', ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '2', '-subj', '/CN=127.0.0.1', '-addext', 'subjectAltName=IP:127.0.0.1', '-keyout', join(dir, 'key.pem'), '-out', join(dir, 'cert.pem')]);
  assert.equal(made.status, 0, String(made.stderr));
  return { key: readFileSync(join(dir, 'key.pem'), 'utf8'), cert: readFileSync(join(dir, 'cert.pem'), 'utf8') };
}

describe('this machine', () => {
  test('too few open files and too little memory are told with figures', async () => {
    const exam = { migration: migrationOf({ source: join(dir, 'in'), destination: join(dir, 'out'), more: 'executors: 2\nlimits: { memory: 100 MiB }' }), around: around() };
    assert.match(examineFiles(exam, 256).fix ?? '', /ulimit -n \d+/);
    assert.equal(examineFiles(exam, 65_536).status, 'OK');
    assert.match(examineMemory(exam, 500 * 2 ** 20).message, /500.0 MiB available, up to 660.0 MiB may be used \(3 processes\)/);
    assert.equal(examineMemory(exam, 500 * 2 ** 20).status, 'WARN');
  });
});

describe('preflight', () => {
  test('asks once in 24 hours, holds no secret, and asks again when the options change', async () => {
    let requests = 0;
    await serve({ onRequest: () => { requests++; } });
    let now = Date.now();
    const clock = { ...systemClock(), now: () => now };
    const go = async (migration = migrationOf()): Promise<number> => {
      requests = 0;
      await preflight(migration, around({ clock }));
      return requests;
    };
    assert.ok(await go() > 10);
    assert.equal(await go(), 0);
    assert.doesNotMatch(readFileSync(join(dir, 'state', 'doctor-cache.json'), 'utf8'), /secret|AKIA/);
    assert.ok(await go(migrationOf({ more: 'transform: { tags: { copy: false } }' })) > 10);
    assert.equal(await go(), 0);
    now += 25 * 3600_000;
    await serve({ onRequest: () => { requests++; }, clock: { now: () => now } });
    assert.ok(await go(migrationOf()) > 10);
  });

  test('a blocker is one usage error, never cached', async () => {
    await serve({ onRequest: deny('GetObjectTagging') });
    const refused = { code: 'E_PREFLIGHT', kind: 'usage', message: /^source: permissions: denied: s3:GetObjectTagging/ };
    await assert.rejects(preflight(migrationOf(), around()), refused);
    await assert.rejects(preflight(migrationOf(), around()), refused);
    endpoint?.setHook(undefined);
    const fresh = await preflight(migrationOf(), around());
    assert.deepEqual([fresh.warnings, fresh.cached], [[], false]);
    assert.deepEqual(fresh.destination?.facts?.guards, { absent: true, matches: true, sent: true });
    assert.deepEqual(await preflight(migrationOf(), around()), { ...fresh, cached: true });
  });

  test('a broken cache is no cache', async () => {
    await serve();
    mkdirSync(join(dir, 'state'));
    writeFileSync(join(dir, 'state', 'doctor-cache.json'), '{"v":1,');
    assert.equal((await preflight(migrationOf(), around())).cached, false);
    assert.equal((await preflight(migrationOf(), around())).cached, true);
  });
});

after(() => endpoint?.close());
