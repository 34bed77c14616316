/** One parsed command line, as a command sees it. */
import { resolve } from 'node:path';
import { type Paint, painter } from './colours.ts';
import type { Io, Output } from './io.ts';

export interface Invocation {
  readonly io: Io;
  readonly args: readonly string[];
  readonly options: Options;
}

/** A command: does its work, prints to `io`, and returns the exit code. */
export interface CommandModule {
  readonly execute: (invocation: Invocation) => Promise<number>;
}

/** Options that were written, by their key (`keyOf`). */
export class Options {
  readonly #values: ReadonlyMap<string, string | boolean | readonly string[]>;

  constructor(values: ReadonlyMap<string, string | boolean | readonly string[]>) {
    this.#values = values;
  }

  /** The same and one more. */
  with(name: string, value: string): Options {
    return new Options(new Map([...this.#values, [name, value]]));
  }

  has(name: string): boolean {
    return this.#values.has(name);
  }

  text(name: string): string | undefined {
    const value = this.#values.get(name);
    return typeof value === 'string' ? value : undefined;
  }

  list(name: string): readonly string[] | undefined {
    const value = this.#values.get(name);
    return Array.isArray(value) ? (value as readonly string[]) : undefined;
  }

  /** A whole number; its form was checked when it was parsed. */
  count(name: string): number | undefined {
    const text = this.text(name);
    return text === undefined ? undefined : Number(text);
  }

  /** Options as they were written, by their long names, to hand them to another process. */
  written(names: readonly string[]): string[] {
    return names.flatMap((name) => {
      const value = this.#values.get(name);
      if (value === undefined || value === false) return [];
      if (value === true) return [`--${name}`];
      return (typeof value === 'string' ? [value] : value).flatMap((one) => [`--${name}`, one]);
    });
  }
}

export function stateDir({ io, options }: Invocation): string {
  return resolve(io.cwd, options.text('state-dir') ?? '.brigade');
}

export type Format = 'table' | 'json' | 'ndjson';

export function format({ options }: Invocation): Format {
  return (options.text('format') ?? 'table') as Format;
}

export function paintFor({ io, options }: Invocation, output: Output): Paint {
  return painter(output, io.env, !options.has('no-color'));
}

/** `brigade WORDS`, with the state folder where it is not the default: a line to paste. */
export function nextCommand({ options }: Invocation, words: string): string {
  const state = options.text('state-dir');
  return `brigade ${state === undefined ? '' : `--state ${shellWord(state)} `}${words}`;
}

export function shellWord(text: string): string {
  return /^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", String.raw`'\''`)}'`;
}
