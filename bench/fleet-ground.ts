/** A fleet for a measurement: nats-server, a journal at an endpoint of this process that counts, and a null server as both stores. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, openSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { jetstreamManager } from '@nats-io/jetstream';
import { connect } from '@nats-io/transport-node';
import { startEndpoint } from '../src/agent/endpoint.ts';
import { type MemoryLayout, memoryLayout } from '../src/agent/memory.ts';
import { type NatsServer, startNats } from '../test/servers/harness/index.ts';
import { nullJob, withNullServer } from './arenas.ts';
import { RELAY } from './compare.ts';
import { type Command } from './measure.ts';
import type { NullServer } from './null-server.ts';
import { ourRun } from './subjects.ts';

const QUEUE = 'bench';
const KEY = { id: 'JOURNAL', secret: 'journal-secret' };

export interface Fleet {
  readonly server: NullServer;
  readonly nats: NatsServer;
  /** Of the journal. */
  readonly requests: ReadonlyMap<string, number>;
  /** Bytes that stand in the journal. */
  readonly journalBytes: () => number;
  readonly coordinator: Command;
  worker(): BenchWorker;
}

export interface BenchWorker {
  /** Peak of resident memory, and processor time so far. */
  cost(): { readonly rssBytes: number; readonly cpuSeconds: number };
  /** As an operator ends it: what is in flight may finish. */
  leave(): Promise<void>;
}

export interface FleetWork {
  readonly bin: string;
  readonly objects: number;
  readonly size: number;
  readonly latencyMs: number;
  /** Further keys of the migration file. */
  readonly file?: Readonly<Record<string, unknown>>;
  readonly ends?: Readonly<Record<string, unknown>>;
  /** Of Node, for the coordinator. */
  readonly nodeFlags?: readonly string[];
}

export function withFleet<T>({ bin, objects, size, latencyMs, file = {}, ends = {}, nodeFlags = [] }: FleetWork, work: (fleet: Fleet) => Promise<T>): Promise<T> {
  return withNullServer(latencyMs, objects, size, async (server, dir) => {
    const layout = memoryLayout();
    const [nats, endpoint] = await Promise.all([startNats(), startEndpoint({ storage: layout, accessKeys: [KEY], countObjects: false })]);
    const places = ['--queue', `nats:${QUEUE}@${nats.endpoint}?create=true`, '--journal', `s3://journal/?endpoint=${endpoint.url}&region=us-east-1&create=true`];
    const { argv, env: own = {} } = ourRun(bin, nullJob(server, dir), { file: { transfer: RELAY, ...file }, ends });
    const env = { ...own, BRIGADE_MESSAGE_KEY: 'k'.repeat(32), BRIGADE_JOURNAL_ACCESS_KEY_ID: KEY.id, BRIGADE_JOURNAL_SECRET_ACCESS_KEY: KEY.secret };
    const [node, , ...rest] = argv as [string, string, ...string[]];
    const workers: ChildProcess[] = [];
    try {
      return await work({
        server, nats, requests: endpoint.stats.operations, journalBytes: () => storedBytes(layout),
        coordinator: { argv: [node, ...nodeFlags, bin, ...rest.map((word) => (word === 'run' ? 'coordinator' : word)), ...places], env },
        worker: () => startWorker([bin, 'worker', '--processes', '1', ...places], env, dir, workers),
      });
    } finally {
      for (const child of workers) child.kill('SIGKILL');
      await Promise.all([endpoint.close(), nats.stop()]);
    }
  });
}

function storedBytes(layout: MemoryLayout): number {
  let bytes = 0;
  for (const { versions: [version] } of layout.scan('journal', Buffer.alloc(0))) bytes += version?.body.size ?? 0;
  return bytes;
}

function startWorker(args: readonly string[], env: Readonly<Record<string, string>>, dir: string, all: ChildProcess[]): BenchWorker {
  const log = openSync(join(dir, 'workers.log'), 'a');
  const child = spawn(process.execPath, args, { env: { ...process.env, ...env }, stdio: ['ignore', log, log] });
  closeSync(log);
  all.push(child);
  return {
    cost: () => costOf(child.pid as number),
    leave: async () => {
      if (child.exitCode !== null || child.signalCode !== null) throw new Error(`a worker ended: ${readFileSync(join(dir, 'workers.log'), 'utf8').slice(-2000)}`);
      child.kill('SIGTERM');
      await once(child, 'exit');
    },
  };
}

const TICKS_PER_SECOND = 100;

function costOf(pid: number): { readonly rssBytes: number; readonly cpuSeconds: number } {
  const [user, system] = readFileSync(`/proc/${pid}/stat`, 'utf8').replace(/^.*\)/s, '').split(' ').slice(12, 14).map(Number) as [number, number];
  const [, peak = '0'] = /^VmHWM:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8')) ?? [];
  return { rssBytes: Number(peak) * 1024, cpuSeconds: (user + system) / TICKS_PER_SECOND };
}

/** Messages that were sent to the queue, and how often one was delivered. */
export async function messagesOf({ endpoint }: NatsServer): Promise<{ readonly sent: number; readonly delivered: number }> {
  const connection = await connect({ servers: endpoint });
  try {
    const manager = await jetstreamManager(connection);
    const [{ state }, { delivered }] = await Promise.all([manager.streams.info(QUEUE), manager.consumers.info(QUEUE, 'workers')]);
    return { sent: state.last_seq, delivered: delivered.consumer_seq };
  } finally {
    await connection.close();
  }
}
