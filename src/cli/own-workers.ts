/**
 * Workers of a fleet beside their coordinator, for a first try: one process, which starts as many as it is told. Should it end early, that is told, and it is
 * started again; where it cannot even begin, again and again, the run stops with its reason.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { EXIT } from '../core/exit-code.ts';
import { oneLine, usageError } from '../core/errors.ts';
import type { Invocation } from './invocation.ts';
import type { StopSignal } from './io.ts';

const HANDED_ON = ['journal', 'message-key', 'drain', 'verbose', 'log-file', 'accept-plain-messages'];
const MAIN = fileURLToPath(new URL(import.meta.url.endsWith('.ts') ? './main.ts' : './main.js', import.meta.url));
const PATIENCE_MS = 30_000;
/** Who lived so long had begun: what ended it may spare the next one. */
const BEGAN_MS = 30_000;
const FIRST_PAUSE_MS = 1000;
const LONGEST_PAUSE_MS = 30_000;
/** Ends in a row, each before it had begun, with the same exit code: the next one would say the same. */
const MOST_ENDS = 3;

interface Ended {
  readonly code: number | null;
  readonly how: string;
  /** The last line that it said. */
  readonly line: string;
  readonly ms: number;
}

/** They take tasks while `work` goes on; then they are told to leave. `work` gets an invocation in which a signal comes when there is no point in going on. `entry`: for tests. */
export async function withWorkers(invocation: Invocation, work: (invocation: Invocation) => Promise<number>, entry = MAIN): Promise<number> {
  const hearers = new Set<(signal: StopSignal) => void>();
  const { io } = invocation;
  // What is wrong with them is told before anything begins.
  whichWorkers(invocation.options);
  const crew = new OwnWorkers(invocation, entry, () => { for (const hear of hearers) hear('SIGTERM'); });
  const onSignal = (listener: (signal: StopSignal) => void): () => void => {
    hearers.add(listener);
    const off = io.onSignal(listener);
    return () => {
      hearers.delete(listener);
      off();
    };
  };
  try {
    const exit = await work({ ...invocation, io: { ...io, onSignal } });
    // A run that had nothing left to do needed none of them.
    return exit === EXIT.clean ? exit : crew.gaveUpWith ?? exit;
  } finally {
    await crew.end();
  }
}

class OwnWorkers {
  readonly #invocation: Invocation;
  readonly #entry: string;
  readonly #giveUp: () => void;
  readonly #stop = new AbortController();
  readonly #working: Promise<void>;
  #child: ChildProcess | undefined;
  /** The exit code with which none of them could begin. */
  gaveUpWith: number | undefined;

  constructor(invocation: Invocation, entry: string, giveUp: () => void) {
    this.#invocation = invocation;
    this.#entry = entry;
    this.#giveUp = giveUp;
    this.#working = this.#keep();
  }

  async end(): Promise<void> {
    this.#stop.abort();
    this.#child?.kill('SIGTERM');
    const timer = setTimeout(() => this.#child?.kill('SIGKILL'), PATIENCE_MS);
    await this.#working;
    clearTimeout(timer);
  }

  async #keep(): Promise<void> {
    const { io } = this.#invocation;
    for (let ends: Ended[] = []; ;) {
      const ended = await this.#once();
      if (this.#stop.signal.aborted) return;
      ends = ended.ms < BEGAN_MS && ends.every(({ code }) => code === ended.code) ? [...ends, ended] : [ended];
      const why = ended.line === '' ? '' : `: ${ended.line}`;
      if (ends.length >= MOST_ENDS && ended.code !== null && ended.code !== EXIT.clean) {
        io.err.line(`brigade: the workers cannot begin (${ended.how})${why} [E_WORKERS]`);
        this.gaveUpWith = ended.code;
        return this.#giveUp();
      }
      const pauseMs = Math.min(LONGEST_PAUSE_MS, FIRST_PAUSE_MS * 2 ** (ends.length - 1));
      io.err.line(`warning: the workers ended early (${ended.how})${why}; started again in ${pauseMs / 1000} s`);
      await io.clock.sleep(pauseMs, this.#stop.signal).catch(() => undefined);
      if (this.#stop.signal.aborted) return;
    }
  }

  async #once(): Promise<Ended> {
    const { io, options } = this.#invocation;
    const args = [this.#entry, 'worker', '--no-color', ...whichWorkers(options), ...options.written(HANDED_ON)];
    const began = io.clock.monotonic();
    // A group of its own, as in several.ts: Ctrl-C drains the coordinator first. The IPC channel ends with this process, and the workers then leave.
    const child = spawn(process.execPath, args, { cwd: io.cwd, env: { ...io.env }, detached: true, stdio: ['ignore', 'ignore', 'pipe', 'ipc'] });
    this.#child = child;
    let line = '';
    if (child.stderr !== null) createInterface({ input: child.stderr }).on('line', (text) => {
      // That they stop is our doing: nobody asked for it.
      if (this.#stop.signal.aborted && text.startsWith('stopping')) return;
      line = text;
      io.err.line(text);
    });
    const { code, how } = await new Promise<Pick<Ended, 'code' | 'how'>>((resolve) => {
      child.once('error', (error) => resolve({ code: EXIT.internal, how: oneLine(error.message) }));
      child.once('close', (exit, signal) => resolve({ code: exit, how: signal ?? `exit ${exit ?? 'unknown'}` }));
    });
    return { code, how, line: oneLine(line.replace(/^brigade: /, ''), 300), ms: io.clock.monotonic() - began };
  }
}

/** Of partitions all of them, a process each. */
function whichWorkers(options: Invocation['options']): readonly string[] {
  const queue = options.text('queue') ?? '';
  const workers = options.count('workers');
  if (!/^partitions\b/.test(queue)) return [...options.written(['queue']), ...(workers === undefined ? [] : ['--processes', String(workers)])];
  const members = Number(/^partitions:(\d+)/.exec(queue)?.[1] ?? NaN);
  if (!(members > 0)) throw usageError('E_USAGE', 'does not say how many partitions', 'write --queue partitions:4', '--queue');
  if (options.has('accept-plain-messages')) throw usageError('E_USAGE', 'stands beside partitions', 'plain messages come by SQS or NATS: give --queue such a one', '--accept-plain-messages');
  if (workers !== undefined && workers !== members) throw usageError('E_USAGE', `is ${workers}, and there are ${members} partitions`, 'leave it out: each partition has one process', '--workers');
  return ['--partition', `1-${members}/${members}`];
}
