/** Sizes, rates and times as people write them. All throw Problem. */
import { dayName } from '../core/timetable.ts';
import { nearestWord } from './nearest.ts';
import { Problem } from './problem.ts';

const SIZE_UNITS: ReadonlyMap<string, number> = new Map([
  ['B', 1], ['kB', 1e3], ['KB', 1e3], ['MB', 1e6], ['GB', 1e9], ['TB', 1e12], ['PB', 1e15],
  ['KiB', 2 ** 10], ['MiB', 2 ** 20], ['GiB', 2 ** 30], ['TiB', 2 ** 40], ['PiB', 2 ** 50],
]);
const BIT_UNITS: ReadonlyMap<string, number> = new Map([['bit', 1], ['kbit', 1e3], ['Mbit', 1e6], ['Gbit', 1e9], ['Tbit', 1e12]]);
const TIME_UNITS: ReadonlyMap<string, number> = new Map([
  ['ms', 1], ['s', 1e3], ['min', 60e3], ['m', 60e3], ['h', 3600e3], ['d', 86_400e3], ['w', 7 * 86_400e3],
]);
const SIZE_FIX = 'write a number with a unit, such as 8 MiB (2^20) or 5 MB (10^6)';
const RATE_FIX = 'write bits as 50 Mbit/s, bytes as 200 MiB/s or 200 MB/s, or unlimited';
const TIME_FIX = 'write a number with a unit: 500ms, 30s, 15m, 2h, 7d or 1h30m';
const MOMENT_FIX = 'write a date such as 2026-01-31 or 2026-01-31T12:00:00Z, or an age such as 30d';

/** `8 MiB`, `5MB`, `4096`: bytes. */
export function parseSize(text: string): number {
  const match = /^(\d+(?:\.\d+)?) ?([A-Za-z]*)$/.exec(text.trim());
  if (match === null) throw new Problem('is not a size', SIZE_FIX);
  const unit = match[2] === '' ? 1 : SIZE_UNITS.get(match[2] ?? '');
  if (unit === undefined) throw new Problem('has no unit of size that we know', SIZE_FIX);
  return whole(Number(match[1]) * unit, 'is larger than any store', SIZE_FIX);
}

/** `50 Mbit/s`, `200 MiB/s`: bytes per second. A bare number is refused: bits and bytes differ by eight. */
export function parseBandwidth(text: string): number {
  const match = /^(\d+(?:\.\d+)?) ?([A-Za-z]+)\/s$/.exec(text.trim());
  if (match === null) throw new Problem('is not a bandwidth', RATE_FIX);
  const bits = BIT_UNITS.get(match[2] ?? '');
  const bytes = bits === undefined ? SIZE_UNITS.get(match[2] ?? '') : bits / 8;
  if (bytes === undefined) throw new Problem('has no unit of bandwidth that we know', RATE_FIX);
  const rate = whole(Number(match[1]) * bytes, 'is faster than any link', RATE_FIX);
  if (rate < 1024) throw new Problem('is less than 1 KiB/s', RATE_FIX);
  return rate;
}

/** `30s`, `2h`, `7d`, `1h30m`: milliseconds. */
export function parseDuration(text: string): number {
  const trimmed = text.trim();
  if (trimmed === '0') return 0;
  if (!/^(?:\d+(?:\.\d+)? ?[a-z]+ ?)+$/.test(trimmed) || trimmed.length > 40) throw new Problem('is not a duration', TIME_FIX);
  let total = 0;
  for (const [, amount, unit] of trimmed.matchAll(/(\d+(?:\.\d+)?) ?([a-z]+)/g)) {
    const ms = TIME_UNITS.get(unit ?? '');
    if (ms === undefined) throw new Problem('has no unit of time that we know', TIME_FIX);
    total += Number(amount) * ms;
  }
  return whole(total, 'is longer than 285,000 years', TIME_FIX);
}

/** `500` or `500/s`: requests per second. */
export function parseRequests(text: string): number {
  const match = /^(\d{1,9})(?: ?\/s)?$/.exec(text.trim());
  if (match === null || Number(match[1]) === 0) throw new Problem('is not a number of requests per second', 'write 500, 500/s or unlimited');
  return Number(match[1]);
}

/** `08:00`, `24:00` where `mostHours` is 24: minutes of the day. */
export function parseMinute(text: string, mostHours: 23 | 24): number {
  const [, hours, minutes] = /^(\d\d?):([0-5]\d)$/.exec(text.trim()) ?? [];
  const minute = Number(hours) * 60 + Number(minutes);
  if (hours === undefined || minute > 24 * 60) throw new Problem('is not a time of day', 'write hours and minutes, such as 08:00 or 23:30');
  if (minute === 24 * 60 && mostHours === 23) throw new Problem('is the end of a day, and no window begins there', 'write 00:00, and the day after');
  return minute;
}

const DAYS = [0, 1, 2, 3, 4, 5, 6];
const DAY_WORDS = DAYS.map(dayName);
const DAYS_FIX = `write ${DAY_WORDS.join(', ')}, a span such as mon-fri, a list of them, or every day`;

/** `mon-fri`, `sat,sun`, `fri-mon`, `every day`: 0 is Sunday, each once, in the order in which they were written. */
export function parseDays(text: string): readonly number[] {
  const words = text.trim().toLowerCase();
  if (words === 'every day') return DAYS;
  const days = words.split(',').flatMap((part) => {
    const [first, last, more] = part.trim().split('-').map(parseDay);
    if (first === undefined || more !== undefined) throw new Problem('is no span of days', DAYS_FIX);
    return last === undefined ? [first] : DAYS.slice(0, ((last - first + 7) % 7) + 1).map((step) => (first + step) % 7);
  });
  return [...new Set(days)];
}

function parseDay(word: string): number {
  const name = word.trim();
  const full = /^(sun|mon|tue|wed|thu|fri|sat)(?:day|sday|nesday|rsday|urday)?$/.exec(name)?.[1];
  const day = DAY_WORDS.indexOf(full ?? name);
  if (day >= 0) return day;
  const near = nearestWord(name, DAY_WORDS);
  throw new Problem(`has a day that we do not know: ${name === '' ? 'none' : name.slice(0, 20)}`, near === undefined ? DAYS_FIX : `did you mean ${near}?`, 'key');
}

/** A date, an instant with its zone, or an age. */
export function parseMoment(text: string): { kind: 'instant' | 'age'; ms: number } {
  const trimmed = text.trim();
  if (!/^\d{4}-/.test(trimmed)) return { kind: 'age', ms: parseAge(trimmed) };
  if (/T/.test(trimmed) && !/(?:Z|[+-]\d\d:\d\d)$/.test(trimmed)) throw new Problem('has no time zone', 'add Z for UTC or an offset such as +02:00');
  if (!/^\d{4}-\d\d-\d\d(?:T\d\d:\d\d(?::\d\d(?:\.\d{1,3})?)?(?:Z|[+-]\d\d:\d\d))?$/.test(trimmed)) throw new Problem('is not a date or an age', MOMENT_FIX);
  const ms = Date.parse(trimmed);
  // Date.parse rolls 31 February over into March; a date that does not come back as itself does not exist.
  const day = Date.parse(trimmed.slice(0, 10));
  if (Number.isNaN(ms) || Number.isNaN(day) || new Date(day).toISOString().slice(0, 10) !== trimmed.slice(0, 10)) {
    throw new Problem('is a date that does not exist', MOMENT_FIX);
  }
  return { kind: 'instant', ms };
}

function parseAge(text: string): number {
  try {
    return parseDuration(text);
  } catch {
    // Whatever was wrong with it as a duration, here a date would also do.
    throw new Problem('is not a date or an age', MOMENT_FIX);
  }
}

function whole(value: number, tooMuch: string, fix: string): number {
  const rounded = Math.round(value);
  if (!Number.isSafeInteger(rounded)) throw new Problem(tooMuch, fix);
  return rounded;
}
