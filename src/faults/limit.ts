/** A limit of requests a second that no answer tells: clients have to find it, and again when it has changed. */
import { chance } from './chance.ts';

const PERIOD_MS = 10_000;

/** A token bucket that holds half a second. */
export class HiddenLimit {
  private readonly least: number;
  private readonly most: number;
  private readonly everyMs: number;
  private readonly seed: string;
  private readonly began: number;
  private tokens: number;
  private at: number;

  /** `perSecond`: one limit, or a range from which each period of `everyMs` draws its own. */
  constructor(perSecond: number | readonly [least: number, most: number], everyMs: number | undefined, seed: string, now: number) {
    [this.least, this.most] = typeof perSecond === 'number' ? [perSecond, perSecond] : perSecond;
    this.everyMs = everyMs ?? PERIOD_MS;
    this.seed = seed;
    this.began = now;
    this.at = now;
    this.tokens = this.burst(now);
  }

  /** Requests a second at this time. */
  perSecond(now: number): number {
    const period = Math.floor((now - this.began) / this.everyMs);
    return this.least + (this.most - this.least) * chance(`${this.seed}\0${period}`);
  }

  private burst(now: number): number {
    return Math.max(1, this.perSecond(now) / 2);
  }

  /** Takes a token; true where there is none: this request is one too many. */
  exceeded(now: number): boolean {
    this.tokens = Math.min(this.burst(now), this.tokens + ((now - this.at) / 1000) * this.perSecond(now));
    this.at = now;
    if (this.tokens < 1) return true;
    this.tokens -= 1;
    return false;
  }
}
