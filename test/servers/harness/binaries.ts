// Where the servers and clients that install.sh installed are. A missing one is an error, never a skipped test.
import { accessSync, constants, readFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { delimiter, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const serversDir = fileURLToPath(new URL('..', import.meta.url));
export const installCommand = `bash ${join(serversDir, 'install.sh')}`;

const versions = new Map(
  readFileSync(join(serversDir, 'versions.env'), 'utf8')
    .split('\n')
    .filter((line) => /^\w+=/.test(line))
    .map((line): [string, string] => {
      const at = line.indexOf('=');
      return [line.slice(0, at), line.slice(at + 1).trim()];
    }),
);

/** The pinned version of a tool, by its name in versions.env. */
export function version(name: string): string {
  const value = versions.get(name);
  if (value === undefined) throw new Error(`versions.env has no ${name}`);
  return value;
}

const cacheDir = (): string => process.env['BRIGADE_TEST_CACHE'] ?? join(homedir(), '.cache', 'brigade-test');

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    // accessSync tells only by throwing; the caller says what is missing.
    return false;
  }
}

function missing(what: string): Error {
  return new Error(`${what} is not installed; run: ${installCommand}`);
}

function cached(directory: string, file: string): string {
  const path = join(cacheDir(), directory, 'bin', file);
  if (!isExecutable(path)) throw missing(path);
  return path;
}

/** A program of a Debian package, looked up on PATH and in the sbin folders PATH often lacks. */
export function systemBinary(name: string): string {
  const folders = [...(process.env['PATH'] ?? '').split(delimiter), '/usr/sbin', '/sbin'];
  const found = folders.filter((folder) => folder !== '').map((folder) => join(folder, name)).find(isExecutable);
  if (found === undefined) throw missing(name);
  return found;
}

export interface Binaries {
  readonly rclone: string;
  readonly s5cmd: string;
  readonly aws: string;
  /** A Python in which `import boto3` works. */
  readonly python: string;
}

/** Absolute paths of the clients. @throws Error naming the install command when one is missing. */
export function binaries(): Binaries {
  const aws = `aws-${version('AWSCLI')}-boto3-${version('BOTO3')}`;
  return {
    rclone: cached(`rclone-${version('RCLONE')}`, 'rclone'),
    s5cmd: cached(`s5cmd-${version('S5CMD')}`, 's5cmd'),
    aws: cached(aws, 'aws'),
    python: cached(aws, 'python'),
  };
}

export const versitygwBinary = (): string => cached(`versitygw-${version('VERSITYGW')}`, 'versitygw');
export const weedBinary = (): string => cached(`seaweedfs-${version('SEAWEEDFS')}`, 'weed');
export const minioGoTests = (): string => cached(`minio-go-${version('MINIO_GO')}`, 'minio-go-tests');
export const minioBinary = (): string => cached(`minio-${version('MINIO')}`, 'minio');
export const natsBinary = (): string => cached(`nats-server-${version('NATS_SERVER')}`, 'nats-server');
export const motoBinary = (): string => cached(`moto-${version('MOTO')}`, 'moto_server');
