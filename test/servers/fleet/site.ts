/** A fleet as an operator starts it, for one test: each process by its command line, in a group of its own, with what it says in one log. */
import { spawn } from 'node:child_process';
import { closeSync, existsSync, mkdirSync, mkdtempSync, openSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { claimOf, type Claim, type Migration, type MigrationSpec, writeMigration } from '../../chaos/product.ts';
import { type Place, reconcile, type Verdict, violations } from '../../chaos/judge.ts';

const bin = fileURLToPath(new URL('../../../bin/brigade.cjs', import.meta.url));
/** For a machine that is very busy; nothing here waits for it to pass. */
const LONGEST_MS = 240_000;

export interface FleetProcess {
  readonly pid: number;
  readonly ended: Promise<number | null>;
  readonly over: () => boolean;
  /** To all of its group. */
  signal(signal: NodeJS.Signals): void;
}

export interface Judged {
  readonly claim: Claim;
  readonly violations: readonly string[];
  /** At a destination that keeps versions. */
  readonly versions: Verdict['versions'];
}

export interface SiteSpec extends Omit<MigrationSpec, 'dir' | 'name'> {
  /** Of the queue, as `--queue` takes it. */
  readonly queue: string;
  /** As `--journal` takes it. Default: a folder. */
  readonly journal?: string;
  readonly env?: Readonly<Record<string, string>>;
}

/** Polls until it is so. @throws Error when that takes too long */
export async function until(what: string, is: () => boolean | Promise<boolean>, everyMs = 50): Promise<void> {
  for (const end = performance.now() + LONGEST_MS; !await is();) {
    if (performance.now() > end) throw new Error(`it took too long until ${what}`);
    await sleep(everyMs);
  }
}

/** When what is looked at changed last, in ms since `sinceMs`: known once it has not for `stillMs`. */
export async function lastChange(look: () => number, sinceMs: number, stillMs: number): Promise<number> {
  let [seen, lastMs] = [look(), sinceMs];
  await until('nothing moves', () => {
    const now = look();
    if (now !== seen) lastMs = performance.now();
    seen = now;
    return performance.now() - lastMs > stillMs;
  });
  return lastMs - sinceMs;
}

export function scratch(): string {
  return mkdtempSync(join(tmpdir(), 'brigade-fleet-'));
}

export class FleetSite implements AsyncDisposable {
  readonly dir: string;
  readonly migration: Migration;
  readonly #spec: SiteSpec;
  readonly #processes: FleetProcess[] = [];
  readonly #journal: string;

  /** `dir`: removed with the site. */
  constructor(dir: string, spec: SiteSpec) {
    this.dir = dir;
    this.#spec = spec;
    this.migration = writeMigration({ dir, name: 'proof', ...spec });
    this.#journal = spec.journal ?? join(dir, 'journals');
    if (spec.journal === undefined) mkdirSync(this.#journal);
  }

  get #places(): readonly string[] {
    return ['--queue', this.#spec.queue, '--journal', this.#journal];
  }

  coordinator(...flags: readonly string[]): FleetProcess {
    return this.#start([], 'coordinator', this.migration.file, '--state', this.migration.state, '--progress', 'none', ...this.#places, ...flags);
  }

  /** `within`: what it is started by, such as `ip netns exec NAME`. */
  worker(...within: readonly string[]): FleetProcess {
    return this.#start(within, 'worker', '--processes', '1', '--drain', '5s', ...this.#places);
  }

  /** Ends with it, or with the end of the log. */
  async succeeds(process: FleetProcess): Promise<void> {
    const code = await Promise.race([process.ended, sleep(LONGEST_MS, 'late' as const, { ref: false })]);
    if (code !== 0) throw new Error(`it ended with ${code}:\n${this.log().slice(-6000)}`);
  }

  log(): string {
    return existsSync(this.migration.log) ? readFileSync(this.migration.log, 'utf8') : '';
  }

  /** What the ledger says, held against both stores by a program of another language, and against the journal. */
  async judge(source: Place, destination: Place): Promise<Judged> {
    await this.succeeds(this.#start([], 'ledger', 'check', this.migration.name, '--state', this.migration.state, '--journal', this.#journal));
    const claim = await claimOf(this.migration);
    const verdict = await reconcile(source, destination, claim.states, this.dir);
    return { claim, violations: violations(verdict), versions: verdict.versions };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const process of this.#processes) process.signal('SIGKILL');
    await Promise.all(this.#processes.map(({ ended }) => ended));
    rmSync(this.dir, { recursive: true, force: true });
  }

  #start(within: readonly string[], ...args: readonly string[]): FleetProcess {
    const log = openSync(this.migration.log, 'a');
    const [command = process.execPath, ...rest] = [...within, process.execPath, bin, ...args];
    const env = { ...this.migration.env, BRIGADE_MESSAGE_KEY: 'k'.repeat(32), ...this.#spec.env };
    const child = spawn(command, rest, { env, cwd: this.dir, detached: true, stdio: ['ignore', log, log] });
    closeSync(log);
    let over = false;
    const ended = new Promise<number | null>((resolve) => { child.once('exit', (code) => { over = true; resolve(code); }); });
    const { pid = 0 } = child;
    const started = { pid, ended, over: () => over, signal: (signal: NodeJS.Signals) => { if (!over) process.kill(-pid, signal); } };
    this.#processes.push(started);
    return started;
  }
}
