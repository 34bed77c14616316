/**
 * A sparse file from agent to agent: what goes over the wire, what it costs, and whether it is still sparse at the end.
 *
 *     node bench/sparse.ts [--gib 100] [--data 1] [--extents 64] [--compression off|auto] [--words] [--layout files|objects] [--keep]
 *
 * `--data`: percent of the file that holds data, in so many extents at odd places; noise, or with --words text. Both agents and the run are
 * processes of the built product; relays between them count the bytes. At the end both files are read and compared, holes and all.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { randomFillSync } from 'node:crypto';
import { once } from 'node:events';
import { closeSync, ftruncateSync, mkdirSync, mkdtempSync, openSync, readFileSync, readSync, readdirSync, rmSync, statSync, writeFileSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { parseArgs } from 'node:util';
import { type CountingRelay, startCountingRelay } from '../test/local/counting-relay.ts';
import { cpuSeconds, measure, peakRss } from './measure.ts';
import { buildProduct } from './subjects.ts';

const { values } = parseArgs({
  options: {
    gib: { type: 'string', default: '100' }, data: { type: 'string', default: '1' }, extents: { type: 'string', default: '64' }, layout: { type: 'string', default: 'files' },
    compression: { type: 'string', default: 'off' }, words: { type: 'boolean', default: false }, keep: { type: 'boolean', default: false },
  },
});
const GiB = 2 ** 30;
const MiB = 2 ** 20;
const size = Math.round(Number(values.gib) * GiB);
const extents = Number(values.extents);
const extentBytes = Math.floor((size * Number(values.data)) / 100 / extents);
const env = { AGENT_ACCESS_KEY_ID: 'AKIASPARSE', AGENT_SECRET_ACCESS_KEY: 'not-a-secret' };

function makeSparse(path: string): void {
  const fd = openSync(path, 'w');
  const piece = Buffer.alloc(MiB, 'it was the best of times, it was the worst of times, ');
  for (let i = 0; i < extents; i++) {
    // Odd places: no extent begins where a block, a part or a piece of ours does.
    const start = Math.floor((size - extentBytes) * ((i + 0.37) / extents)) + 1;
    for (let at = 0; at < extentBytes; at += piece.length) {
      if (!values.words) randomFillSync(piece);
      writeSync(fd, piece, 0, Math.min(piece.length, extentBytes - at), start + at);
    }
  }
  ftruncateSync(fd, size);
  closeSync(fd);
}

interface Agent { readonly process: ChildProcess; readonly url: string }

async function startAgent(bin: string, root: string, state: string): Promise<Agent> {
  mkdirSync(root, { recursive: true });
  const layout = values.layout === 'objects' ? ['--layout', 'objects'] : ['--layout', 'files', '--state', state];
  const child = spawn(process.execPath, [bin, 'agent', '--root', root, ...layout, '--listen', '127.0.0.1:0'], { env: { ...process.env, ...env }, stdio: ['ignore', 'pipe', 'pipe'] });
  const url = await new Promise<string>((resolve, reject) => {
    for (const stream of [child.stdout, child.stderr]) {
      createInterface({ input: stream }).on('line', (line) => {
        const found = /https?:\/\/[\d.]+:\d+/.exec(line);
        if (found !== null) resolve(found[0]);
      });
    }
    child.once('exit', (code) => reject(new Error(`the agent ended with ${code}`)));
  });
  return { process: child, url };
}

interface Used { readonly cpu: number; readonly rss: number }

/** Of a process that still runs; Linux. */
function used(pid: number): Used {
  const [user, system] = readFileSync(`/proc/${pid}/stat`, 'utf8').replace(/^.*\) /, '').split(' ').slice(11, 13).map(Number) as [number, number];
  const rss = Number(/VmHWM:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1] ?? 0) * 1024;
  return { cpu: (user + system) / 100, rss };
}

function equal(a: string, b: string): boolean {
  const [x, y] = [openSync(a, 'r'), openSync(b, 'r')];
  const [p, q] = [Buffer.alloc(4 * MiB), Buffer.alloc(4 * MiB)];
  try {
    for (;;) {
      const [n, m] = [readSync(x, p), readSync(y, q)];
      if (n !== m || !p.subarray(0, n).equals(q.subarray(0, m))) return false;
      if (n === 0) return true;
    }
  } finally {
    closeSync(x);
    closeSync(y);
  }
}

const mib = (bytes: number): string => `${(bytes / MiB).toFixed(1)} MiB`;
const below = (folder: string): number => readdirSync(folder, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile()).reduce((sum, entry) => sum + statSync(join(entry.parentPath, entry.name)).blocks * 512, 0);

const base = mkdtempSync(join(tmpdir(), 'brigade-sparse-'));
const agents: Agent[] = [];
const wires: CountingRelay[] = [];
try {
  const bin = buildProduct(join(base, 'product'));
  const roots = [join(base, 'a'), join(base, 'b')] as const;
  mkdirSync(join(roots[0], 'disks'), { recursive: true });
  // Layout objects holds what came in by S3 alone: the source is always a tree.
  const layout = values.layout;
  values.layout = 'files';
  makeSparse(join(roots[0], 'disks', 'disk.img'));
  agents.push(await startAgent(bin, roots[0], join(base, 'state-a')));
  values.layout = layout;
  if (layout === 'files') mkdirSync(join(roots[1], 'disks'), { recursive: true });
  agents.push(await startAgent(bin, roots[1], join(base, 'state-b')));
  const [from, to] = agents as [Agent, Agent];
  wires.push(await startCountingRelay(from.url), await startCountingRelay(to.url));
  const [read, written] = wires as [CountingRelay, CountingRelay];
  const end = (wire: CountingRelay): object => ({ s3: 'disks', endpoint: wire.url, region: 'us-east-1', credentials: 'env:SPARSE', payload_signing: 'unsigned', compression: values.compression });
  const file = join(base, 'sparse.yml');
  writeFileSync(file, JSON.stringify({ name: 'sparse', source: end(read), destination: end(written) }));
  const keys = { SPARSE_ACCESS_KEY_ID: env.AGENT_ACCESS_KEY_ID, SPARSE_SECRET_ACCESS_KEY: env.AGENT_SECRET_ACCESS_KEY };
  if (layout === 'objects') await measure({ argv: ['aws', '--endpoint-url', to.url, 's3api', 'create-bucket', '--bucket', 'disks'], env: { AWS_ACCESS_KEY_ID: env.AGENT_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY: env.AGENT_SECRET_ACCESS_KEY, AWS_DEFAULT_REGION: 'us-east-1' } });
  const before = agents.map(({ process: { pid } }) => used(pid ?? 0));
  const cost = await measure({ argv: [process.execPath, bin, '--state', join(base, 'state'), 'run', file, '--progress', 'none'], env: keys });
  const after = agents.map(({ process: { pid } }) => used(pid ?? 0));
  const cpu = (i: number): string => `${((after[i]?.cpu ?? 0) - (before[i]?.cpu ?? 0)).toFixed(1)} CPU-s, peak RSS ${mib(after[i]?.rss ?? 0)}`;
  const source = join(roots[0], 'disks', 'disk.img');
  console.log(cost.output.trimEnd());
  console.log(`file               ${(size / GiB).toFixed(1)} GiB, ${mib(statSync(source).blocks * 512)} of it on disk: ${extents} extents of ${mib(extentBytes)} ${values.words ? 'text' : 'noise'}; compression ${values.compression}, layout ${layout}`);
  console.log(`wire, agent → run  ${mib(read.received)} (requests ${mib(read.sent)})`);
  console.log(`wire, run → agent  ${mib(written.sent)} (answers ${mib(written.received)})`);
  console.log(`source agent       ${cpu(0)}`);
  console.log(`run                ${cpuSeconds(cost).toFixed(1)} CPU-s, peak RSS ${mib(peakRss(cost))}, ${cost.wallSeconds.toFixed(1)} s`);
  console.log(`destination agent  ${cpu(1)}`);
  if (layout === 'files') {
    const target = join(roots[1], 'disks', 'disk.img');
    const same = equal(source, target);
    console.log(`at the destination ${mib(statSync(target).blocks * 512)} on disk of ${(statSync(target).size / GiB).toFixed(1)} GiB; every byte compared: ${same ? 'equal' : 'DIFFERENT'}`);
    if (!same || statSync(target).blocks * 512 > 1.1 * statSync(source).blocks * 512) process.exitCode = 1;
  } else console.log(`at the destination ${mib(below(roots[1]))} on disk`);
} finally {
  for (const { process: child } of agents) {
    child.kill('SIGTERM');
    await once(child, 'exit');
  }
  for (const wire of wires) wire.close();
  if (!values.keep) rmSync(base, { recursive: true, force: true });
}
