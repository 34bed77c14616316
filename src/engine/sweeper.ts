/**
 * What killed processes leave behind (F072): unfinished uploads cost money and hide, unfinished files take room. Only our own are touched:
 * uploads in our ledger; uploads begun during this run, or one before it that was given up, for a key that this run has settled (their answer was lost before the ledger knew the
 * id); files of killed writers that nobody has changed since.
 */
import { isCanary } from '../core/canary.ts';
import { isKind } from '../core/errors.ts';
import type { ItemState } from '../core/item.ts';
import type { Clock } from '../ports/clock.ts';
import type { Events } from '../ports/events.ts';
import type { Ledger, Run } from '../ports/ledger.ts';
import type { Store } from '../ports/storage.ts';

export interface SweepContext {
  readonly ledger: Ledger;
  readonly run: number;
  readonly destination: Store;
  readonly events: Events;
  readonly clock: Clock;
}

/** Uploads of this run whose object is still pending stay: another process goes on with their parts, unless the run was given up. */
export async function sweepUploads(context: SweepContext, signal: AbortSignal): Promise<void> {
  const { ledger, run, destination, events } = context;
  const goesOn = !isGivenUp(context);
  for (const open of ledger.openUploads()) {
    if (goesOn && open.run === run && ledger.item(run, open.upload.key)?.state === 'pending') continue;
    try {
      await destination.multipart?.abort(open.upload, signal);
      await ledger.forgetUpload(open.task, open.upload.id);
    } catch (error) {
      // A store that will not abort now will be asked again at the next sweep; the run itself is not worse for it.
      if (isKind(error, 'cancelled')) throw error;
      events.emit({ type: 'note', level: 'warn', text: `could not abort an unfinished upload of ours: ${error instanceof Error ? error.message : String(error)}` });
    }
  }
}

function isGivenUp({ ledger, run }: SweepContext): boolean {
  return ledger.run(run)?.state === 'abandoned';
}

/**
 * After the last write of a run, and what nobody's word in the ledger leads to. `atWorkSinceMs`: whatever was written before that was by processes that
 * are gone; `diedMs`: when one of the later ones died. Wall clock.
 */
export async function sweepLeftovers(context: SweepContext, { atWorkSinceMs, diedMs = 0 }: { readonly atWorkSinceMs: number; readonly diedMs?: number | undefined }, signal: AbortSignal): Promise<void> {
  const run = context.ledger.run(context.run);
  if (run === undefined) return;
  const sinceMs = writtenSinceMs(context.ledger, run);
  const isFollowing = run.resumes > 0 || sinceMs < run.startedMs;
  const died = Math.max(diedMs, isFollowing ? atWorkSinceMs : 0);
  await sweepStrays(context, sinceMs, died > 0, signal);
  if (died > 0) await sweepFiles(context, died, signal);
}

/** Since when nobody has swept: the start of this run, or of the first of the runs before it that were given up, which swept nothing. */
export function writtenSinceMs(ledger: Pick<Ledger, 'run'>, run: Pick<Run, 'number' | 'startedMs'>): number {
  let sinceMs = run.startedMs;
  for (let number = run.number - 1; number > 0; number--) {
    const before = ledger.run(number);
    if (before?.state !== 'abandoned') break;
    sinceMs = Math.min(sinceMs, before.startedMs);
  }
  return sinceMs;
}

/** Clocks of stores may be this far from ours without anybody having been warned (doctor warns from there on). */
const SKEW_MS = 60_000;
/** A look at a store is over within seconds: what is older was begun by a process that was killed at it. */
const LOOK_MS = 60_000;

/**
 * After the last write of a run: uploads that nobody recorded. One request where there is nothing to find; on a file system, where there is
 * one only if a process `died` between beginning an upload and telling of it, a walk.
 */
async function sweepStrays(context: SweepContext, sinceMs: number, died: boolean, signal: AbortSignal): Promise<void> {
  const { ledger, run, destination, events, clock } = context;
  const isFollowing = sinceMs < (ledger.run(run)?.startedMs ?? 0);
  const { multipart } = destination;
  if (multipart === undefined || isWalk(destination, died)) return;
  const isOver = isGivenUp(context);
  const recorded = new Set(ledger.openUploads().map(({ upload }) => upload.id));
  try {
    for await (const { key, id, initiatedMs } of multipart.listUploads(signal)) {
      if (initiatedMs === undefined || recorded.has(id)) continue;
      const isStray = initiatedMs >= sinceMs - SKEW_MS && isSettled(ledger.item(run, key)?.state, isFollowing, isOver);
      if (isCanary(key) ? initiatedMs < clock.now() - LOOK_MS - SKEW_MS : isStray) await multipart.abort({ key, id, size: 0, partSize: 0 }, signal);
    }
  } catch (error) {
    if (isKind(error, 'cancelled')) throw error;
    events.emit({ type: 'note', level: 'warn', text: `could not look for unfinished uploads: ${error instanceof Error ? error.message : String(error)}` });
  }
}

function isWalk({ facts }: Store, died: boolean): boolean {
  return facts.names === 'posix' && !died;
}

/** `isFollowing`: what is unchanged now may have been written by the run before, which was given up. `isOver`: so was this one, and nobody goes on with what is pending. */
function isSettled(state: ItemState | undefined, isFollowing: boolean, isOver: boolean): boolean {
  return state === 'copied' || state === 'failed' || state === 'skipped' || (isFollowing && state === 'unchanged') || (isOver && state === 'pending');
}

/** Files of writers that were killed before this moment (wall clock). */
async function sweepFiles(context: SweepContext, beforeMs: number, signal: AbortSignal): Promise<void> {
  const removed = (await context.destination.sweep?.(beforeMs, signal)) ?? 0;
  if (removed > 0) context.events.emit({ type: 'note', level: 'info', text: `removed ${removed} unfinished files of killed writers` });
}
