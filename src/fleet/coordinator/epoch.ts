/**
 * Who coordinates. Taking an epoch is safe at any time (ADR 011); this is about when it is right: whoever is at work is left alone, known by a beat that
 * changes by our own clock (F084). One that stands by takes over when the beat stops.
 */
import { BrigadeError, isKind } from '../../core/errors.ts';
import type { Clock } from '../../ports/clock.ts';
import type { Beat, Claim, CoordinatorJournal, Journal } from '../../ports/journal.ts';
import type { Events } from '../../ports/events.ts';

export interface EpochOptions {
  readonly journal: Journal;
  /** Who asks: host and process. */
  readonly holder: string;
  readonly host: string;
  readonly version: string;
  /** Whether the process of this claim is known to be gone, so that nobody need wait to see it silent. */
  readonly isGone?: (holder: string) => boolean;
  /** Waits until whoever is at work is gone; else E_LOCKED_RUN. */
  readonly standby: boolean;
  readonly clock: Clock;
  readonly events: Events;
}

const BEAT_MS = 5000;
/** So long without a new beat, and its coordinator is gone or frozen: either way it is not to be waited for. */
export const SILENT_MS = 30_000;

/** @throws BrigadeError usage E_LOCKED_RUN: somebody else is at work */
export async function takeEpoch(options: EpochOptions, signal: AbortSignal): Promise<CoordinatorJournal> {
  const { journal, holder, standby, clock, events } = options;
  for (let told = false; ;) {
    const over = await journal.current(signal);
    if (over !== undefined && await isAtWork(options, over, signal)) {
      if (!standby) throw atWork(over);
      if (!told) events.emit({ type: 'note', level: 'info', text: `${over.holder} coordinates (epoch ${over.epoch}): standing by` });
      told = true;
      await clock.sleep(BEAT_MS, signal);
      continue;
    }
    try {
      return await journal.claim({ holder, over, signal });
    } catch (thrown) {
      // Somebody was quicker; whether to wait for that one is asked anew.
      if (!(thrown instanceof BrigadeError) || thrown.code !== 'E_LOCKED_RUN') throw thrown;
    }
  }
}

const nameOf = (epoch: number): string => `coordinator-${epoch}`;

/** Of one that cannot be read its name says it. */
export function isCoordinators({ role, worker, unread }: Beat): boolean {
  return role === 'coordinator' || (unread !== undefined && /^coordinator-\d+$/.test(worker));
}

/** Beats of coordinators before this epoch, which were killed, or frozen and will find out: whoever looks who is there reads each of them. */
export function formerCoordinators(beats: readonly Beat[], epoch: number): readonly string[] {
  return beats.filter((beat) => isCoordinators(beat) && Number(beat.worker.slice(nameOf(0).length - 1)) < epoch).map(({ worker }) => worker);
}

async function isAtWork({ journal, clock, isGone }: EpochOptions, { epoch, holder }: Claim, signal: AbortSignal): Promise<boolean> {
  if (isGone?.(holder) === true) return false;
  const beat = async (): Promise<number | undefined> => (await journal.beats(signal)).find(({ worker }) => worker === nameOf(epoch))?.beat;
  const first = await beat();
  if (first === undefined) return false;
  for (const end = clock.monotonic() + SILENT_MS; clock.monotonic() < end;) {
    await clock.sleep(BEAT_MS, signal);
    const now = await beat();
    if (now === undefined) return false;
    if (now !== first) return true;
  }
  return false;
}

function atWork({ holder, epoch, sinceMs }: Claim): BrigadeError {
  return new BrigadeError({
    code: 'E_LOCKED_RUN', kind: 'usage', op: 'coordinate', message: `another coordinator is at work on this journal (epoch ${epoch}): ${holder}, since ${new Date(sinceMs).toISOString()}`,
    hint: 'let it work; brigade coordinator --standby takes over when it is gone',
  });
}

/** Says that this coordinator lives, until it is stopped; then, that it is gone. */
export class Pulse {
  readonly #stop = new AbortController();
  readonly #working: Promise<void>;

  constructor(options: EpochOptions, { claim: { epoch } }: CoordinatorJournal) {
    this.#working = this.#beat(options, epoch);
  }

  async end(): Promise<void> {
    this.#stop.abort();
    await this.#working;
  }

  async #beat({ journal, clock, host, version }: EpochOptions, epoch: number): Promise<void> {
    const beat = (count: number): Beat => ({ worker: nameOf(epoch), role: 'coordinator', beat: count, host, version, tasks: 0 });
    for (let count = 1; !this.#stop.signal.aborted; count++) {
      // A beat that is lost is followed by the next one; whoever takes over meanwhile fences this one.
      await journal.beat(beat(count)).catch((thrown: unknown) => { if (isKind(thrown, 'internal', 'usage')) throw thrown; });
      await clock.sleep(BEAT_MS, this.#stop.signal).catch(() => undefined);
    }
    await journal.leave(nameOf(epoch)).catch(() => undefined); // It falls silent all the same.
  }
}
