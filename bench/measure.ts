/** What a command costs, its whole process tree counted (measure.py). */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, openSync, closeSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const WRAPPER = fileURLToPath(new URL('./measure.py', import.meta.url));

export interface ProcessCost {
  readonly pid: number;
  readonly command: string;
  /** High-water mark of resident memory. */
  readonly rssBytes: number;
  readonly cpuSeconds: number;
}

export interface Cost {
  readonly exit: number;
  readonly wallSeconds: number;
  readonly userSeconds: number;
  readonly systemSeconds: number;
  readonly processes: readonly ProcessCost[];
  /** Standard output and error together, the last 20 KiB. */
  readonly output: string;
}

export interface Command {
  readonly argv: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  readonly cwd?: string;
}

/** Runs it to its end. @throws Error when the exit code is not 0, with the end of what it printed. */
/** `signal`: kills it, and rejects. */
export async function measure(command: Command, signal?: AbortSignal): Promise<Cost> {
  const dir = mkdtempSync(join(tmpdir(), 'brigade-measure-'));
  const log = openSync(join(dir, 'log'), 'a');
  try {
    const child = spawn('python3', [WRAPPER, join(dir, 'cost.json'), ...command.argv], { cwd: command.cwd, env: { ...process.env, ...command.env }, stdio: ['ignore', log, log] });
    signal?.addEventListener('abort', () => child.kill('SIGTERM'), { once: true });
    await once(child, 'exit');
    const output = readFileSync(join(dir, 'log'), 'utf8').slice(-20_000);
    const cost = { ...(JSON.parse(readFileSync(join(dir, 'cost.json'), 'utf8')) as Omit<Cost, 'output'>), output };
    if (cost.exit !== 0) throw new Error(`exit ${cost.exit}: ${command.argv.join(' ')}\n${output}`);
    return cost;
  } finally {
    closeSync(log);
    rmSync(dir, { recursive: true, force: true });
  }
}

export function cpuSeconds(cost: Cost): number {
  return cost.userSeconds + cost.systemSeconds;
}

/** The largest RSS of any one process of the tree. */
export function peakRss(cost: Cost): number {
  return Math.max(0, ...cost.processes.map(({ rssBytes }) => rssBytes));
}
