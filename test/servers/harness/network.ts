// A network of its own for processes of a test, with links to this machine that can be cut without anybody being told. Needs root, as install.sh does.
import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { promisify } from 'node:util';
import { systemBinary } from './binaries.ts';

const run = promisify(execFile);
let made = 0;

export interface Link {
  /** Of this machine, as the processes in there reach it. Others of this machine reach it too, also when the link is cut. */
  readonly address: string;
  /** From now on everything is lost, both ways, connections that stand included; nobody is told. */
  cut(): Promise<void>;
  mend(): Promise<void>;
  /** Bytes that came out of there. */
  sent(): number;
}

export interface Network extends AsyncDisposable {
  /** What a command is started by to be in there. */
  readonly within: readonly string[];
  readonly links: readonly Link[];
}

/** @throws Error when the kernel has no network namespaces for us */
export async function startNetwork(links: number): Promise<Network> {
  const ip = systemBinary('ip');
  const name = `bb${process.pid}n${++made}`;
  const call = async (...args: readonly string[]): Promise<void> => { await run(ip, args); };
  // Private addresses (RFC 1918) that hardly anybody uses; drawn, because other tests may run at once.
  const net = `10.${200 + Math.floor(Math.random() * 50)}.${Math.floor(Math.random() * 256)}`;
  await call('netns', 'add', name).catch((error: unknown) => { throw new Error(`a network namespace needs root and a kernel that has them: ${String(error)}`); });
  const dispose = async (): Promise<void> => { await call('netns', 'del', name); };
  try {
    await call('-n', name, 'link', 'set', 'lo', 'up');
    const all = [];
    for (let i = 0; i < links; i++) all.push(await link(call, name, `${name}l${i}`, `${net}.${4 * i + 1}`, `${net}.${4 * i + 2}`));
    return { within: [ip, 'netns', 'exec', name], links: all, [Symbol.asyncDispose]: dispose };
  } catch (error) {
    await dispose();
    throw error;
  }
}

/** A hardware address that nobody has: what is sent there is lost. */
const NOBODY = '02:00:00:00:00:99';

async function link(call: (...args: readonly string[]) => Promise<void>, name: string, here: string, address: string, there: string): Promise<Link> {
  const inside = `${here}i`;
  await call('link', 'add', here, 'type', 'veth', 'peer', 'name', inside, 'netns', name);
  await call('addr', 'add', `${address}/30`, 'dev', here);
  await call('link', 'set', here, 'up');
  await call('-n', name, 'addr', 'add', `${there}/30`, 'dev', inside);
  await call('-n', name, 'link', 'set', inside, 'up');
  return {
    address,
    sent: () => Number(readFileSync(`/sys/class/net/${here}/statistics/rx_bytes`, 'utf8')),
    cut: async () => {
      await call('neigh', 'replace', there, 'lladdr', NOBODY, 'dev', here, 'nud', 'permanent');
      await call('-n', name, 'neigh', 'replace', address, 'lladdr', NOBODY, 'dev', inside, 'nud', 'permanent');
    },
    mend: async () => {
      await call('neigh', 'del', there, 'dev', here);
      await call('-n', name, 'neigh', 'del', address, 'dev', inside);
    },
  };
}
