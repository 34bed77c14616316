/**
 * Which limit holds at a moment: the plain ones, those of a window of the week, or what an operator said while the run worked. Windows are
 * read off the wall clock of a time zone, so `08:00` is eight o'clock in summer and in winter: an hour that a clock change skips is in no
 * window, one that it repeats is in its window twice.
 */

/** Absent: no limit. A bandwidth of 0: nothing moves. Bytes and requests per second, of the whole run. */
export interface Rates {
  readonly bandwidth?: number;
  readonly requests?: number;
}

/** What a window, or an operator, changes: absent keeps what holds without it, null lifts the limit. */
export interface RateChange {
  readonly bandwidth?: number | null;
  readonly requests?: number | null;
}

export interface Window extends RateChange {
  /** 0 is Sunday. The days on which it begins: one that crosses midnight ends on the next. */
  readonly days: readonly number[];
  /** Minutes of the day, 0–1439 and 1–1440. `to` before `from`: it ends on the next day. */
  readonly from: number;
  readonly to: number;
}

export interface Timetable {
  readonly plain: Rates;
  /** The first that fits holds. */
  readonly windows: readonly Window[];
  /** IANA name; absent: the machine's. */
  readonly zone?: string;
}

export interface InForce extends Rates {
  readonly by: 'plain' | 'window' | 'command';
  /** As an operator would write it: `mon-fri 08:00–18:00`. */
  readonly window?: string;
  /** When another limit begins to hold, milliseconds since 1970; absent: none in sight. */
  readonly untilMs?: number;
  /** A person said so: nobody is to work at all, whatever the limits are. */
  readonly paused?: true;
}

const DAY_NAMES = ['sun', 'mon', 'tue', 'wed', 'thu', 'fri', 'sat'] as const;
const MINUTE_MS = 60_000;
const DAY_MINUTES = 24 * 60;
/** A week and a day: what has not changed by then does not change. */
const HORIZON_MS = 8 * DAY_MINUTES * MINUTE_MS;

/** What holds at `nowMs`. `change`: what an operator said; it stands above the timetable. */
export function ratesAt(timetable: Timetable, nowMs: number, change?: RateChange): InForce {
  const at = windowAt(timetable, nowMs);
  const window = at === undefined ? undefined : timetable.windows[at];
  const scheduled = changed(timetable.plain, window);
  const untilMs = nextChange(timetable, nowMs, at);
  return {
    ...changed(scheduled, change),
    by: change !== undefined ? 'command' : window === undefined ? 'plain' : 'window',
    ...(window === undefined ? {} : { window: showWindow(window) }),
    ...(untilMs === undefined ? {} : { untilMs }),
  };
}

export function sameRates(a: InForce, b: InForce): boolean {
  return a.bandwidth === b.bandwidth && a.requests === b.requests && a.by === b.by && a.window === b.window && a.untilMs === b.untilMs && a.paused === b.paused;
}

function changed(rates: Rates, change: RateChange | undefined): Rates {
  const { bandwidth = rates.bandwidth, requests = rates.requests } = change ?? {};
  return { ...(bandwidth === undefined || bandwidth === null ? {} : { bandwidth }), ...(requests === undefined || requests === null ? {} : { requests }) };
}

/** `mon-fri 08:00–18:00`, `sun,wed 22:00–06:00`, `every day 00:00–24:00`. */
export function showWindow({ days, from, to }: Window): string {
  return `${showDays(days)} ${showMinute(from)}–${showMinute(to)}`;
}

export function dayName(day: number): string {
  return DAY_NAMES[day] ?? '';
}

function showDays(days: readonly number[]): string {
  if (days.length === 7) return 'every day';
  const consecutive = days.length > 2 && days.every((day, i) => i === 0 || day === ((days[i - 1] ?? 0) + 1) % 7);
  return consecutive ? `${dayName(days[0] ?? 0)}-${dayName(days.at(-1) ?? 0)}` : days.map(dayName).join(',');
}

function showMinute(minute: number): string {
  return `${String(Math.floor(minute / 60)).padStart(2, '0')}:${String(minute % 60).padStart(2, '0')}`;
}

function windowAt({ windows, zone }: Timetable, ms: number): number | undefined {
  if (windows.length === 0) return undefined;
  const { day, minute } = wallClock(ms, zone);
  const index = windows.findIndex((window) => holds(window, day, minute));
  return index < 0 ? undefined : index;
}

function holds({ days, from, to }: Window, day: number, minute: number): boolean {
  if (from < to) return days.includes(day) && minute >= from && minute < to;
  return (days.includes(day) && minute >= from) || (days.includes((day + 6) % 7) && minute < to);
}

/**
 * The next moment at which another window holds. From boundary to boundary on the wall clock; where the clocks are changed on the way, the
 * change itself is a boundary too.
 */
function nextChange(timetable: Timetable, nowMs: number, current: number | undefined): number | undefined {
  const { windows, zone } = timetable;
  if (windows.length === 0) return undefined;
  const boundaries = [...new Set([DAY_MINUTES, ...windows.flatMap(({ from, to }) => [from, to])])].sort((a, b) => a - b);
  for (let at = nowMs; at - nowMs < HORIZON_MS; ) {
    const { minute } = wallClock(at, zone);
    const next = boundaries.find((boundary) => boundary > minute) ?? DAY_MINUTES;
    const whole = at - modulo(at + offsetAt(at, zone), MINUTE_MS);
    at = clockChange(at, whole + (next - minute) * MINUTE_MS, zone);
    if (windowAt(timetable, at) !== current) return at;
  }
  return undefined;
}

/** The first moment after `from` at which the zone has another offset, or `to` when it has the same all the way. To the second. */
function clockChange(from: number, to: number, zone: string | undefined): number {
  const offset = offsetAt(from, zone);
  if (offsetAt(to, zone) === offset) return to;
  let before = from;
  let after = to;
  while (after - before > 1000) {
    const middle = Math.floor((before + after) / 2);
    if (offsetAt(middle, zone) === offset) before = middle;
    else after = middle;
  }
  return after - modulo(after, 1000);
}

const formats = new Map<string, Intl.DateTimeFormat>();

function formatOf(zone: string | undefined): Intl.DateTimeFormat {
  const known = formats.get(zone ?? '');
  if (known !== undefined) return known;
  const parts = { year: 'numeric', month: 'numeric', day: 'numeric', hour: 'numeric', minute: 'numeric', second: 'numeric' } as const;
  const format = new Intl.DateTimeFormat('en-US', { ...parts, hourCycle: 'h23', era: 'short', ...(zone === undefined ? {} : { timeZone: zone }) });
  formats.set(zone ?? '', format);
  return format;
}

/** The zones that this build of Node knows. */
export function isTimeZone(name: string): boolean {
  try {
    new Intl.DateTimeFormat('en-US', { timeZone: name });
    return true;
  } catch (thrown) {
    if (thrown instanceof RangeError) return false;
    throw thrown;
  }
}

/** What a clock on the wall shows, as if it were UTC. */
function localMs(ms: number, zone: string | undefined): number {
  const parts = new Map(formatOf(zone).formatToParts(ms).map(({ type, value }) => [type, Number(value)]));
  const of = (type: Intl.DateTimeFormatPartTypes): number => parts.get(type) ?? 0;
  return Date.UTC(of('year'), of('month') - 1, of('day'), of('hour'), of('minute'), of('second'));
}

function offsetAt(ms: number, zone: string | undefined): number {
  return localMs(ms, zone) - (ms - modulo(ms, 1000));
}

export function wallClock(ms: number, zone: string | undefined): { readonly day: number; readonly minute: number } {
  const local = new Date(localMs(ms, zone));
  return { day: local.getUTCDay(), minute: local.getUTCHours() * 60 + local.getUTCMinutes() };
}

/** `mon 18:00` where it is within a week, as the clock on the wall of that zone shows it. */
export function showMoment(ms: number, zone: string | undefined): string {
  const { day, minute } = wallClock(ms, zone);
  return `${dayName(day)} ${showMinute(minute)}`;
}

function modulo(value: number, by: number): number {
  return ((value % by) + by) % by;
}
