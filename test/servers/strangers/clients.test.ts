// Programs that know nothing of us, against the agent as an operator starts it: both layouts, and once over TLS.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { mkdir, mkdtemp, readFile, readdir, rm, unlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { promisify } from 'node:util';
import { CopyObjectCommand, CreateBucketCommand, DeleteObjectsCommand, GetObjectCommand, HeadObjectCommand, ListObjectsV2Command, PutObjectCommand, S3Client } from '@aws-sdk/client-s3';
import { Upload } from '@aws-sdk/lib-storage';
import { Client as MinioClient } from 'minio';
import { LAYOUTS, startAgent } from '../harness/agent.ts';
import { binaries, type Server } from '../harness/index.ts';
import { systemBinary } from '../harness/binaries.ts';

const run = promisify(execFile);
const MiB = 2 ** 20;

/** What is moved: empty, small, large enough for parts, and names that are not plain. */
const TREE: Readonly<Record<string, Buffer>> = {
  'empty': Buffer.alloc(0),
  'small.txt': Buffer.from('buckets of water'),
  'folder/with space & sign.txt': Buffer.from('a'),
  'folder/ünïcode-名前.txt': Buffer.from('b'),
  'folder/deep/er/plus+percent%.bin': randomBytes(70_000),
  'large.bin': randomBytes(18 * MiB),
  ...Object.fromEntries(Array.from({ length: 25 }, (_, i) => [`many/${String(i).padStart(3, '0')}`, Buffer.from(String(i))])),
};

async function writeTree(folder: string): Promise<void> {
  for (const [name, bytes] of Object.entries(TREE)) {
    await mkdir(join(folder, name, '..'), { recursive: true });
    await writeFile(join(folder, name), bytes);
  }
}

const sum = (bytes: Buffer): string => createHash('sha256').update(bytes).digest('hex');

async function sumsOf(folder: string): Promise<Record<string, string>> {
  const found: Record<string, string> = {};
  for (const entry of await readdir(folder, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile()) continue;
    const path = join(entry.parentPath, entry.name);
    found[relative(folder, path)] = sum(await readFile(path));
  }
  return found;
}

const expected = Object.fromEntries(Object.entries(TREE).map(([name, bytes]) => [name, sum(bytes)]));

const BOTO = `
import boto3, os, sys, hashlib
from boto3.s3.transfer import TransferConfig
from botocore.config import Config
endpoint, folder, bucket = sys.argv[1:4]
s3 = boto3.client('s3', endpoint_url=endpoint, verify=os.environ.get('AWS_CA_BUNDLE') or True, config=Config(signature_version='s3v4'))
s3.create_bucket(Bucket=bucket)
config = TransferConfig(multipart_threshold=5 << 20, multipart_chunksize=5 << 20)
for root, _, files in os.walk(folder):
    for name in files:
        path = os.path.join(root, name)
        s3.upload_file(path, bucket, os.path.relpath(path, folder), Config=config)
s3.copy({'Bucket': bucket, 'Key': 'large.bin'}, bucket, 'copied.bin', Config=config)
keys = [o['Key'] for page in s3.get_paginator('list_objects_v2').paginate(Bucket=bucket, PaginationConfig={'PageSize': 7}) for o in page.get('Contents', [])]
for key in keys:
    body = s3.get_object(Bucket=bucket, Key=key)['Body'].read()
    print(key + '\\t' + hashlib.sha256(body).hexdigest())
url = s3.generate_presigned_url('get_object', Params={'Bucket': bucket, 'Key': 'small.txt', 'ResponseContentType': 'text/x-told'})
import urllib.request, ssl
answer = urllib.request.urlopen(url, context=ssl.create_default_context(cafile=os.environ.get('AWS_CA_BUNDLE')) if url.startswith('https') else None)
assert answer.read() == b'buckets of water' and answer.headers['content-type'] == 'text/x-told', 'presigned'
s3.delete_objects(Bucket=bucket, Delete={'Objects': [{'Key': k} for k in keys]})
s3.delete_bucket(Bucket=bucket)
`;

interface Site { readonly server: Server; readonly scratch: string; readonly env: NodeJS.ProcessEnv }

function environment(server: Server): NodeJS.ProcessEnv {
  const { AWS_CA_BUNDLE: _aws, REQUESTS_CA_BUNDLE: _requests, CURL_CA_BUNDLE: _curl, ...clean } = process.env;
  return {
    ...clean, AWS_ACCESS_KEY_ID: server.accessKeyId, AWS_SECRET_ACCESS_KEY: server.secretAccessKey, AWS_REGION: server.region, AWS_DEFAULT_REGION: server.region,
    AWS_EC2_METADATA_DISABLED: 'true', AWS_CONFIG_FILE: '/dev/null', RCLONE_CONFIG: '/dev/null', ...(server.caFile === undefined ? {} : { AWS_CA_BUNDLE: server.caFile, RCLONE_CA_CERT: server.caFile }),
  };
}

async function folderFor(site: Site, name: string): Promise<string> {
  const folder = join(site.scratch, name);
  await mkdir(folder);
  return folder;
}

async function withAwsCli({ server, scratch, env }: Site, back: string): Promise<void> {
  const aws = async (...args: string[]): Promise<string> => (await run(binaries().aws, ['--endpoint-url', server.endpoint, ...args], { env, maxBuffer: 16 * MiB })).stdout;
  await aws('s3', 'mb', 's3://aws-cli');
  await aws('s3', 'sync', '--no-progress', join(scratch, 'tree'), 's3://aws-cli/');
  assert.equal((await aws('s3', 'sync', '--no-progress', join(scratch, 'tree'), 's3://aws-cli/')).trim(), '', 'a second sync has nothing to do');
  await aws('s3', 'sync', '--no-progress', 's3://aws-cli/', back);
  assert.deepEqual(await sumsOf(back), expected);
  await aws('s3', 'cp', '--no-progress', 's3://aws-cli/large.bin', 's3://aws-cli/copies/large.bin');
  assert.match(await aws('s3', 'ls', 's3://aws-cli/copies/'), /18874368 large\.bin/);
  await aws('s3', 'sync', '--no-progress', '--delete', join(scratch, 'tree', 'many'), 's3://aws-cli/');
  assert.equal((await aws('s3', 'ls', '--recursive', 's3://aws-cli/')).trim().split('\n').length, 25);
  await aws('s3', 'rb', '--force', 's3://aws-cli');
}

async function withRclone({ server, scratch, env }: Site, back: string): Promise<void> {
  const remote = `:s3,provider=Other,env_auth,region=us-east-1,endpoint='${server.endpoint}':rclone`;
  const rclone = (...args: string[]) => run(binaries().rclone, args, { env });
  await rclone('mkdir', remote);
  const parts = ['--s3-upload-cutoff', '5M', '--s3-chunk-size', '5M'];
  await rclone('sync', ...parts, join(scratch, 'tree'), remote);
  await rclone('check', '--download', join(scratch, 'tree'), remote);
  await rclone('sync', remote, back);
  assert.deepEqual(await sumsOf(back), expected);
  await unlink(join(back, 'small.txt'));
  await writeFile(join(back, 'new'), 'new');
  await rclone('sync', ...parts, back, remote);
  await rclone('check', '--download', back, remote);
  await rclone('copyto', '--s3-copy-cutoff', '5M', `${remote}/large.bin`, `${remote}/copied.bin`);
  assert.equal((await rclone('lsf', '--files-only', remote)).stdout, 'copied.bin\nempty\nlarge.bin\nnew\n');
  await rclone('purge', remote);
}

async function withS5cmd({ server, scratch, env }: Site, back: string): Promise<void> {
  const s5cmd = async (...args: string[]): Promise<string> => (await run(binaries().s5cmd, ['--endpoint-url', server.endpoint, ...(server.caFile === undefined ? [] : ['--no-verify-ssl']), ...args], { env })).stdout;
  await s5cmd('mb', 's3://s5cmd');
  await s5cmd('cp', '--part-size', '5', `${join(scratch, 'tree')}/`, 's3://s5cmd/');
  await s5cmd('sync', 's3://s5cmd/*', `${back}/`);
  assert.deepEqual(await sumsOf(back), expected);
  await s5cmd('cp', 's3://s5cmd/large.bin', 's3://s5cmd/copied.bin');
  assert.match(await s5cmd('ls', 's3://s5cmd/*'), /18874368\s+copied\.bin/);
  await s5cmd('sync', '--delete', `${join(scratch, 'tree', 'many')}/`, 's3://s5cmd/');
  assert.equal((await s5cmd('ls', 's3://s5cmd/*')).trim().split('\n').length, 25);
  await s5cmd('rm', 's3://s5cmd/*');
  await s5cmd('rb', 's3://s5cmd');
}

async function withSdk({ server }: Site): Promise<void> {
  const client = new S3Client({ endpoint: server.endpoint, region: server.region, forcePathStyle: true, credentials: { accessKeyId: server.accessKeyId, secretAccessKey: server.secretAccessKey } });
  const Bucket = 'sdk';
  await client.send(new CreateBucketCommand({ Bucket }));
  for (const [Key, Body] of Object.entries(TREE)) {
    if (Body.length > 5 * MiB) await new Upload({ client, params: { Bucket, Key, Body }, partSize: 5 * MiB }).done();
    else await client.send(new PutObjectCommand({ Bucket, Key, Body, ChecksumAlgorithm: 'SHA256', Metadata: { origin: 'sdk' } }));
  }
  await client.send(new CopyObjectCommand({ Bucket, Key: 'copied', CopySource: `${Bucket}/folder/with%20space%20%26%20sign.txt` }));
  assert.equal((await client.send(new HeadObjectCommand({ Bucket, Key: 'copied' }))).Metadata?.['origin'], 'sdk');
  const found: Record<string, string> = {};
  for (let token: string | undefined; ;) {
    const page = await client.send(new ListObjectsV2Command({ Bucket, MaxKeys: 7, EncodingType: 'url', ContinuationToken: token }));
    for (const { Key = '' } of page.Contents ?? []) {
      const key = decodeURIComponent(Key.replaceAll('+', ' '));
      found[key] = sum(Buffer.from(await (await client.send(new GetObjectCommand({ Bucket, Key: key }))).Body!.transformToByteArray()));
    }
    token = page.NextContinuationToken;
    if (token === undefined) break;
  }
  assert.deepEqual(found, { ...expected, copied: expected['folder/with space & sign.txt'] });
  const deleted = await client.send(new DeleteObjectsCommand({ Bucket, Delete: { Objects: Object.keys(found).map((Key) => ({ Key })) } }));
  assert.equal(deleted.Deleted?.length, Object.keys(found).length);
  client.destroy();
}

async function withMinioJs({ server, scratch }: Site, back: string): Promise<void> {
  const { hostname, port, protocol } = new URL(server.endpoint);
  const client = new MinioClient({ endPoint: hostname, port: Number(port), useSSL: protocol === 'https:', accessKey: server.accessKeyId, secretKey: server.secretAccessKey, region: server.region, partSize: 5 * MiB });
  await client.makeBucket('minio-js');
  for (const name of Object.keys(TREE)) await client.fPutObject('minio-js', name, join(scratch, 'tree', name), { 'x-amz-meta-origin': 'minio-js' });
  for await (const { name } of client.listObjectsV2('minio-js', '', true) as AsyncIterable<{ name: string }>) await client.fGetObject('minio-js', name, join(back, name));
  assert.deepEqual(await sumsOf(back), expected);
  assert.equal((await client.statObject('minio-js', 'small.txt')).metaData['origin'], 'minio-js');
  await client.removeObjects('minio-js', Object.keys(TREE));
  await client.removeBucket('minio-js');
}

async function withBoto({ server, scratch, env }: Site): Promise<void> {
  const { stdout } = await run(binaries().python, ['-c', BOTO, server.endpoint, join(scratch, 'tree'), 'boto'], { env: { ...env, PYTHONIOENCODING: 'utf-8' } });
  const found = Object.fromEntries(stdout.trim().split('\n').map((line) => line.split('\t') as [string, string]));
  assert.deepEqual(found, { ...expected, 'copied.bin': expected['large.bin'] });
}

async function withCurl({ server, scratch, env }: Site): Promise<void> {
  const curl = async (...args: string[]): Promise<string> => (await run(systemBinary('curl'), ['--silent', '--show-error', '--aws-sigv4', `aws:amz:${server.region}:s3`, '--user', `${server.accessKeyId}:${server.secretAccessKey}`,
    ...(server.caFile === undefined ? [] : ['--cacert', server.caFile]), '--write-out', ' %{http_code}', ...args], { env })).stdout;
  const unsigned = ['-H', 'x-amz-content-sha256: UNSIGNED-PAYLOAD'];
  assert.equal(await curl('-X', 'PUT', ...unsigned, `${server.endpoint}/curl`), ' 200');
  assert.equal(await curl('-T', join(scratch, 'tree', 'small.txt'), ...unsigned, `${server.endpoint}/curl/a/b.txt`), ' 200');
  assert.equal(await curl(...unsigned, `${server.endpoint}/curl/a/b.txt`), 'buckets of water 200');
  assert.match(await curl(...unsigned, `${server.endpoint}/curl?list-type=2&prefix=a%2F`), /<Key>a\/b\.txt<\/Key>.* 200$/s);
  assert.match(await curl('--user', `${server.accessKeyId}:wrong`, ...unsigned, `${server.endpoint}/curl/a/b.txt`), /SignatureDoesNotMatch.* 403$/s);
}

const CLIENTS: readonly (readonly [name: string, work: (site: Site, back: string) => Promise<void>])[] = [
  ['aws cli', withAwsCli], ['boto3', withBoto], ['AWS SDK for JavaScript', withSdk], ['rclone', withRclone], ['s5cmd', withS5cmd], ['MinIO JavaScript client', withMinioJs], ['curl --aws-sigv4', withCurl],
];
/** The clients in this process take their authorities from the environment it was started with. */
const OVER_TLS = new Set(['aws cli', 'boto3', 'rclone', 's5cmd', 'curl --aws-sigv4']);

for (const [layout, tls] of [...LAYOUTS.map((name) => [name, false] as const), ['files', true] as const]) {
  describe(`agent, layout ${layout}${tls ? ', TLS' : ''}`, () => {
    const site: { now?: Site } = {};
    before(async () => {
      const scratch = await mkdtemp(join(tmpdir(), 'brigade-strangers-'));
      await writeTree(join(scratch, 'tree'));
      const server = await startAgent({ layout, tls });
      site.now = { server, scratch, env: environment(server) };
    });
    after(async () => {
      await site.now?.server.stop();
      await rm(site.now?.scratch ?? '', { recursive: true, force: true });
    });
    for (const [name, work] of CLIENTS.filter(([client]) => !tls || OVER_TLS.has(client))) {
      test(`${name}: list, put, get, parts, copy, delete, sync both ways`, async () => {
        const here = site.now!;
        await work(here, await folderFor(here, name.replaceAll(/\W/g, '-')));
        assert.doesNotMatch(here.server.stderrTail(), /^brigade:/m, 'the agent had something to complain about');
      });
    }
  });
}
