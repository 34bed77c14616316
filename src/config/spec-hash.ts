import { createHash } from 'node:crypto';
import { canonicalJson } from '../core/canonical-json.ts';
import { addressOf } from './address.ts';
import type { Migration } from './migration.ts';

/**
 * SHA-256 (hex) of what a ledger is bound to: source, destination, select, transform, fidelity, and how file names are read. Limits, batch,
 * verify, report, compare, credentials and connections may change between two resumes of one run, so they are not in it (F032).
 */
export function specHash(migration: Migration): string {
  const { destination } = migration;
  const bound = {
    v: 1,
    source: addressOf(migration.source),
    sourceListing: listingOf(migration),
    destination: { ...addressOf(destination), sse: destination.sse, kmsKeyId: destination.kmsKeyId, storageClass: destination.storageClass },
    select: migration.select,
    transform: migration.transform,
    fidelity: migration.fidelity,
    filesystem: migration.filesystem,
  };
  return createHash('sha256').update(canonicalJson(bound)).digest('hex');
}

/** Another manifest is another listing; how its bucket is reached is not. */
function listingOf({ sourceListing }: Migration): unknown {
  return typeof sourceListing === 'object' ? { ...addressOf(sourceListing.location), manifest: sourceListing.manifest } : sourceListing;
}
