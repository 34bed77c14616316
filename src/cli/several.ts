/** Several migrations side by side: one process and one ledger each, so that what happens to one touches no other (S2.9, S2.13). */
import { type ChildProcess, spawn } from 'node:child_process';
import { basename } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { loadMigration } from '../config/index.ts';
import { asBrigadeError, isKind, oneLine, usageError } from '../core/errors.ts';
import { EXIT, EXIT_MEANINGS, worstExit } from '../core/exit-code.ts';
import type { Tally } from '../core/item.ts';
import type { Explanation } from '../app/explain.ts';
import type { Sample } from '../telemetry/meter.ts';
import { complain } from './command-line.ts';
import { renderExplanation } from './explain.ts';
import { format, type Invocation, nextCommand, paintFor, stateDir } from './invocation.ts';
import { type MetricsMessage, TO_PARENT } from './metrics-message.ts';
import { renderLine, shortText } from './progress/bar.ts';
import { type Frame, frameOn, kindOf, type ProgressKind } from './progress/screen.ts';
import type { Snapshot } from './progress/snapshot.ts';
import { identityText } from './summary.ts';

interface Pair {
  readonly file: string;
  readonly name: string;
  /** Set where the pair could not even start. */
  readonly refused?: number;
}

interface Ended {
  readonly pair: Pair;
  readonly exit: number;
  /** What the process printed as its result: one JSON document, or text with --dry-run. */
  readonly output: string;
}

/** Returns the worst exit code; the count of failures is printed (D15). */
export async function runSeveral(invocation: Invocation, files: readonly string[], command: 'run' | 'coordinator' = 'run'): Promise<number> {
  const { io } = invocation;
  const pairs = pairsOf(invocation, files);
  const board = new Board(invocation, pairs, await frameFor(invocation));
  const children = new Set<ChildProcess>();
  const metrics = new Map<string, readonly Sample[]>();
  const shown = await metricsOf(invocation, () => [...metrics.values()].flat());
  const off = io.onSignal((signal) => {
    board.say('warn', `stopping all (${signal}); once more stops at once`);
    for (const child of children) child.kill(signal);
  });
  try {
    const ended = await Promise.all(pairs.map(async (pair) => {
      const result = pair.refused === undefined ? await runOne(invocation, command, pair, board, children, (samples) => { metrics.set(pair.name, samples); }) : { pair, exit: pair.refused, output: '' };
      board.ended(result);
      return result;
    }));
    board.close();
    return conclude(invocation, ended);
  } finally {
    off();
    board.close();
    await shown?.();
  }
}

/** One place for all of them: each says which migration its numbers are of. */
async function metricsOf(invocation: Invocation, read: () => readonly Sample[]): Promise<(() => Promise<void>) | undefined> {
  const address = invocation.options.text('metrics');
  if (address === undefined) return undefined;
  const { show } = await import('./metrics.ts');
  return show(invocation, address, read);
}

/** Two migrations of one name would share a ledger; the later one is refused, the others go on. */
function pairsOf({ io }: Invocation, files: readonly string[]): Pair[] {
  const seen = new Map<string, string>();
  return files.map((file) => {
    try {
      const { name } = loadMigration(file, io.env);
      const other = seen.get(name.toLowerCase());
      if (other !== undefined) throw usageError('E_CONFIG', `name: ${JSON.stringify(name)} is also the name of ${other}, and the two would share one ledger`, 'give each file a name: of its own', `${file}:1:1`);
      seen.set(name.toLowerCase(), file);
      return { file, name };
    } catch (thrown) {
      return { file, name: basename(file), refused: complain(thrown, io) };
    }
  });
}

const HANDED_ON = ['new', 'adopt', 'dry-run', 'require-objects', 'on-pause', 'drain', 'verbose', 'log-file', 'explain', 'queue', 'journal', 'message-key', 'window', 'standby', 'drain-target'];

async function runOne(invocation: Invocation, command: string, pair: Pair, board: Board, children: Set<ChildProcess>, hear: (samples: readonly Sample[]) => void): Promise<Ended> {
  const { io, options } = invocation;
  const entry = fileURLToPath(new URL(import.meta.url.endsWith('.ts') ? './main.ts' : './main.js', import.meta.url));
  const result = options.has('dry-run') ? format(invocation) : 'json';
  const args = [entry, command, pair.file, '--state', stateDir(invocation), '--progress', 'json', '--format', result, '--no-color', ...(options.has('metrics') ? ['--metrics', TO_PARENT] : []), ...options.written(HANDED_ON)];
  // A group of its own: Ctrl-C in the terminal reaches only this process, which hands it on once. The IPC channel ends with this process, and the child then drains.
  const child = spawn(process.execPath, args, { cwd: io.cwd, env: { ...io.env }, detached: true, stdio: ['ignore', 'pipe', 'pipe', 'ipc'] });
  children.add(child);
  child.on('message', (message: Partial<MetricsMessage>) => { if (message.type === 'metrics') hear(message.samples ?? []); });
  let output = '';
  child.stdout?.setEncoding('utf8').on('data', (text: string) => { output += text; });
  if (child.stderr !== null) createInterface({ input: child.stderr }).on('line', (line) => board.hear(pair, line));
  const exit = await new Promise<number>((resolve) => {
    child.once('error', (error) => { board.say('error', `${pair.name}: ${oneLine(error.message)}`); resolve(EXIT.internal); });
    child.once('close', (code, signal) => resolve(exitOf(code, signal)));
  });
  children.delete(child);
  return { pair, exit, output };
}

/** A process that ended in any way that the table of exit codes does not know has crashed. */
function exitOf(code: number | null, signal: NodeJS.Signals | null): number {
  if (signal === 'SIGINT') return EXIT.sigint;
  if (signal === 'SIGTERM') return EXIT.sigterm;
  return EXIT_MEANINGS.some(([known]) => known === code) ? (code ?? EXIT.internal) : EXIT.internal;
}

async function frameFor({ io, options }: Invocation): Promise<Frame | undefined> {
  return kindOf(options.text('progress'), io.err, io.env) === 'bar' ? frameOn(io.err) : undefined;
}

/** One line per migration. */
class Board {
  readonly #invocation: Invocation;
  readonly #frame: Frame | undefined;
  readonly #kind: ProgressKind;
  readonly #latest: Map<string, Snapshot | undefined>;
  readonly #toldMs = new Map<string, number>();
  readonly #stages = new Map<string, string>();
  #open = true;

  constructor(invocation: Invocation, pairs: readonly Pair[], frame: Frame | undefined) {
    const { io, options } = invocation;
    this.#invocation = invocation;
    this.#frame = frame;
    this.#kind = kindOf(options.text('progress'), io.err, io.env);
    this.#latest = new Map(pairs.filter(({ refused }) => refused === undefined).map(({ name }) => [name, undefined]));
  }

  /** A line of a child's stderr: progress, a note, or words for people. */
  hear({ name }: Pair, line: string): void {
    const message = parseMessage(line);
    if (message === undefined) return this.say('error', line);
    if (this.#kind === 'json') return this.#invocation.io.err.line(line);
    if (message.type === 'note') return this.say(message.level, `${name}: ${message.text}`);
    this.#latest.set(name, message);
    this.#frame?.draw(this.#lines());
    if (this.#kind === 'plain') this.#dated(message);
  }

  say(level: 'info' | 'warn' | 'error', text: string): void {
    if (this.#kind === 'none' && level === 'info') return;
    if (this.#frame !== undefined && this.#open) this.#frame.keep(text);
    else this.#invocation.io.err.line(text);
  }

  ended(result: Ended): void {
    this.#latest.delete(result.pair.name);
    this.#frame?.clear();
    printEnded(this.#invocation, result);
    if (this.#latest.size > 0) this.#frame?.draw(this.#lines());
  }

  close(): void {
    if (this.#open) this.#frame?.clear();
    this.#open = false;
  }

  #lines(): string[] {
    const { err } = this.#invocation.io;
    return [...this.#latest].map(([name, now]) => (now === undefined ? `${name}  starting` : renderLine(now, err.width)));
  }

  /** Every 30 s and at every change of stage, per migration (S0.40). */
  #dated(now: Snapshot): void {
    const { clock, err } = this.#invocation.io;
    const stage = `${now.stage}${now.waiting === undefined ? '' : ' waiting'}`;
    const due = clock.monotonic() - (this.#toldMs.get(now.migration) ?? -Infinity) >= 30_000;
    if (!due && this.#stages.get(now.migration) === stage) return;
    this.#toldMs.set(now.migration, clock.monotonic());
    this.#stages.set(now.migration, stage);
    err.line(`${new Date(clock.now()).toISOString().slice(0, 19)}Z ${now.migration}: ${shortText(now)}`);
  }
}

type Message = (Snapshot & { readonly type: 'progress' }) | { readonly type: 'note'; readonly level: 'info' | 'warn' | 'error'; readonly text: string };

function parseMessage(line: string): Message | undefined {
  if (!line.startsWith('{')) return undefined;
  try {
    const message = JSON.parse(line) as Partial<Message>;
    return message.type === 'progress' || message.type === 'note' ? (message as Message) : undefined;
  } catch (thrown) {
    if (isKind(asBrigadeError(thrown), 'internal')) return undefined; // Words that only look like JSON are shown as they are.
    throw thrown;
  }
}

function printEnded(invocation: Invocation, result: Ended): void {
  const { out } = invocation.io;
  if (format(invocation) === 'ndjson') out.line(JSON.stringify(endedJson(result)));
  if (format(invocation) !== 'table') return;
  if (invocation.options.has('dry-run')) out.write(result.output);
  out.line(statusLine(invocation, result));
  const { explain } = (resultIn(result.output) ?? {}) as { explain?: Explanation };
  if (explain !== undefined) invocation.io.err.write(`${renderExplanation(result.pair.name, explain, paintFor(invocation, invocation.io.err))}\n`);
}

/** `[  OK] name` or `[FAIL] name (exit 1)`, then the account. */
function statusLine(invocation: Invocation, { pair, exit, output }: Ended): string {
  const paint = paintFor(invocation, invocation.io.out);
  const tally = invocation.options.has('dry-run') ? undefined : tallyIn(output);
  const account = tally === undefined ? '' : `  ${identityText(tally)}`;
  if (exit === EXIT.clean) return `${paint('green', '[  OK]')} ${pair.name}${account}`;
  const next = tally === undefined ? '' : `; see ${nextCommand(invocation, `status ${pair.name}`)}`;
  return `${paint('red', '[FAIL]')} ${pair.name} (exit ${exit})${account}${next}`;
}

function tallyIn(output: string): Tally | undefined {
  return (resultIn(output) as { tally?: Tally } | undefined)?.tally;
}

function resultIn(output: string): unknown {
  if (!output.startsWith('{')) return undefined;
  try {
    return JSON.parse(output);
  } catch {
    // The process was ended while it printed; its ledger has everything.
    return undefined;
  }
}

function endedJson({ pair, exit, output }: Ended): object {
  return { migration: pair.name, file: pair.file, exit, result: resultIn(output) };
}

function conclude(invocation: Invocation, ended: readonly Ended[]): number {
  const { out } = invocation.io;
  const failures = ended.filter(({ exit }) => exit !== EXIT.clean).length;
  if (format(invocation) === 'json') out.line(JSON.stringify({ v: 1, failures, migrations: ended.map(endedJson) }, null, 2));
  if (format(invocation) === 'table') out.line(`${failures} of ${ended.length} failed`);
  return worstExit(ended.map(({ exit }) => exit));
}
