import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { test } from 'node:test';
import { pathToFileURL } from 'node:url';
import { threadsFor } from './threads.ts';

const bucket = { kind: 'memory', name: 'x' } as const;
const folder = { kind: 'file', path: '/mnt/nfs' } as const;
const memory = { ...bucket, sse: 'none' } as const;

test('a file system across a network gets more threads; a disk, a bucket and who chose for himself do not', () => {
  const far = (path: string) => ({ type: 'nfs', network: path === '/mnt/nfs' });
  const after = (source: Parameters<typeof threadsFor>[0]['source'], destination: Parameters<typeof threadsFor>[0]['destination'], env: NodeJS.ProcessEnv = {}) => {
    threadsFor({ source, destination }, env, far);
    return env['UV_THREADPOOL_SIZE'];
  };
  assert.equal(after(folder, memory), '32');
  assert.equal(after(bucket, { ...folder, sse: 'none' }), '32');
  assert.equal(after({ kind: 'file', path: '/srv' }, memory), undefined);
  assert.equal(after(bucket, memory), undefined);
  assert.equal(after(folder, memory, { UV_THREADPOOL_SIZE: '8' }), '8');
  threadsFor({ source: { kind: 'file', path: '/nowhere/at/all' }, destination: memory }, {});
});

test('threads that are asked for after all modules are loaded are there at the first call', { skip: process.platform !== 'linux' }, () => {
  const url = (path: string): string => JSON.stringify(pathToFileURL(join(import.meta.dirname, path)).href);
  const source = `
    import { readdirSync } from 'node:fs';
    import { lstat } from 'node:fs/promises';
    import '${JSON.parse(url('../cli/command-line.ts'))}';
    import '${JSON.parse(url('migrate.ts'))}';
    import { threadsFor } from ${url('threads.ts')};
    const count = () => readdirSync('/proc/self/task').length;
    const before = count();
    threadsFor({ source: { kind: 'file', path: '/' }, destination: { kind: 'memory', name: 'x', sse: 'none' } }, process.env, () => ({ type: 'nfs', network: true }));
    await lstat('/');
    console.log(count() - before);`;
  const env = Object.fromEntries(Object.entries(process.env).filter(([name]) => name !== 'UV_THREADPOOL_SIZE'));
  assert.equal(execFileSync(process.execPath, ['--input-type=module', '-e', source], { encoding: 'utf8', env }).trim(), '32');
});
