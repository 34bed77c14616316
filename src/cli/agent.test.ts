/** The agent as it is started: `brigade agent …` in a process of its own. */
import assert from 'node:assert/strict';
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { request as httpRequest } from 'node:http';
import { request as httpsRequest } from 'node:https';
import { connect as connectTcp } from 'node:net';
import { join } from 'node:path';
import { chmodSync, mkdirSync, readFileSync } from 'node:fs';
import { test } from 'node:test';
import { connect as connectTls } from 'node:tls';
import { fileURLToPath } from 'node:url';
import { CreateBucketCommand, GetObjectCommand, ListBucketsCommand, PutObjectCommand, S3Client } from '@aws-sdk/client-s3';
import { credentials, sign } from '../agent/fixture.test.ts';
import { brigade, tempFolder } from './fixture.test.ts';

const MAIN = fileURLToPath(new URL('./main.ts', import.meta.url));
const SECRET = credentials.secretAccessKey;
const KEYS = `keys:\n  - { id: ${credentials.accessKeyId}, secret: ${SECRET} }\n  - { id: reader, secret: ${SECRET}, readOnly: true, buckets: [one] }\n`;

interface Running extends AsyncDisposable {
  readonly child: ChildProcess;
  readonly url: string;
  readonly line: string;
  readonly err: () => string;
  readonly ended: Promise<number | null>;
}

type Site = ReturnType<typeof tempFolder>;

function site(): Site {
  const folder = tempFolder();
  mkdirSync(join(folder.path, 'root'));
  chmodSync(folder.write('keys.yml', KEYS), 0o600);
  return folder;
}

async function startAgent(folder: Site, more: readonly string[] = []): Promise<Running> {
  const child = spawn(process.execPath, [MAIN, 'agent', '--root', 'root', '--listen', '127.0.0.1:0', '--access-keys', 'keys.yml', ...more], { cwd: folder.path, stdio: ['ignore', 'pipe', 'pipe'] });
  const ended = once(child, 'exit').then(([code]) => code as number | null);
  let [out, err] = ['', ''];
  child.stderr?.on('data', (data: Buffer) => { err += data.toString(); });
  child.stdout?.on('data', (data: Buffer) => { out += data.toString(); });
  while (!out.includes('\n')) {
    if (child.exitCode !== null) throw new Error(`the agent ended: ${err}`);
    await Promise.race([once(child.stdout!, 'data'), ended]);
  }
  return {
    child, line: out, url: / at (https?:\S+)/.exec(out)?.[1] ?? '', err: () => err, ended,
    async [Symbol.asyncDispose]() {
      if (child.exitCode === null) child.kill('SIGKILL');
      await ended;
    },
  };
}

const client = (url: string, id = credentials.accessKeyId, secret = SECRET): S3Client =>
  new S3Client({ endpoint: url, region: 'us-east-1', forcePathStyle: true, maxAttempts: 1, credentials: { accessKeyId: id, secretAccessKey: secret } });

const nameOf = async (call: Promise<unknown>): Promise<string> => call.then(() => 'ok', (error: Error) => error.name);

function makeCertificate(folder: Site, name: string): void {
  execFileSync('openssl', ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '2', '-subj', `/CN=${name}`, '-addext', 'subjectAltName=IP:127.0.0.1',
    '-keyout', join(folder.path, `${name}.key`), '-out', join(folder.path, `${name}.pem`)], { stdio: 'ignore' });
}

test('the agent serves, says where in one line, keeps its keys apart, drains on SIGTERM and ends with 0', async () => {
  using folder = site();
  await using agent = await startAgent(folder);
  assert.match(agent.line, /^serving .*root at http:\/\/127\.0\.0\.1:\d+ \(files, 2 access keys\)\n$/);
  const s3 = client(agent.url);
  for (const Bucket of ['one', 'two']) await s3.send(new CreateBucketCommand({ Bucket }));
  await s3.send(new PutObjectCommand({ Bucket: 'one', Key: 'k', Body: 'content' }));
  const reader = client(agent.url, 'reader');
  assert.deepEqual((await reader.send(new ListBucketsCommand({}))).Buckets?.map((b) => b.Name), ['one']);
  assert.equal(await (await reader.send(new GetObjectCommand({ Bucket: 'one', Key: 'k' }))).Body!.transformToString(), 'content');
  assert.equal(await nameOf(reader.send(new PutObjectCommand({ Bucket: 'one', Key: 'k', Body: 'other' }))), 'AccessDenied');
  assert.equal(await nameOf(reader.send(new GetObjectCommand({ Bucket: 'two', Key: 'k' }))), 'AccessDenied');
  assert.equal(await nameOf(reader.send(new CreateBucketCommand({ Bucket: 'three' }))), 'AccessDenied');
  // A request that is under way when SIGTERM comes is answered; a new one is not.
  const { port } = new URL(agent.url);
  const slow = httpRequest({ port, host: '127.0.0.1', method: 'PUT', path: '/one/slow', headers: { ...sign(agent.url, { method: 'PUT', path: '/one/slow', headers: { 'content-length': '10' } }).headers, expect: '100-continue' } });
  const answered = once(slow, 'response');
  slow.flushHeaders();
  await once(slow, 'continue');
  slow.write('12345');
  agent.child.kill('SIGTERM');
  while (await nameOf(client(agent.url).send(new ListBucketsCommand({}))) === 'ok') await new Promise((resolve) => setTimeout(resolve, 20));
  assert.equal(await nameOf(client(agent.url).send(new ListBucketsCommand({}))), 'Error', 'nobody listens any more');
  slow.end('67890');
  const [response] = await answered as [{ statusCode: number; headers: Record<string, string>; resume(): void }];
  response.resume();
  assert.deepEqual([response.statusCode, response.headers['connection']], [200, 'close']);
  assert.equal(await agent.ended, 0);
});

test('TLS 1.2 and newer, client certificates where asked for, and SIGHUP brings a new certificate and new keys', async () => {
  using folder = site();
  for (const name of ['first', 'second', 'visitor']) makeCertificate(folder, name);
  const pem = (name: string) => readFileSync(join(folder.path, name));
  folder.write('cert.pem', pem('first.pem').toString());
  folder.write('key.pem', pem('first.key').toString());
  await using agent = await startAgent(folder, ['--tls-cert', 'cert.pem', '--tls-key', 'key.pem', '--client-ca', 'visitor.pem', '--listen', '127.0.0.1:0']);
  assert.match(agent.url, /^https:/);
  const port = Number(new URL(agent.url).port);
  const visitor = { cert: pem('visitor.pem'), key: pem('visitor.key') };
  const get = (ca: string, more: object): Promise<string> => new Promise((resolve) => {
    const call = httpsRequest({ host: '127.0.0.1', port, path: '/', ca: pem(ca), agent: false, ...more }, (answer) => { answer.resume().on('end', () => resolve(`${answer.statusCode}`)); });
    call.on('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? 'error')).end();
  });
  assert.equal(await get('first.pem', visitor), '403');
  assert.notEqual(await get('first.pem', {}), '403', 'a client without a certificate');
  assert.notEqual(await get('first.pem', { cert: pem('second.pem'), key: pem('second.key') }), '403', 'a client with a certificate of another authority');
  const protocol = (maxVersion: 'TLSv1.1' | 'TLSv1.2' | 'TLSv1.3') => new Promise((resolve) => {
    const socket = connectTls({ host: '127.0.0.1', port, ca: pem('first.pem'), ...visitor, minVersion: 'TLSv1', maxVersion, ciphers: 'DEFAULT@SECLEVEL=0' }, () => resolve(socket.getProtocol()));
    socket.on('error', () => resolve('refused')).on('secureConnect', () => socket.destroy());
  });
  assert.deepEqual([await protocol('TLSv1.1'), await protocol('TLSv1.2'), await protocol('TLSv1.3')], ['refused', 'TLSv1.2', 'TLSv1.3']);
  const plain = connectTcp(port, '127.0.0.1').on('error', () => undefined);
  plain.end('GET / HTTP/1.1\r\nhost: x\r\n\r\n');
  const [said] = await Promise.race([once(plain, 'data'), once(plain, 'close').then(() => [''])]) as [Buffer | string];
  assert.doesNotMatch(said.toString(), /HTTP\/1\.1 [23]/, 'plain HTTP is not served');

  folder.write('cert.pem', pem('second.pem').toString());
  agent.child.kill('SIGHUP');
  while (!agent.err().includes('\n')) await once(agent.child.stderr!, 'data');
  assert.match(agent.err(), /^brigade: nothing was changed: --tls-key .*key\.pem: the key does not belong to the certificate; .* \[E_TLS_FILE\]\n$/);
  assert.equal(await get('first.pem', visitor), '403', 'the old one is kept');
  folder.write('key.pem', pem('second.key').toString());
  agent.child.kill('SIGHUP');
  while (!agent.err().includes('read anew')) await once(agent.child.stderr!, 'data');
  assert.equal(await get('second.pem', visitor), '403');
  assert.notEqual(await get('first.pem', visitor), '403');
});

const TLS_OPTIONS = ['--tls-cert', 'cert.pem', '--tls-key', 'cert.key'];

test('what cannot be is one line and exit 2', async () => {
  using folder = site();
  makeCertificate(folder, 'cert');
  makeCertificate(folder, 'other');
  folder.write('file', '');
  chmodSync(folder.write('open.yml', KEYS), 0o644);
  const keys = ['--access-keys', 'keys.yml'];
  const cases: readonly (readonly [args: readonly string[], line: RegExp])[] = [
    [[], /--root is missing/], [['--root', 'nowhere', ...keys], /nowhere: the folder cannot be opened \(ENOENT\).*\[E_NO_ROOT\]/], [['--root', 'file', ...keys], /not a folder/],
    [['--root', 'root'], /nobody could use it.*--access-keys FILE/], [['--root', 'root', '--access-keys', 'open.yml'], /open\.yml: .*can be read by others.*chmod 600/],
    [['--root', 'root', ...keys, '--listen', '0.0.0.0:0'], /--listen 0\.0\.0\.0:0: beyond this machine an agent speaks only TLS.*\[E_NO_TLS\]/], [['--root', 'root', ...keys, '--listen', ':0'], /E_NO_TLS/], [['--root', 'root', ...keys, '--listen', '[::]:0'], /E_NO_TLS/],
    [['--root', 'root', ...keys, '--listen', 'nonsense'], /not HOST:PORT/], [['--root', 'root', ...keys, '--listen', '127.0.0.1:70000'], /not HOST:PORT/], [['--root', 'root', ...keys, '--listen', '203.0.113.1:9000', ...TLS_OPTIONS], /no such address.*\[E_LISTEN\]/],
    [['--root', 'root', ...keys, '--tls-cert', 'cert.pem'], /belong together; add --tls-key/], [['--root', 'root', ...keys, '--client-ca', 'cert.pem'], /add --tls-cert and --tls-key/],
    [['--root', 'root', ...keys, '--tls-cert', 'cert.pem', '--tls-key', 'other.key'], /the key does not belong to the certificate/], [['--root', 'root', ...keys, '--tls-cert', 'keys.yml', '--tls-key', 'cert.key'], /no certificate in PEM form/],
    [['--root', 'root', ...keys, '--tls-cert', 'cert.pem', '--tls-key', 'nowhere'], /cannot be read \(ENOENT\)/], [['--root', 'root', ...keys, ...TLS_OPTIONS, '--client-ca', 'keys.yml'], /--client-ca .*no certificate/],
    [['--root', 'root', ...keys, '--state', 'root/state'], /the state would lie in the folder that is served.*\[E_OVERLAP\]/], [['--root', '.', ...keys], /E_OVERLAP/], [['--root', 'root', ...keys, '--layout', 'tree'], /"tree" is not one of files, objects/],
    [['--root', 'root', ...keys, '--max-connections', '0'], /not a whole number/], [['--root', 'root', ...keys, '--drain', 'soon'], /--drain: "soon"/],
  ];
  for (const [args, expected] of cases) {
    const { exit, out, err } = await brigade(folder.path, ['agent', ...args]);
    assert.deepEqual([exit, out, err.split('\n').length], [2, '', 2], `${args.join(' ')}: ${err}`);
    assert.match(err, expected);
    assert.equal(err.includes(SECRET), false);
  }
});
