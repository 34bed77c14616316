/**
 * The log: one JSON object per line (ndjson). Every line is bounded, every text is escaped so that a key cannot forge a line or move the
 * cursor (F118), and what looks like a secret is not written (I10).
 */
import { closeSync, openSync, writeSync } from 'node:fs';
import { BrigadeError, errorFacts } from '../core/errors.ts';
import { HIDDEN, looksSecret, Secret } from '../core/secret.ts';
import type { Clock } from '../ports/clock.ts';

export const LOG_LEVELS = ['debug', 'info', 'warn', 'error'] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];
export type LogFields = Readonly<Record<string, unknown>>;

export interface Log {
  debug(message: string, fields?: LogFields): void;
  info(message: string, fields?: LogFields): void;
  warn(message: string, fields?: LogFields): void;
  error(message: string, fields?: LogFields): void;
  /** The same log, with these fields on every line. */
  with(fields: LogFields): Log;
}

/** Where lines go. */
export interface LogSink {
  write(line: string): void;
  close(): void;
}

export interface LogOptions {
  readonly sink: LogSink;
  readonly clock: Clock;
  readonly level?: LogLevel;
  /** Longest line in UTF-16 units, newline included. Longer ones lose their fields and say `truncated`. */
  readonly maxLine?: number;
}

const LONGEST_TEXT = 2_000;
const DEEPEST = 6;
const MOST_MEMBERS = 100;

export function createLog(options: LogOptions, bound: LogFields = {}): Log {
  const least = LOG_LEVELS.indexOf(options.level ?? 'info');
  const at = (level: LogLevel) => (message: string, fields: LogFields = {}) => {
    if (LOG_LEVELS.indexOf(level) >= least) options.sink.write(line(options, level, message, { ...bound, ...fields }));
  };
  return {
    debug: at('debug'),
    info: at('info'),
    warn: at('warn'),
    error: at('error'),
    with: (fields) => createLog(options, { ...bound, ...fields }),
  };
}

function line(options: LogOptions, level: LogLevel, message: string, fields: LogFields): string {
  const most = options.maxLine ?? 8_192;
  const head = { time: new Date(options.clock.now()).toISOString(), level, message: plain(message, 0) };
  const whole = `${encode({ ...(plain(fields, 0) as object), ...head })}\n`;
  if (whole.length <= most) return whole;
  return `${encode({ ...head, message: String(head.message).slice(0, Math.max(0, most - 200) / 6), truncated: true })}\n`;
}

/** JSON whose every character is printable: also C1 controls, line separators and marks that turn the direction of text. */
function encode(value: unknown): string {
  const unprintable = /[\u007f-\u009f\u2028\u2029\u200e\u200f\u202a-\u202e\u2066-\u2069]/g;
  return JSON.stringify(value).replace(unprintable, (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, '0')}`);
}

/** The value as plain data: bounded in depth and size, without secrets, cycles or functions. */
function plain(value: unknown, depth: number): unknown {
  if (typeof value === 'string') return plainText(value);
  if (typeof value === 'bigint') return value.toString();
  if (typeof value !== 'object' || value === null) return typeof value === 'function' || typeof value === 'symbol' ? undefined : value;
  if (value instanceof Secret) return HIDDEN;
  if (depth >= DEEPEST) return '…';
  return plainObject(value, depth);
}

function plainText(text: string): string {
  if (looksSecret(text)) return HIDDEN;
  return text.length > LONGEST_TEXT ? `${text.slice(0, LONGEST_TEXT - 1)}…` : text;
}

function plainObject(value: object, depth: number): unknown {
  if (value instanceof BrigadeError) return plain(errorFacts(value), depth);
  if (value instanceof Error) return { name: value.name, message: plainText(value.message) };
  if (value instanceof Date) return value.toISOString();
  if (ArrayBuffer.isView(value)) return `${value.byteLength} bytes`;
  if (Array.isArray(value) || value instanceof Set) return [...value].slice(0, MOST_MEMBERS).map((member) => plain(member, depth + 1));
  const members = value instanceof Map ? [...value.entries()] : Object.entries(value);
  return Object.fromEntries(members.slice(0, MOST_MEMBERS).map(([name, member]) => [String(name), plain(member, depth + 1)]));
}

/** Appends to a file that only its owner can read. Lines are written whole, one call each, so that processes may share the file. */
export function fileSink(path: string): LogSink {
  const file = openSync(path, 'a', 0o600);
  return { write: (text) => writeWhole(file, text), close: () => closeSync(file) };
}

export function stderrSink(): LogSink {
  return { write: (text) => writeWhole(2, text), close: () => undefined };
}

function writeWhole(file: number, text: string): void {
  try {
    writeSync(file, text);
  } catch (thrown) {
    // A full pipe or disk, or a reader that left: a lost log line must not stop a copy. Anything else is a defect.
    const code = (thrown as NodeJS.ErrnoException).code ?? '';
    if (!['EAGAIN', 'EPIPE', 'ENOSPC', 'EDQUOT', 'EIO'].includes(code)) throw thrown;
  }
}
