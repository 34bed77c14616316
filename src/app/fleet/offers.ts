/**
 * Which migrations plain messages may mean: for each a small document beside the journals, in the folder `_offers`, under the migration's name. A coordinator offers
 * what it coordinates; `brigade offer` does so without one.
 */
import type { Migration } from '../../config/index.ts';
import { asBrigadeError, errorLine } from '../../core/errors.ts';
import type { SpecReference } from '../../fleet/messages.ts';
import { type Offer, openOffer, sealOffer } from '../../fleet/offer-message.ts';
import type { TaskCodec } from '../../fleet/task-message.ts';
import type { Clock } from '../../ports/clock.ts';
import type { Events } from '../../ports/events.ts';
import type { Shelf } from '../../ports/shelf.ts';
import type { FleetWorkerOptions } from '../../fleet/worker/worker.ts';
import type { Journals } from './journal.ts';

/** What is not between two buckets no plain message can mean: then nothing is offered. Answers whether it was. */
export async function offer(shelf: Shelf, codec: TaskCodec, spec: SpecReference, { source, destination }: Pick<Migration, 'source' | 'destination'>): Promise<boolean> {
  if (source.kind !== 's3' || destination.kind !== 's3') return false;
  const sealed = sealOffer(codec, { spec, source: { bucket: source.bucket, prefix: source.prefix }, destination: { bucket: destination.bucket } });
  await shelf.replace(spec.id, { v: 1, offer: sealed });
  return true;
}

export async function withdraw(shelf: Shelf, migration: string): Promise<void> {
  await shelf.remove(migration);
}

export interface OffersAround {
  readonly codec: TaskCodec;
  readonly clock: Clock;
  readonly events: Events;
}

/** What was read holds for so long; where it does not hold what is asked for, for less. */
const FRESH_MS = 60_000;
const FRESH_WITHOUT_MS = 5_000;

/** Of two buckets, for a worker: read again now and then. */
export function offersAt(journals: Pick<Journals, 'offers'>, around: OffersAround): NonNullable<FleetWorkerOptions['offers']> {
  const { clock } = around;
  const told = new Set<string>();
  let known: { readonly offers: Promise<readonly Offer[]>; readonly atMs: number } | undefined;
  const read = (): Promise<readonly Offer[]> => {
    const offers = readOffers(journals, around, told);
    const mine = { offers, atMs: clock.monotonic() };
    known = mine;
    // The next one who asks may be luckier.
    offers.catch(() => { if (known === mine) known = undefined; });
    return offers;
  };
  return async (source, destination) => {
    const between = (offers: readonly Offer[]): readonly Offer[] => offers.filter((one) => one.source.bucket === source && one.destination.bucket === destination);
    const before = known;
    const ageMs = before === undefined ? Infinity : clock.monotonic() - before.atMs;
    const found = before === undefined || ageMs > FRESH_MS ? [] : between(await before.offers);
    if (found.length > 0 || ageMs < FRESH_WITHOUT_MS) return found;
    return between(await (known === before ? read() : (known?.offers ?? read())));
  };
}

/** One that cannot be believed is told once and passed over: so nothing is done on its word. */
async function readOffers(journals: Pick<Journals, 'offers'>, { codec, events }: OffersAround, told: Set<string>): Promise<readonly Offer[]> {
  const shelf = await journals.offers();
  const offers: Offer[] = [];
  for await (const name of shelf.names('')) {
    try {
      const document = await shelf.read(name);
      if (document !== undefined) offers.push(openOffer(codec, sealedIn(document), name));
    } catch (thrown) {
      const error = asBrigadeError(thrown, 'read offer');
      if (error.kind !== 'object' && error.code !== 'E_JOURNAL_DAMAGED' && error.code !== 'E_MESSAGE_VERSION') throw error;
      if (!told.has(name)) events.emit({ type: 'note', level: 'warn', text: `the offer of ${name} is passed over: ${errorLine(error)}` });
      told.add(name);
    }
  }
  return offers;
}

function sealedIn(document: unknown): string {
  const { offer: sealed } = (typeof document === 'object' && document !== null ? document : {}) as { readonly offer?: unknown };
  return typeof sealed === 'string' ? sealed : '';
}
