/** An agent: a folder of this machine, served as S3. */
import { createHash } from 'node:crypto';
import { realpathSync, statSync } from 'node:fs';
import { join, resolve, sep } from 'node:path';
import { startEndpoint } from '../agent/endpoint.ts';
import { loadAccessKeys, type AgentKey, type Environment } from '../config/index.ts';
import { usageError } from '../core/errors.ts';
import { listenAddress, type ListenAddress, listening } from './listen-address.ts';
import { openLayout, type LayoutName } from './agent-layout.ts';
import { readTls, type TlsFiles } from './agent-tls.ts';
import { makeFolder } from './folder.ts';

export interface AgentOptions {
  /** The folder that is served. */
  readonly root: string;
  readonly layout: LayoutName;
  /** The folder of what S3 knows and files do not: metadata, tags, parts. Absent: one of its own for each root, below `states`. */
  readonly state: string | undefined;
  readonly states: string;
  /** Layout files: serve the folder itself as this one bucket. */
  readonly bucket: string | undefined;
  /** As `listenAddress` reads it. */
  readonly listen: string;
  readonly tls: TlsFiles;
  readonly readOnly: boolean;
  /** The file of access keys; absent: AGENT_ACCESS_KEY_ID and AGENT_SECRET_ACCESS_KEY of `env`. */
  readonly accessKeys: string | undefined;
  readonly env: Environment;
  readonly region: string;
  readonly maxConnections: number;
  readonly maxConnectionsPerClient: number;
  /** Told of what is no client's fault: a failing disk, a defect. */
  readonly onDefect: (error: unknown, what: string) => void;
}

export interface Agent {
  readonly url: string;
  readonly root: string;
  readonly keys: number;
  /** Reads certificates and access keys anew. @throws BrigadeError; the old ones are then kept */
  reload(): void;
  /** Lets requests in flight finish for so long. */
  close(graceMs: number): Promise<void>;
}

export function folderToServe(path: string): string {
  try {
    const real = realpathSync(path);
    if (statSync(real).isDirectory()) return real;
  } catch (thrown) {
    throw usageError('E_NO_ROOT', `the folder cannot be opened (${(thrown as NodeJS.ErrnoException).code ?? 'error'})`, 'name a folder that exists', `--root ${path}`);
  }
  throw usageError('E_NO_ROOT', 'this is not a folder', 'name a folder', `--root ${path}`);
}

const inside = (path: string, folder: string): boolean => path === folder || path.startsWith(folder.endsWith(sep) ? folder : folder + sep);

/** Made before it is compared, so that no link can lead it into what is served. */
export function stateFolder(options: Pick<AgentOptions, 'layout' | 'state' | 'states'>, root: string): string | undefined {
  if (options.state === undefined && options.layout === 'objects') return undefined; // its root is its own, state and all
  const own = join(options.states, 'agent', createHash('sha256').update(root).digest('hex').slice(0, 12));
  const path = resolve(options.state ?? own);
  if (!inside(path, root)) makeFolder(path);
  if (inside(path, root) || inside(realpathSync(path), root)) throw usageError('E_OVERLAP', 'the state would lie in the folder that is served', 'name a folder elsewhere with --state DIR', path);
  return realpathSync(path);
}

/** @throws BrigadeError E_USAGE, E_CONFIG */
function readKeys({ accessKeys, env }: AgentOptions): AgentKey[] {
  if (accessKeys !== undefined) return loadAccessKeys(accessKeys);
  const [id, secret] = [env['AGENT_ACCESS_KEY_ID'], env['AGENT_SECRET_ACCESS_KEY']];
  if (id === undefined || id === '' || secret === undefined || secret === '') {
    throw usageError('E_USAGE', 'without an access key nobody could use it', 'write --access-keys FILE, or set AGENT_ACCESS_KEY_ID and AGENT_SECRET_ACCESS_KEY', 'agent');
  }
  return [{ id, secret, readOnly: false }];
}

function refuseOpenWire(address: ListenAddress, tls: unknown, listen: string): void {
  if (address.loopback || tls !== undefined) return;
  throw usageError('E_NO_TLS', 'beyond this machine an agent speaks only TLS', 'add --tls-cert and --tls-key, or listen on 127.0.0.1', `--listen ${listen}`);
}

/** @throws BrigadeError of kind usage for every option that cannot be, of kind premise for a state that cannot be opened */
export async function startAgent(options: AgentOptions): Promise<Agent> {
  const address = await listenAddress(options.listen);
  const tls = readTls(options.tls);
  refuseOpenWire(address, tls, options.listen);
  if (options.bucket !== undefined && options.layout !== 'files') throw usageError('E_USAGE', 'only layout files can be one bucket', 'leave out --bucket, or --layout objects', '--bucket');
  const root = folderToServe(options.root);
  const keys = readKeys(options);
  const { region, readOnly, onDefect, layout: name } = options;
  const failed = (error: unknown): void => onDefect(error, 'in the background');
  const layout = await openLayout({ name, root, state: stateFolder(options, root), bucket: options.bucket, region, failed });
  const { maxConnections, maxConnectionsPerClient } = options;
  try {
    const endpoint = await listening(() => startEndpoint({
      storage: layout, accessKeys: keys, region, host: address.host, port: address.port, readOnly, countObjects: false, onDefect,
      limits: { maxConnections, maxConnectionsPerClient }, behaviours: { pretends: false, repeatedComplete: 'same answer' }, ...(tls === undefined ? {} : { tls }),
    }), options.listen);
    return {
      url: endpoint.url, root, keys: keys.length,
      reload: () => {
        const [nextTls, nextKeys] = [readTls(options.tls), readKeys(options)];
        if (nextTls !== undefined) endpoint.setTls(nextTls);
        endpoint.setAccessKeys(nextKeys);
      },
      close: async (graceMs) => {
        await endpoint.close(graceMs);
        await layout.close?.();
      },
    };
  } catch (thrown) {
    await layout.close?.();
    throw thrown;
  }
}
