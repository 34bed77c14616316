/** The coordinator of a fleet: a run of today whose executors are workers anywhere, behind a queue, and whose truth is a journal. */
import { hostname } from 'node:os';
import { asBrigadeError, type BrigadeError, errorLine, isKind, usageError } from '../../core/errors.ts';
import { patienceMs } from '../../engine/coordinator.ts';
import { Board } from '../../fleet/coordinator/board.ts';
import { FleetCrew } from '../../fleet/coordinator/crew.ts';
import type { FleetCrewOptions } from '../../fleet/coordinator/crew-options.ts';
import { Pulse, takeEpoch } from '../../fleet/coordinator/epoch.ts';
import { JournalledLedger } from '../../fleet/coordinator/journalled-ledger.ts';
import { mostLeaseMs } from '../../fleet/leases.ts';
import type { SpecReference } from '../../fleet/messages.ts';
import type { TaskCodec } from '../../fleet/task-message.ts';
import { fold } from '../../journal/index.ts';
import type { CoordinatorJournal, Journal } from '../../ports/journal.ts';
import type { Run } from '../../ports/ledger.ts';
import type { MessageQueue } from '../../ports/message-queue.ts';
import type { ManagedCrew } from '../crew.ts';
import { keepOldGenerationSmall } from '../heap.ts';
import { readSaid, writeSaid } from '../limits.ts';
import type { GatherHands, Hands, HandsOptions } from '../migrate.ts';
import { isGone, signature, thisProcess } from './holder.ts';
import { publish, type Published } from './published.ts';
import { specDocument } from './spec.ts';

export interface FleetTools {
  readonly queue: MessageQueue;
  readonly journal: Journal;
  /** Beside all journals, for the migrations that share this queue. */
  readonly board?: Journal;
  /** Asked at each sending: keys may have been rotated. */
  readonly codec: () => TaskCodec;
  /** Offers the migration to plain messages, which name buckets and no migration. */
  readonly offer?: (spec: SpecReference, migration: HandsOptions['migration']) => Promise<unknown>;
  readonly version: string;
  /** Takes over from a coordinator that is at work once that is gone; else it is refused. */
  readonly standby: boolean;
  readonly window: FleetCrewOptions['window'];
  /** The run is to be done in so long: how many workers that takes is published. */
  readonly targetMs?: number;
  readonly onPublished?: (published: Published) => void;
}

/** @throws BrigadeError usage E_LOCKED_RUN, E_JOURNAL_OTHER, E_LEDGER_BEYOND; premise E_JOURNAL_DAMAGED */
export function fleetHands(tools: FleetTools): GatherHands {
  return async (options) => {
    const { migration, around, stores, flags: { adopt } } = options;
    keepOldGenerationSmall();
    const lead = await takeLead(tools, options, adopt);
    try {
      await keepPaused(tools.journal, options);
      const spec: SpecReference = { id: migration.name, sha256: await tools.journal.keep(specDocument(migration, stores.probed), around.signal) };
      // Plain messages are beside the run, which does not fail for them.
      await tools.offer?.(spec, migration).catch((thrown: unknown) => {
        if (around.signal.aborted) throw thrown;
        around.events.emit({ type: 'note', level: 'warn', text: `${migration.name} is not offered to plain messages: ${errorLine(asBrigadeError(thrown, 'offer'))}` });
      });
      return new FleetHands({ ...tools, ...options, ...lead, spec });
    } catch (thrown) {
      await lead.pulse.end();
      throw thrown;
    }
  };
}

/**
 * What somebody said to a coordinator on another machine, or here before this one. A pause that was said here, and taken back there, holds until it is taken
 * back here: that is told. One that was taken back here while nobody coordinated is over.
 */
async function keepPaused(journal: Journal, { index, around }: HandsOptions): Promise<void> {
  const run = index.run()?.number ?? 0;
  const { run: of, pause, by } = await journal.readControl(around.signal) ?? {};
  if (of !== run || pause !== true || by !== 'operator') return;
  const { paused = true, ...said } = readSaid(index.path, run) ?? {};
  writeSaid(index.path, run, paused ? { ...said, paused } : said);
}

/** Who writes the journal from now on, and that he lives. */
export interface Lead {
  readonly pen: CoordinatorJournal;
  readonly pulse: Pulse;
}

/** The journal is this process's, and the ledger has what stands in it. Errors: as `fleetHands`. */
export async function takeLead({ journal, standby, version }: Pick<FleetTools, 'journal' | 'standby' | 'version'>, { index, around }: Pick<HandsOptions, 'index' | 'around'>, adopt = false): Promise<Lead> {
  refuseLocal(index);
  const { clock, events, signal } = around;
  if (!adopt) await journal.bind(index.binding, signal);
  const me = thisProcess();
  const epoch = { journal, holder: signature(me), host: me.host, version, standby, isGone: (holder: string) => isGone(holder, me), clock, events };
  const pen = await takeEpoch(epoch, signal);
  const pulse = new Pulse(epoch, pen);
  try {
    // By nobody who does not hold it: whoever is at work goes on for what it was bound to.
    if (adopt) await journal.rebind(index.binding, signal);
    await catchUp(journal, { index, around });
    return { pen, pulse };
  } catch (thrown) {
    await pulse.end();
    throw thrown;
  }
}

/** What no journal knows cannot be rebuilt, nor told to anybody. */
function refuseLocal(index: HandsOptions['index']): void {
  if (index.run() === undefined || index.foldedTo() !== undefined) return;
  throw usageError('E_LEDGER_LOCAL', 'this ledger has runs of one machine, which no journal knows', 'finish them with brigade run, and give the fleet another --state', index.path);
}

/** All of it, once: what earlier coordinators planned on other machines, and reports that came when nobody folded. */
export async function catchUp(journal: Journal, { index, around }: Pick<HandsOptions, 'index' | 'around'>): Promise<void> {
  const { plans, reports, strangers, damages } = await fold(journal, index, { all: true, signal: around.signal });
  if (plans + reports > 0) around.events.emit({ type: 'note', level: 'info', text: `the ledger took over ${plans} segments and ${reports} reports from the journal` });
  if (strangers > 0) around.events.emit({ type: 'note', level: 'warn', text: `${strangers} reports are of tasks that no coordinator planned who counts: nothing of them is taken over` });
  for (const { message } of damages) around.events.emit({ type: 'note', level: 'warn', text: `${message}; its task is done again` });
}

interface FleetParts extends FleetTools, HandsOptions, Lead {
  readonly spec: SpecReference;
}

/** After a signal: what was told so far may still be written. */
const GRACE_MS = 5_000;

class FleetHands implements Hands {
  readonly ledger: JournalledLedger;
  readonly #lost = new AbortController();
  readonly #stop = new AbortController();
  readonly #closed = new AbortController();
  readonly #parts: FleetParts;
  #crew: FleetCrew | undefined;
  #failure: BrigadeError | undefined;

  constructor(parts: FleetParts) {
    const { index, pen, around } = parts;
    this.#parts = parts;
    if (around.signal.aborted) this.#hurry();
    else around.signal.addEventListener('abort', this.#hurry, { once: true });
    this.ledger = new JournalledLedger({
      ledger: index, pen, clock: around.clock, events: around.events, signal: this.#stop.signal,
      onFailure: (error) => this.#fail(error),
    });
  }

  readonly #hurry = (): void => {
    // Closed before: nothing is to be written any more.
    this.#parts.around.clock.sleep(GRACE_MS, this.#closed.signal).then(() => this.#stop.abort(), () => undefined);
  };

  get lost(): AbortSignal {
    return this.#lost.signal;
  }

  #fail(error: BrigadeError): void {
    this.#failure ??= error;
    this.#crew?.fail(error);
    this.#lost.abort(error);
  }

  /** What is in the queue stays there; the crew knows it from the ledger. */
  resume(): void {}

  crew(run: Run): ManagedCrew {
    const { index, journal, pen, queue, codec, spec, window, around, board, version, stores, flags: { onPause } } = this.#parts;
    const crew = new FleetCrew({
      run: run.number, ledger: index, journalled: this.ledger, journal, pen, queue, codec, spec, window, events: around.events, clock: around.clock,
      ...(board === undefined ? {} : { board: new Board({ journal: board, migration: spec.id, host: hostname(), version, clock: around.clock }) }),
      fold: (into, all = false) => fold(journal, into, { all, reportsOnly: true, signal: around.signal }), quietMs: quietMs(this.#parts), patienceMs: (code) => patienceMs(onPause, code), leavesFiles: stores.destination.facts.names === 'posix',
      onFailure: (error) => this.#fail(error), signal: AbortSignal.any([around.signal, this.lost]),
    });
    this.#crew = crew;
    if (this.#failure !== undefined) crew.fail(this.#failure);
    return managed(crew, this.#publish(run, crew));
  }

  #publish({ number }: Run, crew: FleetCrew): () => void {
    const { index, around, targetMs, onPublished } = this.#parts;
    return publish({ ledger: index.path, run: number, clock: around.clock, read: () => crew.signals(), ...(targetMs === undefined ? {} : { targetMs }), ...(onPublished === undefined ? {} : { hear: onPublished }) });
  }

  settle(): Promise<void> {
    return this.ledger.flush();
  }

  async close(): Promise<void> {
    const { pulse, around } = this.#parts;
    await this.ledger.close();
    around.signal.removeEventListener('abort', this.#hurry);
    this.#closed.abort();
    await pulse.end().catch((thrown: unknown) => {
      if (!isKind(thrown, 'transient', 'throttled', 'premise', 'cancelled')) throw thrown;
      around.events.emit({ type: 'note', level: 'warn', text: 'the journal does not answer: whoever coordinates next waits half a minute' });
    });
  }
}

/** With conditional writes nobody who is late changes anything. */
function quietMs({ stores, queue, migration }: FleetParts): number {
  const { absent, matches } = stores.destination.facts.guards;
  return absent && matches ? 0 : mostLeaseMs(queue.limits) + migration.transfer.stallTimeoutMs;
}

function managed(crew: FleetCrew, stopPublishing: () => void): ManagedCrew {
  return {
    wake: () => crew.wake(),
    hold: () => crew.hold(),
    go: () => crew.go(),
    idle: () => crew.idle(),
    release: () => crew.release(),
    diedMs: () => crew.diedMs(),
    get trouble() { return crew.trouble; },
    limit: (now) => crew.limit(now),
    giveUp: () => crew.giveUp(),
    close: async () => {
      stopPublishing();
      await crew.close();
    },
  };
}
