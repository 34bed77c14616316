/** The command line in this process, labs in folders of their own, and nothing left running. */
import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, realpathSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach } from 'node:test';
import type { EndProcess } from '../../src/app/lab/endpoint-process.ts';
import { END_NAMES, type EndName, isLab, openLab } from '../../src/app/lab/folder.ts';
import { stopEnd } from '../../src/app/lab/processes.ts';
import { brigade, type Ran } from '../../src/cli/fixture.test.ts';

const open: LabBench[] = [];
afterEach(async () => { for (const bench of open.splice(0)) await bench.close(); });

export class LabBench {
  /** Where the commands are given; the lab is in ./brigade-lab. */
  readonly cwd = realpathSync(mkdtempSync(join(tmpdir(), 'brigade-lab-')));
  readonly #dirs = new Set<string>();

  readonly #env: NodeJS.ProcessEnv;

  /** `env`: beside that of this process. */
  constructor(env: Readonly<Record<string, string>> = {}) {
    this.#env = { ...process.env, ...env };
    open.push(this);
  }

  get dir(): string { return join(this.cwd, 'brigade-lab'); }

  run(line: string, cwd = this.cwd): Promise<Ran> {
    const words = line.split(' ').filter((word) => word !== '');
    const at = words.indexOf('--dir');
    this.#dirs.add(at < 0 ? this.dir : join(this.cwd, words[at + 1] ?? ''));
    return brigade(cwd, words, { env: this.#env });
  }

  /** Must end with `exit`; answers what it printed. */
  async ends(line: string, exit = 0, cwd = this.cwd): Promise<string> {
    const ran = await this.run(line, cwd);
    assert.equal(ran.exit, exit, `brigade ${line}: ${ran.out}${ran.err}`);
    return ran.out;
  }

  process(name: EndName, dir = this.dir): EndProcess {
    return JSON.parse(readFileSync(join(dir, 'processes', `${name}.json`), 'utf8')) as EndProcess;
  }

  /** Commands of one pair: the state of the lab is named. */
  readonly state = '--state brigade-lab/.brigade';

  async close(): Promise<void> {
    for (const dir of this.#dirs) if (isLab(dir)) for (const name of END_NAMES) await stopEnd(openLab(dir), name);
    rmSync(this.cwd, { recursive: true, force: true });
  }
}

export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return !/^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'));
  } catch {
    // No such process.
    return false;
  }
}

export async function until(what: string, is: () => boolean | Promise<boolean>, withinMs = 60_000): Promise<void> {
  const end = performance.now() + withinMs;
  while (!(await is())) {
    assert.ok(performance.now() < end, `${what} within ${withinMs} ms`);
    await new Promise((resolve) => setTimeout(resolve, 30));
  }
}
