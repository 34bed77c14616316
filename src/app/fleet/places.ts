/** What the migrations of one worker share: a bucket as certain credentials reach it, a directory. And which of the two an error comes from. */
import { serverOf } from '../../config/address.ts';
import type { Location, Migration } from '../../config/index.ts';
import { canonicalJson } from '../../core/canonical-json.ts';
import type { BrigadeError } from '../../core/errors.ts';
import type { Clock } from '../../ports/clock.ts';
import type { Events } from '../../ports/events.ts';
import type { Json } from '../../ports/journal.ts';

const SIDES = ['source', 'destination'] as const;
type Side = (typeof SIDES)[number];

/** Without a secret: credentials are named by their reference. Undefined: nobody else has it. */
export function placeOf(location: Location): string | undefined {
  switch (location.kind) {
    case 's3': return `${serverOf(location)}/${location.bucket} ${canonicalJson(location.connection.credentials as unknown as Json)}`;
    case 'file': return location.path;
    case 'memory': case 'synthetic': return undefined;
  }
}

/** An error so long ago says nothing of one that is told now: what is tried again in between takes less. */
const RECENT_MS = 10 * 60_000;

interface Failed {
  readonly code: string;
  readonly atMs: number;
}

export class Places implements Events {
  readonly #migration: Pick<Migration, Side>;
  readonly #clock: Clock;
  /** Of each side: the error that each kind of request gave last, and that none of its kind has got over since. */
  readonly #failed: Readonly<Record<Side, Map<string, Failed>>> = { source: new Map(), destination: new Map() };

  constructor(migration: Pick<Migration, Side>, clock: Clock) {
    this.#migration = migration;
    this.#clock = clock;
  }

  get all(): readonly string[] {
    return [...new Set(SIDES.flatMap((side) => placeOf(this.#migration[side]) ?? []))];
  }

  emit(event: Parameters<Events['emit']>[0]): void {
    if (event.type !== 'request') return;
    const { side, op, ms, error } = event;
    const failed = this.#failed[side];
    const now = this.#clock.monotonic();
    if (error !== undefined) failed.set(op, { code: error, atMs: now });
    // One that was on its way before says nothing of what came then.
    else if (now - ms >= (failed.get(op)?.atMs ?? Infinity)) failed.delete(op);
  }

  /** By where it says that it happened; where both may be meant, or it does not say, by who gave such an error lately, and has it still. */
  blame({ code, location = '' }: BrigadeError): readonly string[] {
    const named = SIDES.filter((side) => isWithin(location, this.#migration[side]));
    const sides = named.length === 1 ? named : SIDES.filter((side) => this.#gave(side, code));
    return sides.length === 1 ? sides.flatMap((side) => placeOf(this.#migration[side]) ?? []) : [];
  }

  #gave(side: Side, code: string): boolean {
    const now = this.#clock.monotonic();
    return [...this.#failed[side].values()].some((failed) => failed.code === code && now - failed.atMs <= RECENT_MS);
  }
}

function isWithin(address: string, location: Location): boolean {
  if (location.kind === 's3') return address === `s3://${location.bucket}` || address.startsWith(`s3://${location.bucket}/`);
  return location.kind === 'file' && (address === location.path || address.startsWith(`${location.path}/`));
}
