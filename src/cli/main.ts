/** The entry of `brigade`, started by bin/brigade.cjs. */
import { growYoungGeneration } from '../app/heap.ts';
import { systemClock } from '../telemetry/clock.ts';
import { systemRandom } from '../telemetry/random.ts';
import { complain, main } from './command-line.ts';
import { type Io, Output, type StopSignal } from './io.ts';

/** An end of the input is no answer. */
async function ask(question: string): Promise<string> {
  const { createInterface } = await import('node:readline');
  const terminal = createInterface({ input: process.stdin, output: process.stderr });
  try {
    return await new Promise((resolve) => {
      terminal.once('close', () => resolve(''));
      terminal.question(question, resolve);
    });
  } finally {
    terminal.close();
  }
}

function systemIo(): Io {
  return {
    out: new Output(process.stdout), err: new Output(process.stderr), env: process.env, cwd: process.cwd(), clock: systemClock(), random: systemRandom(),
    onSignal: (listener) => {
      const signals: readonly StopSignal[] = ['SIGINT', 'SIGTERM'];
      for (const signal of signals) process.on(signal, listener);
      const orphaned = (): void => listener('SIGTERM');
      // One of several (several.ts): without the process that shows and ends us, we drain.
      process.once('disconnect', orphaned);
      process.channel?.unref();
      return () => {
        process.off('disconnect', orphaned);
        for (const signal of signals) process.off(signal, listener);
      };
    },
    onHangup: (listener) => {
      process.on('SIGHUP', listener);
      return () => void process.off('SIGHUP', listener);
    },
    ...(process.stdin.isTTY && process.stderr.isTTY ? { ask } : {}),
    die: (code) => process.exit(code),
  };
}

/** What still holds the process open after its command is done (an idle socket, a timer) may not hold it for long. */
const LINGER_MS = 2_000;

async function start(): Promise<void> {
  growYoungGeneration();
  const io = systemIo();
  const defect = (thrown: unknown): void => {
    complain(thrown, io);
    process.exit(70);
  };
  process.on('uncaughtException', defect);
  process.on('unhandledRejection', defect);
  process.exitCode = await main(process.argv.slice(2), io);
  setTimeout(() => process.exit(), LINGER_MS).unref();
}

await start();
