// Starts a server process that cannot outlive the test process, and waits until it answers.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, openSync, readFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import type { AddressInfo, Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';

const supervisor = fileURLToPath(new URL('supervise.sh', import.meta.url));
const tailBytes = 8192;

export interface ServerProcess {
  readonly pid: number;
  /** Undefined while it runs, then why it ended. */
  ended(): string | undefined;
  /** The last 8 KiB of its stdout and stderr. */
  tail(): string;
  /** Kills it and its children; resolves when it is gone. */
  kill(): Promise<void>;
}

export interface ProcessOptions {
  readonly name: string;
  readonly directory: string;
  readonly command: readonly [string, ...string[]];
  readonly env?: Readonly<Record<string, string>>;
}

/** Spawns a command in its own process group; output goes to `<directory>/<name>.log`. */
export function startProcess({ name, directory, command, env = {} }: ProcessOptions): ServerProcess {
  const logFile = join(directory, `${name}.log`);
  const log = openSync(logFile, 'a');
  const child = spawn('bash', [supervisor, directory, ...command], {
    cwd: directory,
    detached: true,
    env: { ...process.env, ...env },
    stdio: ['pipe', log, log],
  });
  closeSync(log);
  const pid = child.pid;
  if (pid === undefined) throw new Error(`could not start ${name}: bash did not start`);
  let why: string | undefined;
  // A test that forgets to stop a server must still be able to end; the supervisor then cleans up.
  child.unref();
  (child.stdin as Socket).unref();
  child.on('exit', (code, signal) => {
    why = `${name} ended with ${signal ?? `code ${code}`}`;
    child.stdin?.destroy();
  });
  return {
    pid,
    ended: () => why,
    tail: () => readFileSync(logFile).subarray(-tailBytes).toString('utf8'),
    kill: async () => {
      const gone = why === undefined ? once(child, 'exit') : undefined;
      if (gone !== undefined) child.ref();
      killGroup(pid);
      await gone;
    },
  };
}

function killGroup(pid: number): void {
  try {
    process.kill(-pid, 'SIGKILL');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
}

/** A loopback port that was free a moment ago. Another process may take it: start with `attempts`. */
export async function freePort(): Promise<number> {
  const server = createServer();
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}

export async function freePorts(count: number): Promise<number[]> {
  const ports = new Set<number>();
  while (ports.size < count) ports.add(await freePort());
  return [...ports];
}

export class NotReady extends Error {
  override readonly name = 'NotReady';
}

/** Polls until `ready` resolves true. @throws NotReady when a process ended or `deadlineMs` passed. */
export async function untilReady(
  what: string,
  processes: readonly ServerProcess[],
  ready: () => Promise<boolean>,
  deadlineMs = 60_000,
): Promise<void> {
  const deadline = Date.now() + deadlineMs;
  let last = 'no answer yet';
  while (Date.now() < deadline) {
    const ended = processes.find((p) => p.ended() !== undefined);
    if (ended !== undefined) throw new NotReady(`${what}: ${ended.ended()}\n${ended.tail()}`);
    try {
      if (await ready()) return;
    } catch (error) {
      // Refused connections are what waiting looks like; the last one is told if the wait fails.
      last = String((error as Error).cause ?? error);
    }
    await sleep(50);
  }
  throw new NotReady(`${what} was not ready in ${deadlineMs} ms (${last})\n${processes.map((p) => p.tail()).join('\n')}`);
}

/** True when the URL answers with a status below 500. */
export async function answers(url: string): Promise<boolean> {
  const response = await fetch(url, { signal: AbortSignal.timeout(5000) });
  await response.arrayBuffer();
  return response.status < 500;
}

export interface Workplace {
  readonly directory: string;
  /** Starts a process whose end `Server.stop` brings about. */
  start(name: string, command: readonly [string, ...string[]], env?: Readonly<Record<string, string>>): ServerProcess;
  readonly processes: readonly ServerProcess[];
}

export interface ServerFacts {
  readonly name: string;
  readonly endpoint: string;
  /** PEM file of the certificate authority to trust, when the endpoint is https. */
  readonly caFile?: string;
}

/** A running S3 server, alone on its port, with one user who may do everything. */
export interface Server extends ServerFacts, AsyncDisposable {
  readonly region: string;
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  /** Process id of the part that speaks S3. */
  readonly pid: number;
  /** Every process of the server, the one that speaks S3 last. */
  readonly pids: readonly number[];
  /** The directory that holds its data and logs; gone after `stop`. */
  readonly directory: string;
  /** Kills every process and removes the directory. May be called twice. */
  stop(): Promise<void>;
  /** The last output of every process. */
  stderrTail(): string;
}

export const credentials = {
  region: 'us-east-1',
  accessKeyId: 'BRIGADETESTKEY',
  secretAccessKey: 'brigade-test-secret',
} as const;

const startAttempts = 3;

/** Makes a directory, runs `boot` in it and wraps up what it started; tries again when a port was taken. */
export async function startServer(name: string, boot: (place: Workplace) => Promise<ServerFacts>): Promise<Server> {
  for (let attempt = 1; ; attempt += 1) {
    const directory = await mkdtemp(join(tmpdir(), `brigade-${name}-`));
    const processes: ServerProcess[] = [];
    const stop = async (): Promise<void> => {
      await Promise.all(processes.map((p) => p.kill()));
      await rm(directory, { recursive: true, force: true, maxRetries: 5 });
    };
    const place: Workplace = {
      directory,
      processes,
      start: (processName, command, env = {}) => {
        const started = startProcess({ name: processName, directory, command, env });
        processes.push(started);
        return started;
      },
    };
    try {
      return server(await boot(place), place, stop);
    } catch (error) {
      await stop();
      if (!(error instanceof NotReady) || attempt === startAttempts) throw error;
    }
  }
}

function server(facts: ServerFacts, { directory, processes }: Workplace, stop: () => Promise<void>): Server {
  const main = processes.at(-1);
  if (main === undefined) throw new Error(`${facts.name} started no process`);
  return {
    ...facts,
    ...credentials,
    pid: main.pid,
    pids: processes.map((p) => p.pid),
    directory,
    stop,
    [Symbol.asyncDispose]: stop,
    stderrTail: () => processes.map((p) => p.tail()).join('\n'),
  };
}
