/** Builds (once) and runs the player of bench/player: prepared requests in, counts out. Signing is done beforehand, so that the client costs little. */
import { execFileSync, spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { authorization, type ProxyKey } from '../src/faults/signing.ts';

const SOURCE = fileURLToPath(new URL('./player', import.meta.url));

/** Outside the tree, by the hash of its source. @throws Error when Go is missing */
function playerBinary(): string {
  const cache = process.env['BRIGADE_TEST_CACHE'] ?? join(homedir(), '.cache', 'brigade-test');
  const hash = createHash('sha256');
  for (const name of readdirSync(SOURCE).sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)))) hash.update(readFileSync(join(SOURCE, name)));
  const path = join(cache, `player-${hash.digest('hex').slice(0, 12)}`);
  if (existsSync(path)) return path;
  mkdirSync(cache, { recursive: true });
  execFileSync('go', ['build', '-o', `${path}.${process.pid}`, '.'], { cwd: SOURCE, env: { ...process.env, GOFLAGS: '-buildvcs=false', PATH: `${process.env['PATH']}:/usr/local/go/bin` }, stdio: 'inherit' });
  renameSync(`${path}.${process.pid}`, path);
  return path;
}

export interface Wanted {
  readonly method: string;
  /** Path and query, encoded. */
  readonly target: string;
  readonly body?: Buffer;
}

/** One request as it goes over the wire, signed for the next 15 minutes. */
function onTheWire(host: string, key: ProxyKey, { method, target, body }: Wanted): Buffer {
  const amzDate = `${new Date().toISOString().slice(0, 19).replace(/[-:]/g, '')}Z`;
  const headers = new Map([['host', host], ['x-amz-content-sha256', 'UNSIGNED-PAYLOAD'], ['x-amz-date', amzDate]]);
  headers.set('authorization', authorization(key, method, target, headers));
  if (body !== undefined) headers.set('content-length', String(body.length));
  const head = `${method} ${target} HTTP/1.1\r\n${[...headers].map(([name, value]) => `${name}: ${value}\r\n`).join('')}\r\n`;
  return Buffer.concat([Buffer.from(head), body ?? Buffer.alloc(0)]);
}

export interface Played {
  readonly requests: number;
  readonly bytes: number;
  readonly seconds: number;
  readonly failed: number;
  readonly complaint: string;
}

export interface Play {
  readonly endpoint: string;
  readonly key: ProxyKey;
  readonly wanted: readonly Wanted[];
  readonly connections: number;
  /** Absent: each request is sent once. */
  readonly seconds?: number;
  /** For the file of requests. */
  readonly folder: string;
}

/** @throws Error when an answer was not 2xx or a connection broke */
export async function play({ endpoint, key, wanted, connections, seconds, folder }: Play): Promise<Played> {
  const { host, protocol } = new URL(endpoint);
  const file = join(folder, 'requests');
  writeFileSync(file, Buffer.concat(wanted.flatMap((one) => {
    const wire = onTheWire(host, key, one);
    const size = Buffer.alloc(4);
    size.writeUInt32BE(wire.length);
    return [size, wire];
  })));
  const flags = ['-address', host, '-requests', file, '-connections', String(connections), ...(seconds === undefined ? ['-once'] : ['-seconds', String(seconds)]), ...(protocol === 'https:' ? ['-tls'] : [])];
  const child = spawn(playerBinary(), flags, { stdio: ['ignore', 'pipe', 'inherit'] });
  let out = '';
  child.stdout.on('data', (data: Buffer) => { out += data.toString(); });
  await once(child, 'close');
  const played = JSON.parse(out) as Played;
  if (played.failed > 0) throw new Error(`${played.failed} of ${played.requests} requests failed: ${played.complaint}`);
  return played;
}
