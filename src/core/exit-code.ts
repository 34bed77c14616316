/** The exit codes of every command, and the one function that gives a run its own (truth 14, F088). */
import type { BrigadeError } from './errors.ts';
import type { Tally } from './item.ts';

export const EXIT = {
  clean: 0,
  someFailed: 1,
  usage: 2,
  verifyDiffers: 3,
  doctorBlocker: 4,
  paused: 5,
  limitReached: 8,
  internal: 70,
  sigint: 130,
  sigterm: 143,
} as const;
export type ExitCode = (typeof EXIT)[keyof typeof EXIT];

export const EXIT_MEANINGS: readonly (readonly [ExitCode, string])[] = [
  [EXIT.clean, 'clean: everything listed is accounted for'],
  [EXIT.someFailed, 'finished, but some objects failed, or were skipped against the migration’s word'],
  [EXIT.usage, 'usage or configuration; nothing was moved'],
  [EXIT.verifyDiffers, 'verify found differences'],
  [EXIT.doctorBlocker, 'doctor found a blocker'],
  [EXIT.paused, 'stopped, paused or cancelled; run it again to go on'],
  [EXIT.limitReached, 'a limit was reached'],
  [EXIT.internal, 'a defect of brigade, or a damaged ledger'],
  [EXIT.sigint, 'stopped by Ctrl-C'],
  [EXIT.sigterm, 'stopped by SIGTERM'],
];

/** Skips that a migration must allow by name; every other skip follows from an option of the file. */
export const SKIPS_TO_ALLOW: ReadonlySet<string> = new Set(['archived']);

export interface RunFacts {
  readonly tally: Tally;
  readonly finished: boolean;
  readonly findings?: number;
  readonly allowArchived: boolean;
  readonly requireObjects: boolean;
}

export function exitCodeOf({ tally, finished, findings = 0, allowArchived, requireObjects }: RunFacts): ExitCode {
  if (!finished || tally.pending.objects > 0) return EXIT.paused;
  const parts = tally.copied.objects + tally.unchanged.objects + tally.skipped.objects + tally.failed.objects;
  if (parts !== tally.listed.objects) return EXIT.internal;
  if (findings > 0) return EXIT.verifyDiffers;
  const refusedSkip = tally.byCode.some(({ state, code }) => state === 'skipped' && SKIPS_TO_ALLOW.has(code) && !allowArchived);
  if (tally.failed.objects > 0 || refusedSkip || (requireObjects && tally.listed.objects === 0)) return EXIT.someFailed;
  return EXIT.clean;
}

export function exitCodeOfError(error: BrigadeError): ExitCode {
  switch (error.kind) {
    case 'usage': return EXIT.usage;
    case 'internal': return EXIT.internal;
    case 'throttled': case 'transient': case 'gone': case 'changed': case 'conflict': case 'premise':
    case 'object': case 'unsupported': case 'cancelled': return EXIT.paused;
  }
}

/** Of several files the worst, in this order. */
const WORST_FIRST: readonly number[] = [EXIT.internal, EXIT.sigint, EXIT.sigterm, EXIT.usage, EXIT.doctorBlocker, EXIT.paused, EXIT.limitReached, EXIT.verifyDiffers, EXIT.someFailed, EXIT.clean];

export function worstExit(codes: readonly number[]): number {
  const rank = (code: number): number => { const at = WORST_FIRST.indexOf(code); return at < 0 ? 0 : at; };
  return codes.reduce((worst, code) => (rank(code) < rank(worst) ? code : worst), EXIT.clean as number);
}
