/**
 * What several migrations that share a queue know of each other. A queue counts its messages and not whose they are, so each coordinator says on a board
 * beside their journals how many of its tasks are outstanding, and takes what the others say from the queue's count. Coordinators whose journals lie
 * elsewhere know nothing of each other: of what they lose among the others' messages only the far net hears (outstanding.ts).
 *
 * Whoever says too little costs time, too much costs messages that are sent in vain: so of each the least of its last two words counts, nothing of who was
 * never heard to speak, and nothing of who fell silent, though its messages may well be there.
 */
import { isKind } from '../../core/errors.ts';
import type { Clock } from '../../ports/clock.ts';
import type { Beat, Journal } from '../../ports/journal.ts';

export interface BoardOptions {
  /** Of nobody's: only its beats are used, one a migration. */
  readonly journal: Pick<Journal, 'beat' | 'beats' | 'leave'>;
  readonly migration: string;
  readonly host: string;
  readonly version: string;
  readonly clock: Clock;
}

interface Heard {
  readonly beat: number;
  /** By our own clock (F084): when it had changed. Absent: it has not, as long as we looked. */
  readonly changedMs?: number;
  readonly tasks: number;
  readonly least: number;
}

/** Said anew also where nothing changed. */
const SAY_MS = 10_000;
const SILENT_MS = 30_000;

export class Board {
  readonly #options: BoardOptions;
  #heard = new Map<string, Heard>();
  #beat = 0;
  #said = 0;
  #saidMs = Number.NEGATIVE_INFINITY;

  constructor(options: BoardOptions) {
    this.#options = options;
  }

  /** So many of this migration's tasks are outstanding. A board that does not answer hinders nobody: the others wait longer for what they lost. */
  async say(tasks: number, signal?: AbortSignal): Promise<void> {
    const { journal, migration, host, version, clock } = this.#options;
    const now = clock.monotonic();
    // Of nothing nobody takes anything away: that it is so need not be said twice.
    if (tasks === this.#said && (tasks === 0 || now - this.#saidMs < SAY_MS)) return;
    // Where another one of this migration spoke before, its word is not to be taken for this one's.
    this.#beat = Math.max(this.#beat + 1, Math.floor(clock.now()));
    const beat: Beat = { worker: migration, role: 'coordinator', beat: this.#beat, host, version, tasks };
    if (await unlessAway(journal.beat(beat, signal).then(() => true), false)) [this.#said, this.#saidMs] = [tasks, now];
  }

  /** How many messages of others there are at least. Looked at anew each time: only who was seen to change between two looks counts. */
  async others(signal?: AbortSignal): Promise<number> {
    const { journal, migration, clock } = this.#options;
    const beats = await unlessAway(journal.beats(signal), []);
    const now = clock.monotonic();
    this.#heard = new Map(beats.filter(({ worker }) => worker !== migration).map((beat) => [beat.worker, heard(this.#heard.get(beat.worker), beat, now)]));
    const counting = [...this.#heard.values()].filter(({ changedMs }) => changedMs !== undefined && now - changedMs <= SILENT_MS);
    return counting.reduce((sum, { least }) => sum + least, 0);
  }

  async leave(): Promise<void> {
    if (this.#beat > 0) await unlessAway(this.#options.journal.leave(this.#options.migration), undefined);
  }
}

function heard(before: Heard | undefined, { beat, tasks }: Beat, now: number): Heard {
  if (before === undefined) return { beat, tasks, least: tasks };
  return before.beat === beat ? before : { beat, changedMs: now, tasks, least: Math.min(tasks, before.tasks) };
}

async function unlessAway<T>(answer: Promise<T>, otherwise: T): Promise<T> {
  try {
    return await answer;
  } catch (thrown) {
    if (isKind(thrown, 'internal', 'usage')) throw thrown;
    return otherwise;
  }
}
