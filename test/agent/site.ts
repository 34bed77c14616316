/** Where an agent under test serves, and how it is started, killed and checked. */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, mkdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { S3Client } from '@aws-sdk/client-s3';
import { fsckFiles } from '../../src/agent/files-layout/fsck.ts';
import type { Finding, FsckReport } from '../../src/agent/fsck/report.ts';
import { fsckObjects } from '../../src/agent/objects-layout/fsck.ts';

export const credentials = { accessKeyId: 'AKIATEST', secretAccessKey: 'secret' };

export interface Site {
  readonly layout: 'objects' | 'files';
  /** Everything of this run; only `root` is served. */
  readonly base: string;
  readonly root: string;
  readonly state: string;
}

export async function makeSite(layout: Site['layout']): Promise<Site & { remove(): Promise<void> }> {
  const base = await mkdtemp(join(tmpdir(), `brigade-agent-${layout}-`));
  await mkdir(join(base, 'root'));
  return { layout, base, root: join(base, 'root'), state: join(base, 'state'), remove: () => rm(base, { recursive: true, force: true }) };
}

export interface Agent {
  readonly url: string;
  readonly client: S3Client;
  readonly pid: number;
  kill(signal: NodeJS.Signals): Promise<number | null>;
}

export async function startAgent(site: Site): Promise<Agent> {
  const child: ChildProcess = spawn(process.execPath, [join(import.meta.dirname, 'process.ts'), JSON.stringify(site)], { stdio: ['ignore', 'pipe', 'inherit'] });
  const exited = once(child, 'exit') as Promise<[number | null]>;
  const [line] = await Promise.race([once(createInterface({ input: child.stdout! }), 'line') as Promise<[string]>, exited.then(([code]) => { throw new Error(`the agent ended with ${code} before it served`); })]);
  const client = new S3Client({ endpoint: line, region: 'us-east-1', forcePathStyle: true, credentials, maxAttempts: 1 });
  return {
    url: line, client, pid: child.pid!,
    async kill(signal) {
      child.kill(signal);
      const [code] = await exited;
      client.destroy();
      return code;
    },
  };
}

export async function fsck(site: Site, deep: boolean): Promise<{ report: FsckReport; findings: Finding[] }> {
  const findings: Finding[] = [];
  const found = (finding: Finding): void => void findings.push(finding);
  const report = site.layout === 'objects' ? await fsckObjects(site, { deep, found }) : await fsckFiles(site, { deep, found });
  return { report, findings };
}
