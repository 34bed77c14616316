/** What `doctor` finds, one line per check. */
import type { Environment, Migration } from '../config/index.ts';
import type { Clock, Random } from '../ports/clock.ts';

export interface DoctorLine {
  /** What was checked: `source: reach`, `destination: conditional writes`. */
  readonly name: string;
  readonly status: 'OK' | 'WARN' | 'FAIL';
  readonly message: string;
  /** What the operator can do; present for every WARN and FAIL. */
  readonly fix?: string;
}

export interface DoctorAround {
  readonly stateDir: string;
  readonly env: Environment;
  readonly clock: Clock;
  readonly random: Random;
  readonly signal: AbortSignal;
  /** Also what a fleet needs. */
  readonly fleet?: FleetAround;
}

/** As written on the command line; what is absent is not checked. */
export interface FleetAround {
  readonly queue?: string;
  readonly journal?: string;
  /** None: that is told. */
  readonly messageKeys?: readonly string[];
  /** Where relative paths start. */
  readonly cwd: string;
}

/** Lines come as they are found. A FAIL is a line, not an error; only a defect of ours throws. */
export type Doctor = (migration: Migration, around: DoctorAround) => AsyncIterable<DoctorLine>;
