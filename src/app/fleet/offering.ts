/** `brigade offer`: a migration for plain messages, without a coordinator that plans and lists. */
import { checkJournal, checkOverlap, type Migration, showLocation } from '../../config/index.ts';
import { configError } from '../../config/problem.ts';
import { openStores } from '../stores.ts';
import { openJournals } from './journal.ts';
import { messageKeys } from './message-key.ts';
import { offer, withdraw } from './offers.ts';
import type { WorkerSurroundings } from './open-migration.ts';
import { specDocument } from './spec.ts';

export interface OfferPlaces {
  readonly journal: string;
  readonly messageKeys: readonly string[];
  readonly cwd: string;
}

export interface Offered {
  readonly source: string;
  readonly destination: string;
}

/** Both stores are asked what workers must know of them. @throws usage E_CONFIG, E_OVERLAP, E_JOURNAL_GUARDS; premise as the stores do */
export async function offerMigration(migration: Migration, { journal: text, messageKeys: references, cwd }: OfferPlaces, around: WorkerSurroundings): Promise<Offered> {
  const { source, destination } = migration;
  for (const [side, location] of [['source', source], ['destination', destination]] as const) {
    if (location.kind !== 's3') throw configError(side, `${showLocation(location)} is no bucket: a plain message names two of them`, 'offer a migration between two buckets');
  }
  checkOverlap(migration);
  const { codec } = await messageKeys(references, { env: around.env, cwd, clock: around.clock });
  const journals = openJournals(text, { ...around, cwd });
  try {
    checkJournal(migration, journals.place(migration.name));
    const journal = await journals.open(migration.name);
    const stores = await openStores(migration, { ...around, share: 1 });
    try {
      const spec = { id: migration.name, sha256: await journal.keep(specDocument(migration, stores.probed)) };
      await offer(await journals.offers(), codec, spec, migration);
      return { source: showLocation(source), destination: showLocation(destination) };
    } finally {
      await stores.close();
    }
  } finally {
    await journals.close();
  }
}

/** Workers know it within a minute. What they have in hand they end. */
export async function withdrawOffer(name: string, { journal: text, cwd }: Pick<OfferPlaces, 'journal' | 'cwd'>, around: WorkerSurroundings): Promise<void> {
  const journals = openJournals(text, { ...around, cwd });
  try {
    await withdraw(await journals.offers(), name);
  } finally {
    await journals.close();
  }
}
