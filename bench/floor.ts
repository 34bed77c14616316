/** Builds (once) the relay in C of bench/floor, and runs it as one more subject: what the bytes alone cost, and nothing else. */
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Job, Subject } from './subjects.ts';

const SOURCE = fileURLToPath(new URL('./floor/relay.c', import.meta.url));
const PART = 8 * 2 ** 20;

/** Outside the tree, by the hash of its source. @throws Error where there is no C compiler, or no OpenSSL to build with */
function relayBinary(): string {
  const cache = process.env['BRIGADE_TEST_CACHE'] ?? join(homedir(), '.cache', 'brigade-test');
  const path = join(cache, `relay-${createHash('sha256').update(readFileSync(SOURCE)).digest('hex').slice(0, 12)}`);
  if (existsSync(path)) return path;
  mkdirSync(cache, { recursive: true });
  execFileSync('cc', ['-O2', '-o', `${path}.${process.pid}`, SOURCE, '-lssl', '-lcrypto'], { stdio: 'inherit' });
  renameSync(`${path}.${process.pid}`, path);
  return path;
}

/** Keys and sizes of the source, as the server lists them. */
function listed(job: Job): { readonly key: string; readonly size: string }[] {
  const xml = execFileSync('curl', ['-sf', ...(job.ca === undefined ? [] : ['--cacert', job.ca]), `${job.from}/${job.fromBucket}?list-type=2`]).toString();
  return [...xml.matchAll(/<Key>([^<]*)<\/Key>.*?<Size>(\d+)<\/Size>/gs)].map(([, key = '', size = '']) => ({ key, size }));
}

export function floor(): Subject {
  return {
    name: 'relay in C', note: 'no listing, ledger, check or signature', rival: false,
    version: () => `${execFileSync('cc', ['--version']).toString().split('\n')[0] ?? 'cc'}, ${execFileSync('openssl', ['version']).toString().trim()}`,
    commands: (job) => {
      const { hostname, port, protocol } = new URL(job.from);
      const list = join(job.dir, 'objects');
      writeFileSync(list, listed(job).map(({ key, size }) => `/${job.fromBucket}/${key} ${size} /${job.toBucket}/${key}\n`).join(''));
      return [{ argv: ['sh', '-c', `exec "$0" ${protocol === 'https:' ? '-tls' : ''} ${hostname} ${port} ${PART} < "$1"`, relayBinary(), list] }];
    },
  };
}
