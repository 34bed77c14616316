// Our own agent, as an operator starts it: `brigade agent` in a process of its own.
import { chmod, mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { selfSigned } from './certificate.ts';
import { answers, credentials, startServer, untilReady } from './process.ts';
import type { Server } from './process.ts';

const main = fileURLToPath(new URL('../../../src/cli/main.ts', import.meta.url));

export const LAYOUTS = ['files', 'objects'] as const;
export type AgentLayout = (typeof LAYOUTS)[number];

export interface AgentServerOptions {
  readonly layout: AgentLayout;
  /** Serves https with a certificate of its own; trust `caFile`. */
  readonly tls?: boolean;
  readonly readOnly?: boolean;
  /** The built program; else the source. */
  readonly program?: string;
  /** A folder that is there already; else an empty one. */
  readonly root?: string;
  /** A folder of state that is there already; else an empty one. */
  readonly state?: string;
}

/** Starts an agent over an empty folder (or `root`). @throws Error when it does not come up */
export function startAgent({ layout, tls = false, readOnly = false, program = main, root, state }: AgentServerOptions): Promise<Server> {
  return startServer(`agent-${layout}`, async (place) => {
    const folder = root ?? join(place.directory, 'root');
    const keys = join(place.directory, 'keys.yml');
    await mkdir(folder, { recursive: true });
    await writeFile(keys, `keys:\n  - { id: ${credentials.accessKeyId}, secret: ${credentials.secretAccessKey} }\n`);
    await chmod(keys, 0o600);
    const certificate = tls ? await selfSigned(place.directory) : undefined;
    const agent = place.start('agent', [
      process.execPath, program, 'agent', '--root', folder, '--layout', layout, '--state', state ?? join(place.directory, 'state'), '--listen', '127.0.0.1:0', '--access-keys', keys,
      ...(certificate === undefined ? [] : ['--tls-cert', certificate.cert, '--tls-key', certificate.key]), ...(readOnly ? ['--read-only'] : []),
    ], { NODE_NO_WARNINGS: '1' });
    let endpoint = '';
    await untilReady('agent', [agent], async () => {
      endpoint = / at (https?:\/\/\S+)/.exec(agent.tail())?.[1] ?? '';
      return endpoint !== '' && (certificate !== undefined || answers(endpoint));
    });
    return { name: `agent-${layout}`, endpoint, ...(certificate === undefined ? {} : { caFile: certificate.cert }) };
  });
}
