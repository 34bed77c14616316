// nats-server with JetStream on disk, which can be killed and started again over the same files.
import { once } from 'node:events';
import { mkdir, writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { join } from 'node:path';
import { jetstreamManager } from '@nats-io/jetstream';
import { connect as connectClient } from '@nats-io/transport-node';
import { natsBinary } from './binaries.ts';
import { freePort, freePorts, type Server, startServer, untilReady, type ServerProcess, type Workplace } from './process.ts';

export interface NatsLogin {
  readonly user: string;
  readonly password: string;
  /** As the server's configuration has them. */
  readonly permissions?: string;
}

export interface NatsServer extends Server {
  /** kill -9; what was acknowledged is on disk. */
  crash(): Promise<void>;
  /** On the same port, over the same files. */
  restart(): Promise<void>;
}

/** Starts nats-server. @throws Error when it is not installed or does not come up. */
export async function startNats(login?: NatsLogin): Promise<NatsServer> {
  const binary = natsBinary();
  let boot: () => Promise<void> = () => Promise.reject(new Error('not started'));
  let current: ServerProcess | undefined;
  const server = await startServer('nats', async (place) => {
    const port = await freePort();
    const file = await configure(place, port, { login });
    boot = async () => {
      current = place.start('nats-server', [binary, '-c', file]);
      await untilReady('nats-server', [current], () => greets(port));
    };
    await boot();
    return { name: 'nats', endpoint: `nats://127.0.0.1:${port}` };
  });
  const crash = async (): Promise<void> => { await current?.kill(); };
  return { ...server, crash, restart: () => boot() };
}

export interface NatsNode {
  /** As streams name their leader. */
  readonly name: string;
  readonly endpoint: string;
  crash(): Promise<void>;
  restart(): Promise<void>;
}

export interface NatsCluster extends AsyncDisposable {
  readonly nodes: readonly NatsNode[];
}

/** Three servers that keep streams together. @throws Error when nats-server is not installed or one of them does not come up. */
export async function startNatsCluster(): Promise<NatsCluster> {
  const binary = natsBinary();
  const nodes: NatsNode[] = [];
  const server = await startServer('nats-cluster', async (place) => {
    const ports = await freePorts(6);
    const [clients, routes] = [ports.slice(0, 3), ports.slice(3)];
    nodes.splice(0, nodes.length, ...await Promise.all(clients.map(async (port, i) => {
      const name = `node-${i}`;
      const folder = join(place.directory, name);
      await mkdir(folder);
      const cluster = `cluster { name: brigade-test, listen: "127.0.0.1:${routes[i]}", routes: [${routes.map((route) => `"nats://127.0.0.1:${route}"`).join(', ')}] }`;
      const file = await configure({ directory: folder }, port, { name, cluster });
      let current: ServerProcess | undefined;
      const restart = async (): Promise<void> => {
        current = place.start(name, [binary, '-c', file]);
        await untilReady(name, [current], () => greets(port));
      };
      return { name, endpoint: `nats://127.0.0.1:${port}`, restart, crash: async () => { await current?.kill(); } };
    })));
    await Promise.all(nodes.map((node) => node.restart()));
    await untilReady('nats-cluster', place.processes, () => keepsStreams(nodes));
    return { name: 'nats-cluster', endpoint: nodes.map(({ endpoint }) => endpoint).join(',') };
  });
  return { nodes, [Symbol.asyncDispose]: () => server.stop() };
}

interface Configured {
  readonly name?: string;
  readonly login?: NatsLogin | undefined;
  /** What it says of its cluster. */
  readonly cluster?: string;
}

async function configure({ directory }: Pick<Workplace, 'directory'>, port: number, { name = 'brigade-test', login, cluster }: Configured): Promise<string> {
  const store = join(directory, 'jetstream');
  await mkdir(store);
  const file = join(directory, 'nats.conf');
  await writeFile(file, [
    'host: 127.0.0.1', `port: ${port}`, `server_name: ${name}`, ...(cluster === undefined ? [] : [cluster]),
    `jetstream { store_dir: ${JSON.stringify(store)}, sync_interval: always, max_memory_store: 64MB, max_file_store: 1GB }`,
    ...(login === undefined ? [] : [`authorization { users: [{ user: ${JSON.stringify(login.user)}, password: ${JSON.stringify(login.password)}${login.permissions === undefined ? '' : `, permissions: ${login.permissions}`} }] }`]), '',
  ].join('\n'));
  return file;
}

/** All of them know each other and have chosen who decides. */
async function keepsStreams(nodes: readonly NatsNode[]): Promise<boolean> {
  const connection = await connectClient({ servers: nodes.map(({ endpoint }) => endpoint), timeout: 5000 });
  try {
    const { streams } = await jetstreamManager(connection);
    await streams.add({ name: 'ready', subjects: ['ready'], num_replicas: nodes.length });
    return await streams.delete('ready');
  } finally {
    await connection.close();
  }
}

/** The server speaks first: INFO. */
async function greets(port: number): Promise<boolean> {
  const socket = connect({ host: '127.0.0.1', port });
  try {
    const [greeting] = await once(socket, 'data') as [Buffer];
    return greeting.toString('latin1').startsWith('INFO ');
  } finally {
    socket.destroy();
  }
}
