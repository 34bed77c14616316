/** What the migrations of one worker share: a bucket as certain credentials reach it, a directory. And which of the two an error comes from. */
import { serverOf } from '../../config/address.ts';
import type { Location, Migration } from '../../config/index.ts';
import { canonicalJson } from '../../core/canonical-json.ts';
import type { BrigadeError } from '../../core/errors.ts';
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

export class Places implements Events {
  readonly #migration: Pick<Migration, Side>;
  /** The error that each side gave last. */
  readonly #codes: Record<Side, string | undefined> = { source: undefined, destination: undefined };

  constructor(migration: Pick<Migration, Side>) {
    this.#migration = migration;
  }

  get all(): readonly string[] {
    return [...new Set(SIDES.flatMap((side) => placeOf(this.#migration[side]) ?? []))];
  }

  emit(event: Parameters<Events['emit']>[0]): void {
    if (event.type === 'request' && event.error !== undefined) this.#codes[event.side] = event.error;
  }

  /** By where it says that it happened; where both may be meant, or it does not say, by who gave such an error last. */
  blame({ code, location = '' }: BrigadeError): readonly string[] {
    const named = SIDES.filter((side) => isWithin(location, this.#migration[side]));
    const sides = named.length === 1 ? named : SIDES.filter((side) => this.#codes[side] === code);
    return sides.length === 1 ? sides.flatMap((side) => placeOf(this.#migration[side]) ?? []) : [];
  }
}

function isWithin(address: string, location: Location): boolean {
  if (location.kind === 's3') return address === `s3://${location.bucket}` || address.startsWith(`s3://${location.bucket}/`);
  return location.kind === 'file' && (address === location.path || address.startsWith(`${location.path}/`));
}
