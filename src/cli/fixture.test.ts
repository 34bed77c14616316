/** A terminal and a folder for tests of the command line. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { systemClock } from '../telemetry/clock.ts';
import { seededRandom } from '../telemetry/random.ts';
import { main } from './command-line.ts';
import { type Io, Output, type StopSignal } from './io.ts';

export class FakeTerminal {
  text = '';
  readonly isTTY: boolean;
  readonly columns: number;

  constructor(isTTY = false, columns = 80) {
    this.isTTY = isTTY;
    this.columns = columns;
  }

  write(text: string, done?: (error?: Error | null) => void): boolean {
    this.text += text;
    done?.();
    return true;
  }
}

export interface Ran { readonly exit: number; readonly out: string; readonly err: string }

/** One command line in this process. */
export async function brigade(cwd: string, args: readonly string[], more: Partial<Pick<Io, 'env' | 'clock' | 'ask'>> = {}): Promise<Ran> {
  const out = new FakeTerminal();
  const err = new FakeTerminal();
  const listeners: ((signal: StopSignal) => void)[] = [];
  const io: Io = {
    out: new Output(out), err: new Output(err), env: {}, cwd, clock: systemClock(), random: seededRandom(1),
    onSignal: (listener) => { listeners.push(listener); return () => undefined; }, onHangup: () => () => undefined, die: (code) => { throw new Error(`die ${code}`); }, ...more,
  };
  const exit = await main(args, io);
  return { exit, out: out.text, err: err.text };
}

export function tempFolder(): { readonly path: string; write(name: string, text: string): string; [Symbol.dispose](): void } {
  const path = mkdtempSync(join(tmpdir(), 'brigade-cli-'));
  return {
    path,
    write: (name, text) => {
      const file = join(path, name);
      mkdirSync(dirname(file), { recursive: true });
      writeFileSync(file, text);
      return file;
    },
    [Symbol.dispose]: () => rmSync(path, { recursive: true, force: true }),
  };
}
