/**
 * How `--queue` and `--journal` are written: a place, then `?name=value&…`. A value may be percent-encoded, and must be where it holds `&` or `%`; `#`, `+`
 * and `:` stand for themselves. There is never a secret in it: credentials are references, so that what `ps` shows and a log repeats tells nobody anything.
 */
import { type Environment, credentialsFrom, secretFrom, type CredentialRef } from '../../config/index.ts';
import { nearestWord } from '../../config/nearest.ts';
import { parseDuration } from '../../config/units.ts';
import { Problem, configError, quoteValue } from '../../config/problem.ts';
import type { ValueRef } from '../../config/index.ts';

export interface Surroundings {
  readonly env: Environment;
  /** Where relative paths start. */
  readonly cwd: string;
}

/** Options of one reference, each read at most once; what is left over at the end was not meant for it. */
export class Written {
  readonly argument: string;
  readonly place: string;
  readonly cwd: string;
  readonly #options: ReadonlyMap<string, string>;

  /** `hasOptions` false: a `?` is a character like any. @throws usage E_CONFIG for an option that is none of `known`, is empty or stands twice. */
  constructor(text: string, argument: string, known: readonly string[], cwd: string, hasOptions = true) {
    const at = hasOptions ? text.indexOf('?') : -1;
    this.argument = argument;
    this.cwd = cwd;
    this.place = at < 0 ? text : text.slice(0, at);
    this.#options = at < 0 ? new Map() : parse(text.slice(at + 1), argument, known);
  }

  text(name: string): string | undefined {
    return this.#options.get(name);
  }

  /** `true`, `false` or nothing. */
  yes(name: string): boolean {
    const text = this.#options.get(name) ?? 'false';
    if (text !== 'true' && text !== 'false') throw this.wrong(`${name} is neither true nor false`, `write ${name}=true`);
    return text === 'true';
  }

  count(name: string, most: number): number | undefined {
    const text = this.#options.get(name);
    if (text === undefined) return undefined;
    if (!/^[1-9]\d{0,8}$/.test(text) || Number(text) > most) throw this.wrong(`${name} is no whole number from 1 to ${most}`, `write ${name}=1`);
    return Number(text);
  }

  durationMs(name: string, least: number, most: number): number | undefined {
    const text = this.#options.get(name);
    if (text === undefined) return undefined;
    try {
      const ms = parseDuration(text);
      if (ms >= least && ms <= most) return ms;
    } catch (thrown) {
      if (!(thrown instanceof Problem)) throw thrown;
    }
    throw this.wrong(`${name} is no time from ${least / 1000} s to ${most / 3_600_000} h`, `write ${name}=30s`);
  }

  credentials(name: string): CredentialRef | undefined {
    const text = this.#options.get(name);
    return text === undefined ? undefined : credentialsFrom(text, { argument: `${this.argument} ${name}`, cwd: this.cwd });
  }

  secret(name: string): ValueRef | undefined {
    const text = this.#options.get(name);
    return text === undefined ? undefined : secretFrom(text, { argument: `${this.argument} ${name}`, cwd: this.cwd });
  }

  wrong(what: string, fix: string): Error {
    return configError(this.argument, what, fix);
  }
}

function parse(text: string, argument: string, known: readonly string[]): ReadonlyMap<string, string> {
  const options = new Map<string, string>();
  for (const pair of text.split('&')) {
    const equals = pair.indexOf('=');
    const name = equals < 0 ? pair : pair.slice(0, equals);
    if (!known.includes(name)) throw unknown(name, argument, known);
    if (options.has(name)) throw configError(argument, `${name} stands twice`, 'keep one of them');
    const value = equals < 0 ? '' : decoded(pair.slice(equals + 1), name, argument);
    if (value === '') throw configError(argument, `${name} has no value`, `write ${name}=…`);
    options.set(name, value);
  }
  return options;
}

function unknown(name: string, argument: string, known: readonly string[]): Error {
  const near = nearestWord(name, known);
  return configError(argument, `${quoteValue(name)} is not an option here`, near === undefined ? `known: ${known.join(', ')}` : `did you mean ${near}`);
}

function decoded(text: string, name: string, argument: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    // The text may be a secret that was put there by mistake: it is not repeated.
    throw configError(argument, `${name} has a % that begins no percent-encoded character`, 'write %25 for a %');
  }
}
