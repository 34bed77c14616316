/** One side of a migration opened without asking or writing anything: what is not measured is taken from the provider's profile. */
import { credentialSource, type Migration, type S3Location } from '../config/index.ts';
import type { Clock, Random } from '../ports/clock.ts';
import type { Store } from '../ports/storage.ts';
import { openStores, type Probed, type StoreDeps } from './stores.ts';
import type { Side } from './doctor-lines.ts';

export type ProbedSide = NonNullable<Probed['source']>;

export interface OpenAround {
  readonly env: StoreDeps['env'];
  readonly clock: Clock;
  readonly random: Random;
}

const SILENT: StoreDeps['events'] = { emit: () => undefined };

/** The other side becomes an empty store in memory, so that its faults are not found here. A folder stays: it decides how names are written. */
function alone(migration: Migration, side: Side): Migration {
  if (side === 'source') return { ...migration, destination: { kind: 'memory', name: 'doctor', sse: 'none' } };
  return migration.source.kind === 'file' ? migration : { ...migration, source: { kind: 'memory', name: 'doctor' } };
}

/** The raw store of a side: one request per call. Throws usage errors of the configuration only. */
export async function openRawSide(migration: Migration, side: Side, around: OpenAround, probed: ProbedSide | undefined): Promise<Store> {
  const facts: Probed = { mtimeStepMs: 0, ...(probed === undefined ? {} : { [side]: probed }) };
  const stores = await openStores(alone(migration, side), { ...around, events: SILENT, share: 1, facts });
  return stores.raw[side];
}

/** The profile to begin with: as named, by the host, or by what the server calls itself. */
export async function providerOf({ connection }: S3Location, server?: string): Promise<string> {
  if (connection.provider !== 'auto') return connection.provider;
  const { detectProfile } = await import('../stores/s3/index.ts');
  const host = connection.endpoint === undefined ? undefined : new URL(connection.endpoint).host;
  return detectProfile(host, server)?.name ?? 'generic';
}

export function credentialsOf({ connection }: S3Location, around: OpenAround): ReturnType<typeof credentialSource> {
  return credentialSource(connection.credentials, { env: around.env, clock: around.clock });
}
