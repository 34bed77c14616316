import { resolve } from 'node:path';
import type { Agent } from '../../app/agent.ts';
import type { LayoutName } from '../../app/agent-layout.ts';
import { keepOldGenerationSmall } from '../../app/heap.ts';
import { parseDuration } from '../../config/units.ts';
import { asBrigadeError, errorLine, oneLine, usageError } from '../../core/errors.ts';
import { EXIT } from '../../core/exit-code.ts';
import { type Invocation, stateDir } from '../invocation.ts';
import type { Io } from '../io.ts';
import { stopOnSignals } from '../stopping.ts';

const DRAIN = '15s';
const LISTEN = '127.0.0.1:9000';
const CONNECTIONS = 4096;
const CONNECTIONS_PER_CLIENT = 1024;

/** A failing disk fails every request: one line a second is enough. */
const QUIET_MS = 1000;

function complainer(io: Io): (error: unknown, what: string) => void {
  let [quietUntil, unsaid] = [0, 0];
  return (error, what) => {
    const now = io.clock.now();
    if (now < quietUntil) {
      unsaid += 1;
      return;
    }
    const more = unsaid === 0 ? '' : `; and ${unsaid} more`;
    io.err.line(oneLine(`brigade: agent: ${what}: ${asBrigadeError(error).message}${more}`));
    [quietUntil, unsaid] = [now + QUIET_MS, 0];
  };
}

async function start(invocation: Invocation): Promise<Agent> {
  const { io, options } = invocation;
  const root = options.text('root');
  if (root === undefined) throw usageError('E_USAGE', '--root is missing', 'write brigade agent --root DIR', 'agent');
  const path = (name: string): string | undefined => {
    const text = options.text(name);
    return text === undefined ? undefined : resolve(io.cwd, text);
  };
  const { startAgent } = await import('../../app/agent.ts');
  return startAgent({
    root: resolve(io.cwd, root), layout: (options.text('layout') ?? 'files') as LayoutName, state: path('state'), states: stateDir(invocation),
    bucket: options.text('bucket'), listen: options.text('listen') ?? LISTEN, tls: { cert: path('tls-cert'), key: path('tls-key'), clientCa: path('client-ca') },
    readOnly: options.has('read-only'), accessKeys: path('access-keys'), env: io.env, region: options.text('region') ?? 'us-east-1',
    maxConnections: options.count('max-connections') ?? CONNECTIONS, maxConnectionsPerClient: options.count('max-connections-per-client') ?? CONNECTIONS_PER_CLIENT,
    onDefect: complainer(io),
  });
}

function reload(agent: Agent, io: Io): void {
  try {
    agent.reload();
    io.err.line('certificates and access keys were read anew');
  } catch (thrown) {
    io.err.line(`brigade: nothing was changed: ${errorLine(asBrigadeError(thrown))}`);
  }
}

/** Serves until SIGINT or SIGTERM. */
export async function execute(invocation: Invocation): Promise<number> {
  const { io, options } = invocation;
  keepOldGenerationSmall();
  const agent = await start(invocation);
  const drainMs = parseDuration(options.text('drain') ?? DRAIN);
  const stopping = stopOnSignals(io, { drainMs, say: (text) => io.err.line(text) });
  const off = io.onHangup(() => reload(agent, io));
  const how = [options.text('layout') ?? 'files', ...(options.has('read-only') ? ['read-only'] : []), `${agent.keys} access ${agent.keys === 1 ? 'key' : 'keys'}`];
  io.out.line(`serving ${agent.root} at ${agent.url} (${how.join(', ')})`);
  await new Promise<void>((resolveStop) => { stopping.signal.addEventListener('abort', () => resolveStop(), { once: true }); });
  await agent.close(drainMs);
  off();
  stopping.end();
  return EXIT.clean;
}
