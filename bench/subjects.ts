/** The programs that are compared, each with the command that suits it best. */
import { execFileSync } from 'node:child_process';
import { cpSync, mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { binaries, version } from '../test/servers/harness/binaries.ts';
import type { Command } from './measure.ts';

const ROOT = dirname(dirname(fileURLToPath(import.meta.url)));

/** One bucket to copy, and where to. Both ends may be the same server. */
export interface Job {
  readonly from: string;
  readonly to: string;
  readonly fromBucket: string;
  readonly toBucket: string;
  readonly region: string;
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  /** An empty folder of its own, removed afterwards. */
  readonly dir: string;
  /** `null`: it takes anything for a signature, and is spoken to as if it were AWS. */
  readonly server: string;
  /** The authority of its certificate, a PEM file; absent over plain HTTP. */
  readonly ca?: string;
  readonly large: boolean;
}

export interface Subject {
  readonly name: string;
  readonly note?: string;
  /** It is too slow for more. */
  readonly rounds?: number;
  /** It does another job than ours, or is ours: that it takes less is no loss. */
  readonly rival?: false;
  version(): string;
  /** All of them together are the job. */
  commands(job: Job): readonly Command[];
}

/** The program as it is shipped: compiled, started through its bin. Built into `dir`, outside the tree. */
export function buildProduct(dir: string): string {
  mkdirSync(dir, { recursive: true });
  try {
    execFileSync(join(ROOT, 'node_modules/.bin/tsc'), ['-p', join(ROOT, 'tsconfig.build.json'), '--outDir', join(dir, 'dist'), '--declaration', 'false'], { stdio: 'pipe' });
  } catch (error) {
    // What cannot be compiled at all fails when it is started; a mere type error elsewhere must not stop a measurement.
    process.stderr.write(`bench: tsc: ${String((error as { stdout?: Buffer }).stdout).split('\n', 1)[0]}\n`);
  }
  cpSync(join(ROOT, 'bin'), join(dir, 'bin'), { recursive: true });
  cpSync(join(ROOT, 'package.json'), join(dir, 'package.json'));
  symlinkSync(join(ROOT, 'node_modules'), join(dir, 'node_modules'));
  return join(dir, 'bin', 'brigade.cjs');
}

interface More {
  /** Further keys of the migration file, and of both of its ends. */
  readonly file?: Readonly<Record<string, unknown>>;
  readonly ends?: Readonly<Record<string, unknown>>;
}

function migrationFile(job: Job, more: More): string {
  const end = (endpoint: string, bucket: string) => ({ s3: bucket, endpoint, region: job.region, credentials: 'env:BENCH', ...(job.ca === undefined ? {} : { ca_file: job.ca }), ...(job.server === 'null' ? { provider: 'aws', path_style: true } : {}), ...more.ends });
  const path = join(job.dir, 'bench.yml');
  // YAML is a superset of JSON.
  writeFileSync(path, JSON.stringify({ name: 'bench', source: end(job.from, job.fromBucket), destination: end(job.to, job.toBucket), ...more.file }, null, 2));
  return path;
}

/** `brigade run`; the state is in `state` of the job's folder. */
export function ourRun(bin: string, job: Job, more: More = {}): Command {
  return {
    argv: [process.execPath, bin, '--state', join(job.dir, 'state'), 'run', migrationFile(job, more), '--progress', 'none'],
    env: { BENCH_ACCESS_KEY_ID: job.accessKeyId, BENCH_SECRET_ACCESS_KEY: job.secretAccessKey },
  };
}

export function brigade(bin: string, name: string, more: More = {}): Subject {
  return {
    name,
    version: () => `${execFileSync(process.execPath, [bin, 'version']).toString().trim()}, git ${execFileSync('git', ['-C', ROOT, 'rev-parse', '--short', 'HEAD']).toString().trim()}`,
    commands: (job) => [ourRun(bin, job, more)],
  };
}

/** Tuned: 32 transfers, one listing, no modification times kept; on bulk its own multipart with as many lanes as ours. */
export function rclone(): Subject {
  const { rclone: binary } = binaries();
  return {
    name: 'rclone',
    version: () => `rclone ${version('RCLONE')}`,
    commands: (job) => {
      const remote = (name: string, endpoint: string) => ({
        [`RCLONE_CONFIG_${name}_TYPE`]: 's3', [`RCLONE_CONFIG_${name}_PROVIDER`]: 'Other', [`RCLONE_CONFIG_${name}_ENV_AUTH`]: 'true',
        [`RCLONE_CONFIG_${name}_ENDPOINT`]: endpoint, [`RCLONE_CONFIG_${name}_REGION`]: job.region,
      });
      const flags = job.large ? ['--transfers', '4', '--checkers', '8', '--s3-upload-concurrency', '4', '--s3-chunk-size', '8M', '--s3-use-multipart-etag=false', '--s3-disable-checksum', '--s3-use-unsigned-payload=true'] : ['--transfers', '32', '--checkers', '32'];
      return [{
        argv: [binary, '--config', '/dev/null', 'copy', '--fast-list', ...flags, ...(job.ca === undefined ? [] : ['--ca-cert', job.ca]), '--s3-no-check-bucket', '--no-update-modtime', `A:${job.fromBucket}`, `B:${job.toBucket}`],
        env: { ...remote('A', job.from), ...remote('B', job.to), AWS_ACCESS_KEY_ID: job.accessKeyId, AWS_SECRET_ACCESS_KEY: job.secretAccessKey },
      }];
    },
  };
}

/** It cannot copy between two endpoints except through a disk: down, then up. Its scratch folder is on the same disk for all. */
export function s5cmd(): Subject {
  const { s5cmd: binary } = binaries();
  return {
    name: 's5cmd', note: 'down to disk, then up',
    version: () => `s5cmd ${execFileSync(binary, ['version']).toString().trim()}`,
    commands: (job) => {
      const env = { AWS_ACCESS_KEY_ID: job.accessKeyId, AWS_SECRET_ACCESS_KEY: job.secretAccessKey, AWS_REGION: job.region, ...(job.ca === undefined ? {} : { AWS_CA_BUNDLE: job.ca }) };
      const disk = `${join(job.dir, 'scratch')}/`;
      return [
        { argv: [binary, '--endpoint-url', job.from, '--log', 'error', 'cp', `s3://${job.fromBucket}/*`, disk], env },
        { argv: [binary, '--endpoint-url', job.to, '--log', 'error', 'cp', disk, `s3://${job.toBucket}/`], env },
      ];
    },
  };
}

/** Down, then up, as s5cmd: between two endpoints it cannot copy. Once is enough: it takes minutes. */
export function awsCli(): Subject {
  const { aws: binary } = binaries();
  return {
    name: 'aws s3 sync', note: 'down to disk, then up; one round', rounds: 1,
    version: () => execFileSync(binary, ['--version']).toString().trim(),
    commands: (job) => {
      const env = {
        AWS_ACCESS_KEY_ID: job.accessKeyId, AWS_SECRET_ACCESS_KEY: job.secretAccessKey, AWS_DEFAULT_REGION: job.region, AWS_CONFIG_FILE: '/dev/null', AWS_EC2_METADATA_DISABLED: 'true',
        ...(job.ca === undefined ? {} : { AWS_CA_BUNDLE: job.ca }),
      };
      const disk = join(job.dir, 'scratch');
      const sync = (endpoint: string, from: string, to: string): Command => ({ argv: [binary, '--endpoint-url', endpoint, 's3', 'sync', '--only-show-errors', from, to], env });
      return [sync(job.from, `s3://${job.fromBucket}`, disk), sync(job.to, disk, `s3://${job.toBucket}`)];
    },
  };
}
