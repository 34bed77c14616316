// nats-server with JetStream on disk, which can be killed and started again over the same files.
import { once } from 'node:events';
import { mkdir, writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { join } from 'node:path';
import { natsBinary } from './binaries.ts';
import { freePort, type Server, startServer, untilReady, type ServerProcess, type Workplace } from './process.ts';

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
    const file = await configure(place, port, login);
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

async function configure({ directory }: Workplace, port: number, login?: NatsLogin): Promise<string> {
  const store = join(directory, 'jetstream');
  await mkdir(store);
  const file = join(directory, 'nats.conf');
  await writeFile(file, [
    'host: 127.0.0.1', `port: ${port}`, 'server_name: brigade-test',
    `jetstream { store_dir: ${JSON.stringify(store)}, sync_interval: always, max_memory_store: 64MB, max_file_store: 1GB }`,
    ...(login === undefined ? [] : [`authorization { users: [{ user: ${JSON.stringify(login.user)}, password: ${JSON.stringify(login.password)}${login.permissions === undefined ? '' : `, permissions: ${login.permissions}`} }] }`]), '',
  ].join('\n'));
  return file;
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
