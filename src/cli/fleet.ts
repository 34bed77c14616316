/** What the commands of a fleet have in common: references among their options, and a stop by signal while they look. */
import { usageError } from '../core/errors.ts';
import type { Invocation } from './invocation.ts';
import { SIGNAL_EXITS, stopOnSignals } from './stopping.ts';

/** Throws E_USAGE. */
export function needed({ options }: Invocation, name: string, fix: string): string {
  const text = options.text(name);
  if (text === undefined) throw usageError('E_USAGE', 'is missing', fix, `--${name}`);
  return text;
}

export function neededJournal(invocation: Invocation): string {
  return needed(invocation, 'journal', 'write --journal s3://bucket/prefix/ or --journal /shared/directory, as for the coordinator');
}

export function neededQueue(invocation: Invocation): string {
  return needed(invocation, 'queue', 'write --queue sqs:NAME, nats:NAME@nats://host:4222 or partitions, as for the coordinator');
}

/** Without `--message-key`, those of these that are set; the second is for a rotation. */
const KEYS = ['BRIGADE_MESSAGE_KEY', 'BRIGADE_MESSAGE_KEY_OTHER'];

/** Where the keys stand; possibly none. */
export function keyReferences({ io, options }: Invocation): readonly string[] {
  return options.list('message-key') ?? KEYS.filter((name) => (io.env[name] ?? '') !== '').map((name) => `env:${name}`);
}

/** Until it is done, or a signal comes: then that signal's exit code. */
export async function untilStopped({ io }: Invocation, work: (signal: AbortSignal) => Promise<number>): Promise<number> {
  const stopping = stopOnSignals(io, { say: (text) => io.err.line(text) });
  try {
    return await work(stopping.signal);
  } catch (thrown) {
    const by = stopping.by();
    if (by !== undefined) return SIGNAL_EXITS[by];
    throw thrown;
  } finally {
    stopping.end();
  }
}
