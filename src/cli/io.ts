/** The surroundings of one command: streams, environment, time, signals. Tests bring their own. */
import type { Environment } from '../config/index.ts';
import type { Clock, Random } from '../ports/clock.ts';

/** What we need of process.stdout and process.stderr. */
export interface TerminalStream {
  write(text: string, done?: (error?: Error | null) => void): boolean;
  on?(event: 'error', listener: (error: Error) => void): unknown;
  readonly isTTY?: boolean;
  readonly columns?: number;
  readonly rows?: number;
}

export type StopSignal = 'SIGINT' | 'SIGTERM';

export interface Io {
  readonly out: Output;
  readonly err: Output;
  readonly env: Environment;
  readonly cwd: string;
  readonly clock: Clock;
  readonly random: Random;
  /** Calls the listener for every SIGINT and SIGTERM from now on; returns how to end that. */
  readonly onSignal: (listener: (signal: StopSignal) => void) => () => void;
  /** Calls the listener for every SIGHUP from now on; returns how to end that. */
  readonly onHangup: (listener: () => void) => () => void;
  /** Puts a question to whoever sits at the terminal; absent: nobody does. */
  readonly ask?: (question: string) => Promise<string>;
  /** Ends the process at once. */
  readonly die: (code: number) => void;
}

/** C1 controls (a lone U+009B begins an escape sequence), line separators, and marks that turn the direction of text. */
const UNPRINTABLE = /[\u0080-\u009f\u2028\u2029\u200e\u200f\u202a-\u202e\u2066-\u2069]/g;

/** Keys in JSON come out as they are but for these: none may move the cursor of a terminal (F118). To JSON it is the same text. */
function printable(text: string): string {
  return text.replace(UNPRINTABLE, (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`);
}

/** One stream. A reader that left (EPIPE) is no error: what is written afterwards goes nowhere, and `closed` says so. */
export class Output {
  readonly stream: TerminalStream;
  #closed = false;

  constructor(stream: TerminalStream) {
    this.stream = stream;
    stream.on?.('error', (error: Error & { code?: string }) => {
      this.#closed = true;
      if (error.code !== 'EPIPE' && error.code !== 'EIO') this.#failed = error;
    });
  }

  #failed: Error | undefined;

  get closed(): boolean {
    return this.#closed;
  }

  get isTTY(): boolean {
    return this.stream.isTTY === true;
  }

  /** Columns that fit a line; 80 where the stream does not say. */
  get width(): number {
    return this.stream.columns ?? 80;
  }

  write(text: string): void {
    if (this.#failed !== undefined) throw this.#failed;
    if (!this.#closed) this.stream.write(printable(text));
  }

  line(text: string): void {
    this.write(`${text}\n`);
  }

  /** Resolves when the text was taken: for rows without end. */
  async send(text: string): Promise<void> {
    if (this.#closed) return;
    await new Promise<void>((resolve) => { this.stream.write(printable(text), () => resolve()); });
    if (this.#failed !== undefined) throw this.#failed;
  }
}
