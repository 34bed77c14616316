/**
 * The limits of a run while it works: what the migration file says, its timetable, and what an operator said meanwhile. The last stands in a
 * small file beside the ledger, which the coordinator looks at; it counts for one run, however often that is resumed. There stands, too, that
 * somebody paused or cancelled the run: a pause is above all limits and leaves them as they are.
 */
import { readFileSync, rmSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { Limits } from '../config/index.ts';
import { isKind, usageError } from '../core/errors.ts';
import { type InForce, type RateChange, ratesAt, sameRates, showMoment, type Timetable } from '../core/timetable.ts';
import { showBandwidth, showCount } from '../core/units.ts';
import type { Clock } from '../ports/clock.ts';
import { writeWhole } from './whole-file.ts';

export interface KeeperOptions {
  readonly limits: Limits;
  readonly clock: Clock;
  /** Where an operator's word is looked for; absent: nowhere. */
  readonly told?: { readonly ledger: string; readonly run: number };
  /** Hears what holds: at once, and whenever that changes. */
  readonly apply: (now: InForce) => void;
  /** Somebody cancelled the run. Once; nothing is applied after it. */
  readonly cancel?: () => void;
}

/** Looks this often whether an operator said something: of the ten seconds in which a fleet obeys, its workers need five to hear of it. */
const LOOK_MS = 1_000;
/** A wall clock may be set, or a machine sleep, so that no wait is longer (F084). */
const LONGEST_WAIT_MS = 30_000;

/** Returns how to stop it. */
export function keepLimits(options: KeeperOptions): () => void {
  const stop = new AbortController();
  const timetable = timetableOf(options.limits);
  let last: InForce | undefined;
  let said: Said | undefined;
  const look = (): number => {
    const nowMs = options.clock.now();
    said = saidNow(options, said);
    if (said?.cancelled === true) {
      stop.abort();
      options.cancel?.();
      return 0;
    }
    const now = inForce(timetable, nowMs, said);
    if (last === undefined || !sameRates(last, now)) options.apply(last = now);
    return Math.min(options.told === undefined ? LONGEST_WAIT_MS : LOOK_MS, (now.untilMs ?? Infinity) - nowMs);
  };
  const walk = async (): Promise<void> => {
    for (let ms = look(); !stop.signal.aborted; ms = look()) await options.clock.sleep(Math.max(1, ms), stop.signal);
  };
  walk().catch((thrown: unknown) => {
    if (!isKind(thrown, 'cancelled')) throw thrown;
  });
  return () => stop.abort();
}

/** A file that cannot be read now changes nothing: a run does not end for it, and `brigade limits` says what is wrong with it. */
function saidNow({ told }: KeeperOptions, before: Said | undefined): Said | undefined {
  if (told === undefined) return undefined;
  try {
    return readSaid(told.ledger, told.run);
  } catch (thrown) {
    if (isKind(thrown, 'usage')) return before;
    throw thrown;
  }
}

export function timetableOf({ bandwidth, requests, schedule = [], timezone }: Partial<Limits>): Timetable {
  return {
    plain: { ...(bandwidth === undefined ? {} : { bandwidth }), ...(requests === undefined ? {} : { requests }) },
    windows: schedule, ...(timezone === undefined ? {} : { zone: timezone }),
  };
}

/** What an operator said for a run. */
export interface Said extends RateChange {
  /** False: let go on while nobody was at work on it; a pause that stands in a journal is not kept. */
  readonly paused?: boolean;
  /** It ends for good, with whoever is at work on it or takes it up next. */
  readonly cancelled?: true;
}

/** What holds now by all of them. */
function inForce(timetable: Timetable, nowMs: number, { paused, cancelled: _, ...change }: Said = {}): InForce {
  const now = ratesAt(timetable, nowMs, Object.keys(change).length === 0 ? undefined : change);
  return paused === true ? { ...now, bandwidth: 0, paused } : now;
}

interface Told extends Said {
  readonly v: 1;
  readonly run: number;
}

function toldPath(ledger: string): string {
  return join(dirname(ledger), 'limits.json');
}

/** What an operator said for this run. Throws E_LIMITS_FILE. */
export function readSaid(ledger: string, run: number): Said | undefined {
  const path = toldPath(ledger);
  let told: Partial<Told>;
  try {
    told = JSON.parse(readFileSync(path, 'utf8')) as Partial<Told>;
  } catch (thrown) {
    if ((thrown as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    if (thrown instanceof SyntaxError) throw usageError('E_LIMITS_FILE', 'this file is not one that brigade limits wrote', 'remove it', path);
    throw usageError('E_LIMITS_FILE', `the file cannot be read (${(thrown as NodeJS.ErrnoException).code ?? 'unknown error'})`, 'give this user read permission, or remove it', path);
  }
  if (told.v !== 1 || told.run !== run) return undefined;
  const { bandwidth, requests, paused, cancelled } = told;
  return {
    ...(bandwidth === undefined ? {} : { bandwidth }), ...(requests === undefined ? {} : { requests }),
    ...(typeof paused === 'boolean' ? { paused } : {}), ...(cancelled === true ? { cancelled } : {}),
  };
}

/** Appears whole or not at all; nothing said takes back what was. */
export function writeSaid(ledger: string, run: number, said: Said = {}): void {
  const path = toldPath(ledger);
  if (Object.keys(said).length === 0) {
    rmSync(path, { force: true });
    return;
  }
  writeWhole(path, { v: 1, run, ...said } satisfies Told, 0o600);
}

/** It was done before anybody heard that it is cancelled: that is not said of what begins now. */
export function forgetCancel(ledger: string, run: number): void {
  const { cancelled, ...said } = readSaid(ledger, run) ?? {};
  if (cancelled === true) writeSaid(ledger, run, said);
}

/** `50 Mbit/s, 100 requests/s until mon 18:00 (mon-fri 08:00–18:00)`; undefined where nothing is limited and nothing will be. */
export function showLimits(now: InForce, zone: string | undefined): string | undefined {
  const { bandwidth, requests, by, window, untilMs } = now;
  if (now.paused === true) return 'paused (brigade pause; brigade resume takes it back)';
  const rates = bandwidth === 0 ? 'paused' : [bandwidth === undefined ? '' : showBandwidth(bandwidth), requests === undefined ? '' : `${showCount(requests)} requests/s`].filter((text) => text !== '').join(', ');
  if (rates === '' && by === 'plain' && untilMs === undefined) return undefined;
  const shown = rates === '' ? 'unlimited' : rates;
  if (by === 'command') return `${shown} (brigade limits; --reset takes it back)`;
  return `${shown}${untilMs === undefined ? '' : ` until ${showMoment(untilMs, zone)}`}${window === undefined ? '' : ` (${window})`}`;
}

/** For whoever is not the coordinator: what holds for an unfinished run. Throws E_LIMITS_FILE. */
export function limitsNow(limits: Partial<Limits>, ledger: string, run: number, nowMs: number): { readonly now: InForce; readonly text?: string } {
  const now = inForce(timetableOf(limits), nowMs, readSaid(ledger, run));
  const text = showLimits(now, limits.timezone);
  return { now, ...(text === undefined ? {} : { text }) };
}
