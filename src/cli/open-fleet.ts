/** What `--queue`, `--journal` and `--message-key` open, for one command of a fleet. */
import { fleetHands } from '../app/fleet/coordinator.ts';
import { openJournals } from '../app/fleet/journal.ts';
import { type FreshKeys, messageKeys } from '../app/fleet/message-key.ts';
import { offer } from '../app/fleet/offers.ts';
import { openQueue } from '../app/fleet/queue.ts';
import type { OpenFleet } from '../app/migrate.ts';
import { fanOut } from '../app/events.ts';
import { checkJournal, type Migration } from '../config/index.ts';
import { parseDuration } from '../config/units.ts';
import { usageError } from '../core/errors.ts';
import type { Events } from '../ports/events.ts';
import { keyReferences } from './fleet.ts';
import type { Invocation } from './invocation.ts';
import type { RunMetrics } from './metrics.ts';
import { productVersion } from './product.ts';

/** Whether this command line names a fleet. @throws usage E_USAGE for half of one */
export function isFleet({ options }: Invocation, needed = false): boolean {
  const missing = (['queue', 'journal'] as const).filter((name) => options.text(name) === undefined);
  if (missing.length === 0) return true;
  if (!needed && missing.length === 2) return false;
  throw usageError('E_USAGE', `--${missing[0]} is missing: a fleet has a queue and a journal`, 'write --queue sqs:NAME, nats:NAME@nats://host:4222 or partitions:N, and --journal s3://bucket/prefix/ or a shared directory');
}

export function keysOf(invocation: Invocation): Promise<FreshKeys> {
  const { env, cwd, clock } = invocation.io;
  return messageKeys(keyReferences(invocation), { env, cwd, clock });
}

/** For a coordinator. */
export async function openFleet(invocation: Invocation, migration: Migration, events: Events, signal: AbortSignal, metrics?: RunMetrics): Promise<OpenFleet> {
  const { io, options } = invocation;
  const around = { env: io.env, cwd: io.cwd, clock: io.clock, random: io.random, events: metrics === undefined ? events : fanOut([events, metrics.journal]) };
  const window = windowOf(options.text('window'));
  const target = options.text('drain-target');
  const keys = await keysOf(invocation);
  const journals = openJournals(options.text('journal') ?? '', around);
  try {
    checkJournal(migration, journals.place(migration.name));
    const journal = await journals.open(migration.name);
    await journals.prove(migration.name, signal);
    const queue = await openQueue(options.text('queue') ?? '', { ...around, journals, seat: 'coordinator' });
    const ended = new AbortController();
    void keys.keepFresh(AbortSignal.any([signal, ended.signal]), events);
    const board = await journals.board(queue.describe);
    const gather = fleetHands({ queue, journal, board, codec: () => keys.codec, offer: async (spec, offered) => offer(await journals.offers(), keys.codec, spec, offered), version: productVersion(), standby: options.has('standby'), window, ...(target === undefined ? {} : { targetMs: parseDuration(target) }), ...(metrics === undefined ? {} : { onPublished: metrics.hear }) });
    return {
      gather,
      close: async () => {
        ended.abort();
        await queue.close();
        await journals.close();
      },
    };
  } catch (thrown) {
    await journals.close();
    throw thrown;
  }
}

/** `feed.window` of D23. */
function windowOf(text: string | undefined): 'auto' | 'all' | number {
  if (text === undefined || text === 'auto') return 'auto';
  if (text === 'all') return 'all';
  if (/^[1-9]\d{0,8}$/.test(text)) return Number(text);
  throw usageError('E_USAGE', `--window ${JSON.stringify(text)} is neither a number of tasks, nor auto, nor all`, 'write --window 10000', '--window');
}
