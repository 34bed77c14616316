// Suites that others wrote to judge S3 servers, run against one server.
import { execFile, spawn } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { minioGoTests, version, versitygwBinary } from '../harness/binaries.ts';
import type { Server } from '../harness/index.ts';
import { MINIO_GO, VERSITYGW, type Explanation } from './explanations.ts';

export interface Case {
  readonly name: string;
  /** `n/a`: the suite itself found that the server does not serve this. */
  readonly outcome: 'pass' | 'fail' | 'n/a';
  /** What the suite said of it. */
  readonly said: string;
}

export interface Suite {
  readonly name: string;
  /** How to run it by hand. */
  readonly command: string;
  readonly explanations: readonly Explanation[];
  readonly run: (server: Server) => Promise<readonly Case[]>;
}

const MINUTES = 60_000;

/** Its standard output; a suite that finds failures ends with a code of its own. */
async function outputOf(binary: string, args: readonly string[], env: NodeJS.ProcessEnv): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'brigade-suite-'));
  const { AWS_CA_BUNDLE: _bundle, ...clean } = process.env;
  try {
    return await new Promise((resolve, reject) => {
      const child = spawn(binary, args, { cwd: folder, env: { ...clean, ...env }, stdio: ['ignore', 'pipe', 'pipe'], timeout: 15 * MINUTES });
      let out = '';
      child.stdout.on('data', (data: Buffer) => { out += data.toString(); });
      child.stderr.on('data', (data: Buffer) => { out += data.toString(); });
      child.on('error', reject);
      child.on('close', (_code, signal) => (signal === null ? resolve(out) : reject(new Error(`${binary} ended with ${signal}`))));
    });
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** Its lines are `PASS name` and `FAIL name: why`, coloured; warnings of its SDK may stand in between. */
async function versitygw(server: Server): Promise<Case[]> {
  const text = await outputOf(versitygwBinary(), ['test', '--access', server.accessKeyId, '--secret', server.secretAccessKey, '--endpoint', server.endpoint, 'full-flow'], { AWS_REGION: server.region });
  const cases = new Map<string, Case>();
  for (const match of text.replace(/\u001b\[[0-9;]*m/g, '').matchAll(/(PASS|FAIL) ([A-Z][A-Za-z0-9]+_?[A-Za-z0-9_]*?)(?:SDK \d{4}|\d{4}\/\d\d|: (.*)|$)/gm)) {
    const [, outcome, name = '', said = ''] = match;
    if (cases.get(name)?.outcome !== 'fail') cases.set(name, { name, outcome: outcome === 'PASS' ? 'pass' : 'fail', said });
  }
  return [...cases.values()];
}

interface MintLine { readonly name?: string; readonly status?: string; readonly message?: string; readonly error?: string; readonly alert?: string }

/** Its lines are JSON; a test that tells several things has failed if one of them has. */
async function minioGo(server: Server): Promise<Case[]> {
  const text = await outputOf(minioGoTests(), [], {
    SERVER_ENDPOINT: new URL(server.endpoint).host, ACCESS_KEY: server.accessKeyId, SECRET_KEY: server.secretAccessKey, ENABLE_HTTPS: '0', ENABLE_KMS: '0', MINT_MODE: 'full', RUN_ON_FAIL: '1',
  });
  const cases = new Map<string, Case>();
  for (const line of text.split('\n').filter((one) => one.startsWith('{'))) {
    const { name = '', status, message, error, alert } = JSON.parse(line) as MintLine;
    const short = name.replace('minio-go: ', '');
    const outcome = status === 'PASS' ? 'pass' : status === 'FAIL' ? 'fail' : 'n/a';
    if (cases.get(short)?.outcome !== 'fail') cases.set(short, { name: short, outcome, said: [message, error, alert].filter(Boolean).join(': ') });
  }
  return [...cases.values()];
}

export const SUITES: readonly Suite[] = [
  { name: `versitygw ${version('VERSITYGW')}, \`versitygw test … full-flow\``, command: 'versitygw test --access ID --secret SECRET --endpoint URL full-flow', explanations: VERSITYGW, run: versitygw },
  { name: `minio-go ${version('MINIO_GO')}, its functional tests (part of MinIO's mint)`, command: 'SERVER_ENDPOINT=HOST:PORT ACCESS_KEY=ID SECRET_KEY=SECRET ENABLE_KMS=0 MINT_MODE=full RUN_ON_FAIL=1 minio-go-tests', explanations: MINIO_GO, run: minioGo },
];

/** Whether anything answers there still. */
export const answersAfterwards = (server: Server): Promise<boolean> => new Promise((resolve) => {
  execFile('curl', ['--silent', '--max-time', '5', server.endpoint], (error) => resolve(error === null));
});
