/**
 * From the keys of a plain message to items, as the plan makes them of a listing: both stores are asked for each (engine/look.ts). What needs no copy is reported
 * at once; the rest goes to the copier, as any task does.
 */
import { asBrigadeError, BrigadeError, isKind } from '../../core/errors.ts';
import type { Item, Outcome } from '../../core/item.ts';
import type { Key } from '../../core/key.ts';
import { sizeClass } from '../../core/pack.ts';
import type { Draft } from '../../engine/drafts.ts';
import type { Look } from '../../engine/look.ts';
import { ATTEMPTS } from '../../engine/options.ts';
import { FINAL, NETWORK, pauseMs, problemOf } from '../../engine/worker.ts';
import type { Clock, Random } from '../../ports/clock.ts';
import type { Events } from '../../ports/events.ts';
import type { Journal } from '../../ports/journal.ts';
import { taskNamed } from '../content.ts';
import type { FleetTask } from '../task-message.ts';
import { Known } from './known.ts';
import type { OpenMigration } from './open-migration.ts';
import type { PlainTask } from './plain-intake.ts';
import { sendingOf } from './recorder.ts';

export interface LookingOptions {
  readonly journal: Journal;
  readonly opened: Pick<OpenMigration, 'looking' | 'probe'>;
  readonly worker: string;
  readonly clock: Clock;
  readonly random: Random;
  readonly events: Events;
  readonly signal: AbortSignal;
  /** A premise fails: that is the migration's matter, as when a copy meets it. */
  readonly fell: (error: BrigadeError) => void;
}

/** Two questions each; how many of them go out is the governors' matter. */
const AT_ONCE = 32;

interface Looked {
  readonly item?: Item;
  readonly outcome?: Outcome;
}

/** What is left of it to copy, with what was reported of it before. `again`: it was delivered before. @throws what keeps all of them from being looked at */
export async function looked({ id, spec, body }: PlainTask, again: boolean, options: LookingOptions): Promise<{ readonly task: FleetTask; readonly known: Known; readonly again: boolean }> {
  const known = new Known(taskNamed(id), 0, 0, body.message);
  if (again) await known.catchUp(options.journal, options.signal);
  const items = known.closed ? [] : await itemsOf(body, known, options);
  return { known, again, task: { name: known.name, spec, run: body.run, size: items.some(({ size }) => sizeClass(size) === 'large') ? 'large' : 'small', sending: 0, items } };
}

async function itemsOf({ keys, outside }: PlainTask['body'], known: Known, options: LookingOptions): Promise<readonly Item[]> {
  const { looking } = options.opened;
  if (looking === undefined) throw new BrigadeError({ code: 'E_INTERNAL', kind: 'internal', op: 'plain message', message: 'the migration was opened for sealed messages only' });
  const look = looking();
  const found = await all(keys.filter((key) => !known.isDone(key)), (key) => lookAt(key, look, options));
  const refused = outside.filter((key) => !known.isDone(key)).map(beyond);
  const settled = [...found.flatMap(({ outcome }) => outcome ?? []), ...refused];
  const items = found.flatMap(({ item }) => item ?? []);
  if (settled.length === 0) return items;
  await options.journal.report(known.name, { worker: options.worker, outcomes: settled, close: items.length === 0, parts: [], ...sendingOf(known) }, options.signal, known.reports);
  for (const outcome of settled) options.events.emit({ type: 'ended', outcome, size: outcome.size ?? 0 });
  // Read back, so that what it knows is what stands there.
  await known.catchUp(options.journal, options.signal);
  return items;
}

/** In their order. Nothing goes on behind an error. */
async function all<T, R>(them: readonly T[], work: (one: T) => Promise<R>): Promise<readonly R[]> {
  const done: R[] = [];
  for (let at = 0; at < them.length; at += AT_ONCE) {
    const some = await Promise.allSettled(them.slice(at, at + AT_ONCE).map(work));
    for (const one of some) {
      if (one.status === 'rejected') throw one.reason;
      done.push(one.value);
    }
  }
  return done;
}

/** As the copier tries an object: what is wrong with it alone fails it, what is wrong with a store is thrown. */
async function lookAt(key: Key, look: Look, { opened, clock, random, signal, fell }: LookingOptions): Promise<Looked> {
  for (let attempts = 1; ; attempts++) {
    try {
      return settledBy(await look(key, signal));
    } catch (thrown) {
      const error = asBrigadeError(thrown, 'look');
      await rethrowIfPremise(error, opened, signal).catch((premise: unknown) => {
        if (isKind(premise, 'premise')) fell(premise);
        throw premise;
      });
      if (attempts >= ATTEMPTS || isKind(error, ...FINAL)) return { outcome: failure(key, attempts, error) };
      await clock.sleep(pauseMs(attempts, random), signal);
    }
  }
}

async function rethrowIfPremise(error: BrigadeError, { probe }: LookingOptions['opened'], signal: AbortSignal): Promise<void> {
  if (signal.aborted || isKind(error, 'premise', 'throttled', 'cancelled')) throw error;
  if (NETWORK.has(error.code)) await probe?.(signal);
}

function settledBy({ item, problem }: Draft): Looked {
  const { key, state, size, source, destination, evidence, attempts } = item;
  if (state === 'pending' || state === 'extra') return { item };
  return { outcome: { key, state, size, source, evidence, attempts, bytesSent: 0, ms: 0, ...(destination === undefined ? {} : { destination }), ...(problem === undefined ? {} : { problem }) } };
}

function failure(key: Key, attempts: number, error: BrigadeError): Outcome {
  return { key, state: 'failed', evidence: 'none', attempts, bytesSent: 0, ms: 0, problem: problemOf(error) };
}

function beyond(key: Key): Outcome {
  return { key, state: 'failed', evidence: 'none', attempts: 0, bytesSent: 0, ms: 0, problem: { code: 'E_PLAIN_KEY', kind: 'object', message: 'the migration does not copy this key: it is not below the prefix of its source', hint: 'send keys below that prefix only, or offer a migration of the whole bucket' } };
}
