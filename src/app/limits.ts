/**
 * The limits of a run while it works: what the migration file says, its timetable, and what an operator said meanwhile. The last stands in a
 * small file beside the ledger, which the coordinator looks at; it counts for one run, however often that is resumed.
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
}

/** Looks this often whether an operator said something. */
const LOOK_MS = 2_000;
/** A wall clock may be set, or a machine sleep, so that no wait is longer (F084). */
const LONGEST_WAIT_MS = 30_000;

/** Returns how to stop it. */
export function keepLimits(options: KeeperOptions): () => void {
  const stop = new AbortController();
  const timetable = timetableOf(options.limits);
  let last: InForce | undefined;
  let change: RateChange | undefined;
  const look = (): number => {
    const nowMs = options.clock.now();
    change = saidNow(options, change);
    const now = ratesAt(timetable, nowMs, change);
    if (last === undefined || !sameRates(last, now)) options.apply(last = now);
    return Math.min(options.told === undefined ? LONGEST_WAIT_MS : LOOK_MS, (now.untilMs ?? Infinity) - nowMs);
  };
  const walk = async (): Promise<void> => {
    for (let ms = look(); ; ms = look()) await options.clock.sleep(Math.max(1, ms), stop.signal);
  };
  walk().catch((thrown: unknown) => {
    if (!isKind(thrown, 'cancelled')) throw thrown;
  });
  return () => stop.abort();
}

/** A file that cannot be read now changes nothing: a run does not end for it, and `brigade limits` says what is wrong with it. */
function saidNow({ told }: KeeperOptions, before: RateChange | undefined): RateChange | undefined {
  if (told === undefined) return undefined;
  try {
    return readChange(told.ledger, told.run);
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

interface Told extends RateChange {
  readonly v: 1;
  readonly run: number;
}

function toldPath(ledger: string): string {
  return join(dirname(ledger), 'limits.json');
}

/** What an operator said for this run. */
export function readChange(ledger: string, run: number): RateChange | undefined {
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
  const { bandwidth, requests } = told;
  return { ...(bandwidth === undefined ? {} : { bandwidth }), ...(requests === undefined ? {} : { requests }) };
}

/** Appears whole or not at all; undefined takes back what was said. */
export function writeChange(ledger: string, run: number, change: RateChange | undefined): void {
  const path = toldPath(ledger);
  if (change === undefined) {
    rmSync(path, { force: true });
    return;
  }
  writeWhole(path, { v: 1, run, ...change } satisfies Told, 0o600);
}

/** `50 Mbit/s, 100 requests/s until mon 18:00 (mon-fri 08:00–18:00)`; undefined where nothing is limited and nothing will be. */
export function showLimits(now: InForce, zone: string | undefined): string | undefined {
  const { bandwidth, requests, by, window, untilMs } = now;
  const rates = bandwidth === 0 ? 'paused' : [bandwidth === undefined ? '' : showBandwidth(bandwidth), requests === undefined ? '' : `${showCount(requests)} requests/s`].filter((text) => text !== '').join(', ');
  if (rates === '' && by === 'plain' && untilMs === undefined) return undefined;
  const shown = rates === '' ? 'unlimited' : rates;
  if (by === 'command') return `${shown} (brigade limits; --reset takes it back)`;
  return `${shown}${untilMs === undefined ? '' : ` until ${showMoment(untilMs, zone)}`}${window === undefined ? '' : ` (${window})`}`;
}

/** For whoever is not the coordinator: what holds for an unfinished run. Throws E_LIMITS_FILE. */
export function limitsNow(limits: Limits, ledger: string, run: number, nowMs: number): { readonly now: InForce; readonly text?: string } {
  const now = ratesAt(timetableOf(limits), nowMs, readChange(ledger, run));
  const text = showLimits(now, limits.timezone);
  return { now, ...(text === undefined ? {} : { text }) };
}
