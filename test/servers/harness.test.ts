import assert from 'node:assert/strict';
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { binaries, serverKinds, startVersitygw } from './harness/index.ts';
import type { Server } from './harness/index.ts';

const run = promisify(execFile);

const environment = (server: Server): NodeJS.ProcessEnv => ({
  ...process.env,
  AWS_ACCESS_KEY_ID: server.accessKeyId,
  AWS_SECRET_ACCESS_KEY: server.secretAccessKey,
  AWS_REGION: server.region,
  AWS_DEFAULT_REGION: server.region,
  AWS_EC2_METADATA_DISABLED: 'true',
  AWS_REQUEST_CHECKSUM_CALCULATION: 'when_required',
  AWS_RESPONSE_CHECKSUM_VALIDATION: 'when_required',
  ...(server.caFile === undefined ? {} : { AWS_CA_BUNDLE: server.caFile }),
  RCLONE_CONFIG: '/dev/null',
});

const bucketWithBoto = `
import boto3, sys
s3 = boto3.client('s3', endpoint_url=sys.argv[1])
s3.create_bucket(Bucket='harness')
s3.put_object(Bucket='harness', Key='a/b', Body=b'buckets of water')
print(s3.get_object(Bucket='harness', Key='a/b')['Body'].read().decode(), end='')
`;

async function withBoto(server: Server): Promise<string> {
  return (await run(binaries().python, ['-c', bucketWithBoto, server.endpoint], { env: environment(server) })).stdout;
}

const alive = (pid: number): boolean => {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    assert.equal((error as NodeJS.ErrnoException).code, 'ESRCH');
    return false;
  }
};

async function assertGone(pids: readonly number[], directory: string, deadlineMs: number): Promise<void> {
  const deadline = Date.now() + deadlineMs;
  while ((pids.some(alive) || existsSync(directory)) && Date.now() < deadline) await sleep(50);
  assert.deepEqual(pids.filter(alive), [], 'processes still run');
  assert.equal(existsSync(directory), false, `${directory} still exists`);
}

for (const kind of serverKinds()) {
  test(`${kind.name} starts, is read and written by every client, and leaves nothing behind`, async () => {
    const server = await kind.start();
    try {
      assert.equal(await withBoto(server), 'buckets of water');
      const { aws, s5cmd, rclone } = binaries();
      const env = environment(server);
      const at = ['--endpoint-url', server.endpoint];
      assert.equal((await run(aws, [...at, 's3', 'cp', 's3://harness/a/b', '-'], { env })).stdout, 'buckets of water');
      assert.equal((await run(s5cmd, [...at, 'cat', 's3://harness/a/b'], { env })).stdout, 'buckets of water');
      const remote = `:s3,provider=Other,env_auth,endpoint='${server.endpoint}':harness/a/b`;
      assert.equal((await run(rclone, ['cat', remote], { env })).stdout, 'buckets of water');
    } finally {
      await server.stop();
    }
    await assertGone(server.pids, server.directory, 0);
    await assert.rejects(fetch(server.endpoint), 'its port still answers');
    await server.stop();
  });

  test(`${kind.name} does not outlive a test process that is killed`, async () => {
    const script = `
      import { serverKinds } from ${JSON.stringify(new URL('harness/index.ts', import.meta.url).href)};
      const server = await serverKinds().find((k) => k.name === ${JSON.stringify(kind.name)}).start();
      console.log(JSON.stringify({ pids: server.pids, directory: server.directory }));
      setInterval(() => {}, 1000);`;
    const holder = spawn(process.execPath, ['--input-type=module', '-e', script], { stdio: ['ignore', 'pipe', 'inherit'] });
    const ended = once(holder, 'exit');
    const started = await Promise.race([once(holder.stdout, 'data'), ended.then(() => assert.fail('the holder ended early'))]);
    const { pids, directory } = JSON.parse(String(started[0])) as { pids: number[]; directory: string };
    assert.ok(pids.every(alive), 'the server ran before the kill');
    holder.kill('SIGKILL');
    await ended;
    await assertGone(pids, directory, 60_000);
  });
}

test('versitygw serves TLS under its own certificate, and versions', async () => {
  await using server = await startVersitygw({ tls: true, versioning: true });
  assert.equal(await withBoto(server), 'buckets of water');
  const env = environment(server);
  const at = ['--endpoint-url', server.endpoint, 's3api'];
  const put = ['put-bucket-versioning', '--bucket', 'harness', '--versioning-configuration', 'Status=Enabled'];
  await run(binaries().aws, [...at, ...put], { env });
  const status = await run(binaries().aws, [...at, 'get-bucket-versioning', '--bucket', 'harness'], { env });
  assert.equal((JSON.parse(status.stdout) as { Status?: string }).Status, 'Enabled');
  await assert.rejects(run(binaries().aws, [...at, 'list-buckets'], { env: { ...env, AWS_CA_BUNDLE: undefined } }), /SSL|certificate/i);
});

test('a missing program is an error that tells how to install it', () => {
  const before = process.env['BRIGADE_TEST_CACHE'];
  process.env['BRIGADE_TEST_CACHE'] = '/nonexistent';
  try {
    assert.throws(() => binaries(), /rclone is not installed; run: bash .*install\.sh/);
    assert.throws(() => startVersitygw(), /versitygw is not installed; run: bash .*install\.sh/);
  } finally {
    if (before === undefined) delete process.env['BRIGADE_TEST_CACHE'];
    else process.env['BRIGADE_TEST_CACHE'] = before;
  }
});
