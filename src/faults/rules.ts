/** Which fault hits which request. Chance is a function of the seed, the rule and the request, so that a run can be repeated
 * whatever order concurrent requests arrive in. */
import type { Fault } from './kinds.ts';
import { HiddenLimit } from './limit.ts';
import { chance } from './chance.ts';

/** A request as S3 sees it, by operation names of the S3 API Reference. Path style only. */
export interface Facts {
  readonly method: string;
  readonly operation: string;
  readonly bucket: string;
  readonly key: string;
  readonly query: URLSearchParams;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
}

export interface Match {
  readonly method?: string | RegExp;
  readonly operation?: string | RegExp;
  readonly bucket?: string | RegExp;
  readonly key?: string | RegExp;
  /** Keys that begin so, and listings of keys that begin so. */
  readonly prefix?: string;
  /** Anything else. */
  readonly where?: (facts: Facts) => boolean;
}

export interface Rule {
  /** Names the counters; unique. */
  readonly name: string;
  /** Default: every request. */
  readonly match?: Match;
  readonly fault: Fault;
  /** 0 to 1; default 1. */
  readonly probability?: number;
  /** Only these matching requests, counted from 1. */
  readonly nth?: number | readonly number[];
  /** Not the first so many matching requests. */
  readonly after?: number;
  /** At most so many times. */
  readonly max?: number;
  /** Draws of its own; default that of the rulebook. */
  readonly seed?: number;
  /** In force until then, milliseconds of the rulebook's clock. */
  readonly until?: number;
}

export interface Counter {
  /** Requests that matched. */
  seen: number;
  /** Requests that were hit. */
  fired: number;
}

const fits = (wanted: string | RegExp | undefined, actual: string): boolean =>
  wanted === undefined || (typeof wanted === 'string' ? wanted === actual : new RegExp(wanted.source, wanted.flags.replace(/[gy]/g, '')).test(actual));

const isBelow = (prefix: string | undefined, facts: Facts): boolean =>
  prefix === undefined || (facts.key === '' ? facts.query.get('prefix') ?? '' : facts.key).startsWith(prefix);

const matches = (facts: Facts, match: Match = {}): boolean =>
  fits(match.method, facts.method) && fits(match.operation, facts.operation) && fits(match.bucket, facts.bucket) && fits(match.key, facts.key)
  && isBelow(match.prefix, facts) && (match.where?.(facts) ?? true);

/** What a request is called when chance is drawn: nothing random of its own, as upload ids are. */
const identity = (facts: Facts): string =>
  [facts.operation, facts.bucket, facts.key, facts.query.get('partNumber') ?? '', String(facts.headers['range'] ?? '')].join('\0');

export interface Hit { readonly rule: Rule; readonly seed: string }

/** Milliseconds since 1970 that never go back. */
const steadyNow = (): number => performance.timeOrigin + performance.now();

/** The rules in force, their counters, and the draw. */
export class Rulebook {
  private readonly seed: number;
  private readonly now: () => number;
  private rules: readonly Rule[] = [];
  private readonly limits = new WeakMap<Rule, HiddenLimit>();
  private readonly counters = new Map<string, Counter>();
  private readonly occurrences = new Map<string, number>();

  constructor(seed: number, rules: readonly Rule[], now: () => number = steadyNow) {
    this.seed = seed;
    this.now = now;
    this.replace(rules);
  }

  /** Puts other rules in force; counters of rules that stay by name go on. */
  replace(rules: readonly Rule[]): void {
    if (new Set(rules.map((rule) => rule.name)).size !== rules.length) throw new RangeError('two rules have one name');
    this.rules = rules;
  }

  /** Without those whose time is over. */
  get current(): readonly Rule[] {
    const now = this.now();
    if (this.rules.some(({ until = Infinity }) => until <= now)) this.rules = this.rules.filter(({ until = Infinity }) => until > now);
    return this.rules;
  }

  counter(name: string): Counter {
    const counter = this.counters.get(name) ?? { seen: 0, fired: 0 };
    this.counters.set(name, counter);
    return counter;
  }

  private fires(rule: Rule, draw: string): boolean {
    const counter = this.counter(rule.name);
    counter.seen += 1;
    if (counter.seen <= (rule.after ?? 0)) return false;
    if (counter.fired >= (rule.max ?? Infinity)) return false;
    const wanted = rule.nth === undefined ? undefined : [rule.nth].flat();
    if (wanted !== undefined && !wanted.includes(counter.seen)) return false;
    if (chance(draw) >= (rule.probability ?? 1)) return false;
    if (rule.fault.kind === 'rate limit' && !this.limitOf(rule).exceeded(this.now())) return false;
    counter.fired += 1;
    return true;
  }

  private limitOf(rule: Rule): HiddenLimit {
    if (rule.fault.kind !== 'rate limit') throw new TypeError('only a rate limit has one');
    const limit = this.limits.get(rule) ?? new HiddenLimit(rule.fault.perSecond, rule.fault.everyMs, [rule.seed ?? this.seed, rule.name].join('\0'), this.now());
    this.limits.set(rule, limit);
    return limit;
  }

  /** The faults that hit a request: any number of delays, then at most one other, the first that fires. */
  decide(facts: Facts): Hit[] {
    const name = identity(facts);
    const occurrence = (this.occurrences.get(name) ?? 0) + 1;
    this.occurrences.set(name, occurrence);
    const hits: Hit[] = [];
    for (const rule of this.current) {
      const draw = [rule.seed ?? this.seed, rule.name, name, occurrence].join('\0');
      if (!matches(facts, rule.match) || !this.fires(rule, draw)) continue;
      hits.push({ rule, seed: draw });
      if (rule.fault.kind !== 'latency') break;
    }
    return hits;
  }
}
