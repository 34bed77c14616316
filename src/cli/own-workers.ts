/** Workers of a fleet beside their coordinator, for a first try: one process, which starts as many as it is told. */
import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { oneLine } from '../core/errors.ts';
import type { Invocation } from './invocation.ts';

const HANDED_ON = ['queue', 'journal', 'message-key', 'drain', 'verbose', 'log-file'];
const PATIENCE_MS = 30_000;

/** They take tasks while `work` goes on; then they are told to leave. */
export async function withWorkers<T>({ io, options }: Invocation, work: () => Promise<T>): Promise<T> {
  const entry = fileURLToPath(new URL(import.meta.url.endsWith('.ts') ? './main.ts' : './main.js', import.meta.url));
  const count = options.count('workers');
  const args = [entry, 'worker', '--no-color', ...(count === undefined ? [] : ['--processes', String(count)]), ...options.written(HANDED_ON)];
  // A group of its own, as in several.ts: Ctrl-C drains the coordinator first. The IPC channel ends with this process, and the workers then leave.
  const child = spawn(process.execPath, args, { cwd: io.cwd, env: { ...io.env }, detached: true, stdio: ['ignore', 'ignore', 'pipe', 'ipc'] });
  const ended = new Promise<void>((resolve) => {
    child.once('error', (error) => { io.err.line(`brigade: the workers could not be started: ${oneLine(error.message)} [E_EXECUTORS]`); resolve(); });
    child.once('close', () => resolve());
  });
  if (child.stderr !== null) createInterface({ input: child.stderr }).on('line', (line) => io.err.line(line));
  try {
    return await work();
  } finally {
    child.kill('SIGTERM');
    const timer = setTimeout(() => child.kill('SIGKILL'), PATIENCE_MS);
    await ended;
    clearTimeout(timer);
  }
}
