/**
 * Sends an agent thousands of requests that want out of its root, while another process swaps directories and files in it for links to
 * the outside. Watched from outside: every canary's content, times and name, and with --strace every descriptor the agent ever had.
 *
 *     node test/agent/hostile.ts [--paths 50000] [--seed N] [--layout files|objects] [--strace]
 */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { randomBytes } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { Agent as HttpAgent, request as httpRequest } from 'node:http';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { parseArgs } from 'node:util';
import { digestOf } from '../../src/agent/checksums.ts';
import { sign } from '../../src/agent/fixture.test.ts';
import { hostileRequest, type HostileRequest } from './hostile-paths.ts';
import { differences, plant, readsAreSeen, snapshot } from './outside.ts';
import { credentials, fsck, makeSite, startAgent, type Agent, type Site } from './site.ts';

export interface HostileOptions {
  readonly layout: Site['layout'];
  readonly paths: number;
  readonly seed: number;
  /** Also watch every file the agent opens. */
  readonly strace?: boolean;
}

export interface HostileResult {
  readonly requests: number;
  /** Answers by status. */
  readonly statuses: Readonly<Record<string, number>>;
  /** Times that links and directories changed places meanwhile. */
  readonly swaps: number;
  readonly readsWatched: boolean;
  /** Descriptors seen by strace, all inside. */
  readonly opened: number | undefined;
  readonly escapes: number;
}

const CLIENTS = 16;

/** Directories, a file and a bucket change places with links to the outside, as fast as it goes; tells how often at the end. */
const swapper = `
  const fs = require('node:fs'); const { join } = require('node:path');
  const [root, outside] = process.argv.slice(1); let count = 0;
  const pairs = [['bucket/swap', outside], ['bucket/swapfile', join(outside, 'canary')], ['swapbucket', outside], ['bucket/inner', outside]];
  const swap = (name, target) => {
    const [at, real] = [join(root, name), join(root, name + '.real')];
    for (const step of [() => fs.renameSync(at, real), () => fs.symlinkSync(target, at), () => fs.unlinkSync(at), () => fs.renameSync(real, at)]) try { step(); } catch {}
    count++;
  };
  const run = () => { for (let n = 0; n < 20; n++) swap(...pairs[n % pairs.length]); setImmediate(run); };
  process.on('SIGTERM', () => { process.stdout.write(String(count)); process.exit(0); });
  process.stdout.write('.');
  run();`;

interface Answer { readonly status: number; readonly body: string }

function exchange(url: string, agent: HttpAgent, wanted: HostileRequest): Promise<Answer> {
  const body = wanted.body ?? '';
  const more = wanted.query === 'delete=' ? { 'content-md5': digestOf('MD5', Buffer.from(body)).toString('base64') } : {};
  const { headers } = sign(url, { method: wanted.method, path: wanted.path, ...(wanted.query === undefined ? {} : { query: wanted.query }), headers: { ...wanted.headers, ...more }, secret: credentials.secretAccessKey });
  const { hostname, port } = new URL(url);
  return new Promise((resolve, reject) => {
    const path = wanted.query === undefined ? wanted.path : `${wanted.path}?${wanted.query}`;
    const call = httpRequest({ hostname, port, method: wanted.method, path, agent, headers: { ...headers, 'content-length': String(Buffer.byteLength(body)) } }, (answer) => {
      const pieces: Buffer[] = [];
      answer.on('data', (piece: Buffer) => pieces.push(piece));
      // A file that was replaced between its head and its bytes ends the connection: no answer, which is no escape.
      answer.on('error', () => resolve({ status: 0, body: Buffer.concat(pieces).toString() }));
      answer.on('end', () => resolve({ status: answer.statusCode ?? 0, body: Buffer.concat(pieces).toString() }));
    });
    call.on('error', (error: NodeJS.ErrnoException) => (error.code === 'ECONNRESET' || error.code === 'EPIPE' ? resolve({ status: 0, body: '' }) : reject(error)));
    call.end(body);
  });
}

function randomOf(seed: number): () => number {
  let state = seed >>> 0 || 1;
  return () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) / 2 ** 32;
  };
}

async function attack(agent: Agent, options: HostileOptions, outside: { path: string; token: string }): Promise<{ statuses: Record<string, number>; leaks: string[] }> {
  const random = randomOf(options.seed);
  const connections = new HttpAgent({ keepAlive: true, maxSockets: CLIENTS });
  const statuses: Record<string, number> = {};
  const leaks: string[] = [];
  let left = options.paths;
  const client = async (): Promise<void> => {
    while (left-- > 0) {
      const wanted = hostileRequest(random, outside.path);
      const { status, body } = await exchange(agent.url, connections, wanted);
      statuses[status] = (statuses[status] ?? 0) + 1;
      if (body.includes(outside.token)) leaks.push(`${wanted.method} ${wanted.path}`);
    }
  };
  await Promise.all(Array.from({ length: CLIENTS }, client));
  connections.destroy();
  return { statuses, leaks };
}

/** Lines like `openat(AT_FDCWD</x>, "/proc/self/fd/20/a", …) = 21</base/root/bucket/a>`: the kernel's own name of what was opened. */
async function tracedEscapes(log: string, base: string): Promise<{ opened: number; escaped: string[] }> {
  let opened = 0;
  const escaped: string[] = [];
  for await (const line of createInterface({ input: createReadStream(log) })) {
    const path = /= \d+<([^>]*)>$/.exec(line)?.[1];
    if (path === undefined || !path.startsWith(base)) continue;
    opened++;
    if (!/^\/(root|state)(\/|$)/.test(path.slice(base.length))) escaped.push(line);
  }
  return { opened, escaped };
}

async function trace(pid: number, log: string): Promise<() => Promise<void>> {
  const child = spawn('strace', ['-f', '-y', '-qq', '-e', 'trace=open,openat,openat2,creat,mkdir,rename,renameat2,link,unlink,rmdir,symlink', '-o', log, '-p', String(pid)], { stdio: 'ignore' });
  await new Promise((resolve) => setTimeout(resolve, 500));
  return async () => {
    child.kill('SIGINT');
    await once(child, 'exit');
  };
}

/** Throws an AssertionError when anything outside the root was read, written or told. */
export async function hostileRun(options: HostileOptions): Promise<HostileResult> {
  const site = await makeSite(options.layout);
  const token = randomBytes(12).toString('hex');
  try {
    const readsWatched = await readsAreSeen(site.base);
    const empty = options.layout === 'objects' ? { ...site, root: join(site.base, 'state', 'served') } : site;
    const outside = await plant(site.base, token);
    const agent = await startAgent(empty);
    for (const bucket of ['bucket', 'swapbucket']) await exchange(agent.url, new HttpAgent(), { method: 'PUT', path: `/${bucket}` });
    await exchange(agent.url, new HttpAgent(), { method: 'PUT', path: '/bucket/a', body: 'inside' });
    const log = join(site.base, 'state', 'strace.log');
    const untrace = options.strace === true ? await trace(agent.pid, log) : undefined;
    const before = await snapshot(site.base);
    const swapping = spawn(process.execPath, ['-e', swapper, join(site.base, 'root'), outside.path], { stdio: ['ignore', 'pipe', 'inherit'] });
    let swaps = '';
    swapping.stdout.on('data', (piece: Buffer) => (swaps += piece.toString()));
    while (swaps === '') await once(swapping.stdout, 'data');
    const { statuses, leaks } = await attack(agent, options, outside);
    swapping.kill('SIGTERM');
    await once(swapping, 'close');
    await untrace?.();
    const after = await snapshot(site.base);
    await agent.kill('SIGTERM');
    const traced = options.strace === true ? await tracedEscapes(log, site.base) : undefined;
    const changed = differences(before, after);
    assert.deepEqual({ leaks, changed, escaped: traced?.escaped.slice(0, 5) ?? [] }, { leaks: [], changed: [], escaped: [] });
    const { report } = await fsck(empty, true);
    assert.equal(report.problems, 0);
    return { requests: options.paths, statuses, swaps: Number(swaps.slice(1)), readsWatched, opened: traced?.opened, escapes: 0 };
  } finally {
    await site.remove();
  }
}

if (import.meta.main) {
  const { values } = parseArgs({ options: { paths: { type: 'string', default: '50000' }, seed: { type: 'string', default: '1' }, layout: { type: 'string' }, strace: { type: 'boolean', default: false } } });
  for (const layout of ['files', 'objects'] as const) {
    if (values.layout !== undefined && values.layout !== layout) continue;
    const result = await hostileRun({ layout, paths: Number(values.paths), seed: Number(values.seed), strace: values.strace });
    console.log(`${layout}: ${JSON.stringify(result)}`);
  }
}
