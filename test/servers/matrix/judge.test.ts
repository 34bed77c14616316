/** The judge of the matrix must see what it is there for: each kind of damage, done by hand to a copy that was right. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { CreateBucketCommand, DeleteObjectCommand, PutObjectCommand, type PutObjectCommandInput, S3Client } from '@aws-sdk/client-s3';
import { binaries, type Server, startVersitygw } from '../harness/index.ts';

const compare = fileURLToPath(new URL('compare.py', import.meta.url));
const work = mkdtempSync(join(tmpdir(), 'brigade-judge-'));
let server: Server;
let sdk: S3Client;

before(async () => {
  server = await startVersitygw();
  sdk = new S3Client({ endpoint: server.endpoint, region: server.region, forcePathStyle: true, credentials: { accessKeyId: server.accessKeyId, secretAccessKey: server.secretAccessKey } });
  for (const Bucket of ['source', 'good']) {
    await sdk.send(new CreateBucketCommand({ Bucket }));
    await put({ Bucket, Key: 'dressed', Body: 'bytes', Metadata: { a: 'b' }, Tagging: 'c=d', CacheControl: 'no-store' });
    await put({ Bucket, Key: 'plain', Body: 'other bytes' });
  }
});

after(async () => {
  sdk.destroy();
  await server.stop();
  rmSync(work, { recursive: true, force: true });
});

async function put(input: PutObjectCommandInput): Promise<void> {
  await sdk.send(new PutObjectCommand(input));
}

interface Said { readonly failed?: object; readonly skipped?: object; readonly lost?: object; readonly refusable?: object }

async function judge(source: object, destination: object, said: Said = {}): Promise<string> {
  const env = { ...process.env, AWS_ACCESS_KEY_ID: server.accessKeyId, AWS_SECRET_ACCESS_KEY: server.secretAccessKey, AWS_DEFAULT_REGION: server.region };
  const child = spawn(binaries().python, [compare], { env, stdio: ['pipe', 'pipe', 'inherit'] });
  child.stdin.end(JSON.stringify({ source, destination, failed: {}, skipped: {}, lost: {}, refusable: {}, cache: join(work, 'digests.json'), ...said }));
  let out = '';
  for await (const chunk of child.stdout) out += String(chunk);
  return (JSON.parse(out) as { wrong: [key: string, what: string][] }).wrong.map(([key, what]) => `${key}: ${what}`).join('\n');
}

const bucket = (name: string): object => ({ s3: server.endpoint, bucket: name, kind: 'versitygw' });
const ofGood = (said: Said = {}): Promise<string> => judge(bucket('source'), bucket('good'), said);

/** Damages the good copy, asks, and makes it good again. */
async function damaged(input: Omit<PutObjectCommandInput, 'Bucket'>): Promise<string> {
  await put({ Bucket: 'good', ...input } as PutObjectCommandInput);
  const verdict = await ofGood();
  await put({ Bucket: 'good', Key: 'dressed', Body: 'bytes', Metadata: { a: 'b' }, Tagging: 'c=d', CacheControl: 'no-store' });
  await put({ Bucket: 'good', Key: 'plain', Body: 'other bytes' });
  return verdict;
}

test('a right copy is right', async () => assert.equal(await ofGood(), ''));

test('other bytes, another size, a loss and a stray object are seen', async () => {
  assert.match(await damaged({ Key: 'plain', Body: 'OTHER bytes' }), /^plain: other bytes$/);
  assert.match(await damaged({ Key: 'plain', Body: 'short' }), /^plain: size 5, not 11$/);
  await sdk.send(new DeleteObjectCommand({ Bucket: 'good', Key: 'plain' }));
  assert.match(await damaged({ Key: 'stray', Body: '' }), /^plain: LOST\nstray: stands at the destination only$/);
  await sdk.send(new DeleteObjectCommand({ Bucket: 'good', Key: 'stray' }));
});

test('lost and changed attributes are seen, each of them, and no word of the product excuses them at a store that keeps them', async () => {
  assert.match(await damaged({ Key: 'dressed', Body: 'bytes', Tagging: 'c=d', CacheControl: 'no-store' }), /^dressed: metadata \{'a': 'b'\} became \{\}$/);
  assert.match(await damaged({ Key: 'dressed', Body: 'bytes', Metadata: { a: 'b' }, Tagging: 'c=e', CacheControl: 'no-store' }), /^dressed: tags /);
  assert.match(await damaged({ Key: 'dressed', Body: 'bytes', Metadata: { a: 'b' }, Tagging: 'c=d' }), /^dressed: CacheControl no-store became None$/);
  assert.match(await ofGood({ lost: { dressed: ['content_headers'] } }), /^dressed: lost \[\], reported \['content_headers'\]$/);
});

test('an excuse counts only where the destination was found not to hold the key, and the object is absent', async () => {
  assert.match(await ofGood({ failed: { plain: 'E_NAME_FORBIDDEN' } }), /stands at the destination\nplain: failed with E_NAME_FORBIDDEN, but the destination holds/);
  assert.match(await ofGood({ failed: { plain: 'E_NAME_FORBIDDEN' }, refusable: { plain: 'refused' } }), /^plain: reported E_NAME_FORBIDDEN but stands at the destination$/);
  assert.match(await ofGood({ skipped: { plain: 'empty_directory' } }), /plain: skipped as empty_directory/);
  assert.match(await ofGood({ failed: { never: 'E_NAME_FORBIDDEN' }, refusable: { never: 'refused' } }), /^never: reported E_NAME_FORBIDDEN but is not at the source$/);
});

test('to a folder: every attribute that it cannot hold must be reported, of every object that has it', async () => {
  const file = join(work, 'folder');
  mkdirSync(file);
  writeFileSync(join(file, 'dressed'), 'bytes');
  writeFileSync(join(file, 'plain'), 'other bytes');
  assert.equal(await judge(bucket('source'), { file }, { lost: { dressed: ['content_headers', 'user_metadata', 'tags'] } }), '');
  assert.match(await judge(bucket('source'), { file }, { lost: { dressed: ['content_headers', 'tags'] } }), /^dressed: lost \['content_headers', 'tags', 'user_metadata'\], reported \['content_headers', 'tags'\]$/);
});
