/** A migration as a worker needs it: whoever composes the program opens it. */
import type { BrigadeError } from '../../core/errors.ts';
import type { Rates } from '../../core/timetable.ts';
import type { Look } from '../../engine/look.ts';
import type { Recorder, TaskQueue } from '../../ports/queue.ts';

/** The two stores of a migration and what copies between them. */
export interface OpenMigration {
  /** Takes tasks until the signal fires (resolves), or rejects with what stops all of them. Nothing of it goes on afterwards. */
  copy(queue: TaskQueue, recorder: Recorder, signal: AbortSignal): Promise<void>;
  /** So many processes share its limits. */
  setShare(processes: number): void;
  /** Of the whole fleet. */
  setRates(rates: Rates): void;
  close(): Promise<void>;
  /** What it reads and writes, as its credentials reach it: other migrations of the same places share what is found wrong with them. */
  readonly places?: readonly string[];
  /** Of these: where this error comes from. */
  blame?(error: BrigadeError): readonly string[];
  /** One question to each store. @throws what is wrong */
  probe?(signal: AbortSignal): Promise<void>;
  /** For keys that a plain message names; as of now. */
  looking?(): Look;
}
