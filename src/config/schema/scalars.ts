/**
 * The leaves of the schema. A YAML scalar reaches them as its source text (so that `007` stays a tag value and `1e3` is no surprise),
 * a value built by code may be a number or a boolean; each parser takes the text and throws a Problem that says what, why and the fix.
 */
import * as z from 'zod';
import { nearestWord } from '../nearest.ts';
import { Problem } from '../problem.ts';
import { isTimeZone } from '../../core/timetable.ts';
import { parseBandwidth, parseDays, parseDuration, parseMinute, parseMoment, parseRequests, parseSize } from '../units.ts';

/** JSON Schema of the input; `x-type` is the word that the documentation shows. */
export interface InputShape {
  readonly 'x-type': string;
  readonly [keyword: string]: unknown;
}

// A reference to the environment may stand wherever a number, boolean or word is expected.
const VARIABLE = { type: 'string', pattern: '\\$\\{' };

export function scalar<T>(parse: (text: string) => T, shape: InputShape) {
  return leaf((value) => parse(asText(value, shape['x-type'])), shape);
}

function leaf<T>(parse: (value: unknown) => T, shape: InputShape) {
  return z.unknown().transform((value, context): T => {
    try {
      return parse(value);
    } catch (thrown) {
      if (!(thrown instanceof Problem)) throw thrown;
      context.issues.push({ code: 'custom', message: thrown.what, params: { problem: thrown }, input: value });
      return z.NEVER;
    }
  }).meta(shape);
}

function asText(value: unknown, expected: string): string {
  if (typeof value === 'string') return value;
  if (typeof value === 'number' || typeof value === 'boolean') return String(value);
  const wanted = expected.replaceAll('`', '');
  if (value === undefined) throw new Problem('is missing', `add it: ${wanted}`, 'key');
  if (value === null) throw new Problem('has no value', `write ${wanted}`, 'key');
  throw new Problem(`is a ${Array.isArray(value) ? 'list' : 'mapping'} where ${wanted} is expected`, `write ${wanted}`, 'key');
}

export interface TextRule {
  readonly type?: string;
  readonly pattern?: RegExp;
  readonly what?: string;
  readonly fix?: string;
  readonly most?: number;
  /** May be the empty text. */
  readonly empty?: boolean;
}

export const text = (rule: TextRule = {}) => {
  const most = rule.most ?? 1024;
  const type = rule.type ?? 'text';
  return scalar((value) => {
    if (value === '' && rule.empty !== true) throw new Problem('is empty', `write ${type}`, 'key');
    if (value.length > most) throw new Problem(`is longer than ${most} characters`, 'shorten it', 'key');
     
    if (/\u0000/.test(value)) throw new Problem('holds a NUL character', 'remove it', 'key');
    if (rule.pattern !== undefined && !rule.pattern.test(value)) throw new Problem(rule.what ?? 'has the wrong form', rule.fix ?? `write ${type}`);
    return value;
  }, { 'x-type': type, type: 'string', ...(rule.empty === true ? {} : { minLength: 1 }), maxLength: most });
};

export const choice = <const T extends string>(words: readonly T[]) => scalar((value): T => {
  const found = words.find((word) => word === value);
  if (found !== undefined) return found;
  const near = nearestWord(value, words);
  throw new Problem(`is not one of ${words.join(', ')}`, near === undefined ? `write ${words[0]}` : `did you mean ${near}?`);
}, { 'x-type': words.map((word) => `\`${word}\``).join(' | '), anyOf: [{ type: 'string', enum: words }, VARIABLE] });

export const yesNo = () => scalar((value) => {
  if (value === 'true') return true;
  if (value === 'false') return false;
  const meant = /^(?:yes|on|y|1|true)$/i.test(value) ? 'true' : /^(?:no|off|n|0|false)$/i.test(value) ? 'false' : undefined;
  throw new Problem('is neither true nor false', `write ${meant ?? 'true or false'}`);
}, { 'x-type': '`true` | `false`', anyOf: [{ type: 'boolean' }, VARIABLE] });

function parseCount(value: string, least: number, most: number): number {
  const fix = `write a whole number from ${least} to ${most}`;
  if (!/^\d+$/.test(value)) throw new Problem('is not a whole number', fix);
  const number = Number(value);
  if (number < least || number > most) throw new Problem('is out of range', fix);
  return number;
}

export const count = (least: number, most: number) => scalar((value) => parseCount(value, least, most), {
  'x-type': `whole number ${least}–${most}`, anyOf: [{ type: 'integer', minimum: least, maximum: most }, VARIABLE],
});

export const autoOrCount = (least: number, most: number) => scalar((value): 'auto' | number => {
  if (value === 'auto') return 'auto';
  if (/[a-z]/i.test(value)) throw new Problem('is neither auto nor a whole number', `write auto or a whole number from ${least} to ${most}`);
  return parseCount(value, least, most);
}, { 'x-type': `\`auto\` | whole number ${least}–${most}`, anyOf: [{ const: 'auto' }, { type: 'integer', minimum: least, maximum: most }, VARIABLE] });

export interface Bounds {
  readonly least?: string;
  readonly most?: string;
}

function boundedSize(value: string, bounds: Bounds): number {
  const bytes = parseSize(value);
  if (bounds.least !== undefined && bytes < parseSize(bounds.least)) throw new Problem('is too small', `write ${bounds.least} or more`);
  if (bounds.most !== undefined && bytes > parseSize(bounds.most)) throw new Problem('is too large', `write ${bounds.most} or less`);
  return bytes;
}

const SIZE_INPUT = [{ type: 'integer', minimum: 0 }, { type: 'string', pattern: '^\\d+(\\.\\d+)? ?([kKMGTP]i?)?B?$' }, VARIABLE];

export const size = (bounds: Bounds = {}) => scalar((value) => boundedSize(value, bounds), {
  'x-type': `size${shown(bounds)}`, anyOf: SIZE_INPUT,
});

export const autoOrSize = (bounds: Bounds = {}) => scalar(
  (value): 'auto' | number => (value === 'auto' ? 'auto' : boundedSize(value, bounds)),
  { 'x-type': `\`auto\` | size${shown(bounds)}`, anyOf: [{ const: 'auto' }, ...SIZE_INPUT] },
);

function shown(bounds: Bounds): string {
  if (bounds.least !== undefined && bounds.most !== undefined) return ` ${bounds.least}–${bounds.most}`;
  return bounds.least === undefined ? '' : ` ≥ ${bounds.least}`;
}

export const duration = (least = 0) => scalar((value) => {
  const ms = parseDuration(value);
  if (ms < least) throw new Problem('is too short', `write ${least / 1000}s or more`);
  return ms;
}, { 'x-type': 'duration', type: 'string' });

export const moment = () => scalar(parseMoment, { 'x-type': 'date, instant or age', type: 'string' });

export const bandwidth = () => scalar((value) => (value === 'unlimited' ? undefined : parseBandwidth(value)), {
  'x-type': '`unlimited` | bandwidth', type: 'string',
});

export const requestRate = () => scalar((value) => (value === 'unlimited' ? undefined : parseRequests(value)), {
  'x-type': '`unlimited` | requests per second', anyOf: [{ type: 'integer', minimum: 1 }, { type: 'string' }],
});

export const autoOrYesNo = () => scalar((value): 'auto' | boolean => {
  if (value === 'auto') return 'auto';
  if (value === 'true' || value === 'false') return value === 'true';
  throw new Problem('is not one of auto, true, false', 'write auto, true or false');
}, { 'x-type': '`auto` | `true` | `false`', anyOf: [{ const: 'auto' }, { type: 'boolean' }, VARIABLE] });

/** 0: off. */
export const leastRate = () => scalar((value) => (value === 'off' ? 0 : parseBandwidth(value)), { 'x-type': '`off` | bandwidth', type: 'string' });

/** Of a window: 0 where nothing may move, null where no limit holds. */
export const windowBandwidth = () => scalar((value) => (value === 'pause' ? 0 : value === 'unlimited' ? null : parseBandwidth(value)), {
  'x-type': '`unlimited` | `pause` | bandwidth', type: 'string',
});

export const windowRequests = () => scalar((value) => (value === 'unlimited' ? null : parseRequests(value)), {
  'x-type': '`unlimited` | requests per second', anyOf: [{ type: 'integer', minimum: 1 }, { type: 'string' }],
});

/** Minutes of the day. */
export const timeOfDay = (mostHours: 23 | 24) => scalar((value) => parseMinute(value, mostHours), { 'x-type': 'time', type: 'string', pattern: '^\\d\\d?:\\d\\d$|\\$\\{' });

export const timeZone = () => scalar((value) => {
  if (isTimeZone(value)) return value;
  const near = nearestWord(value, Intl.supportedValuesOf('timeZone'));
  throw new Problem('is no time zone that we know', near === undefined ? 'write an IANA name such as Europe/Berlin or UTC' : `did you mean ${near}?`);
}, { 'x-type': 'IANA time zone', type: 'string' });

const DAYS_SHAPE: InputShape = { 'x-type': 'days, or list of days', anyOf: [{ type: 'string' }, { type: 'array', items: { type: 'string' } }] };

/** `mon-fri`, `every day`, or a list of days. */
export const days = () => leaf((value) => parseDays(Array.isArray(value) ? value.map((day) => asText(day, 'day')).join(',') : asText(value, 'days')), DAYS_SHAPE);
