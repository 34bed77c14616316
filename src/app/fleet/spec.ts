/**
 * The migration as the workers of a fleet carry it out: a document of the journal. It is canonical JSON, so that the same migration with the
 * same facts is the same document; each message names it by its SHA-256 under the seal, and a worker does nothing that no sealed message asks for.
 * Secrets are references (design truth 13), resolved on the machine that works.
 */
import type { Migration } from '../../config/index.ts';
import { canonicalJson } from '../../core/canonical-json.ts';
import { BrigadeError, oneLine } from '../../core/errors.ts';
import type { Probed } from '../stores.ts';

export const SPEC_VERSION = 1;

export interface Spec {
  /** Without its `file`, which is the coordinator's matter. */
  readonly migration: Migration;
  /** What the coordinator found out about the two stores. */
  readonly facts: Probed;
}

const LOCATIONS: ReadonlySet<unknown> = new Set(['s3', 'file', 'synthetic', 'memory']);
/** What stores and copies are opened from. Who wrote it checked the file behind it; this is for a document of another release. */
const SECTIONS = ['select', 'transform', 'fidelity', 'limits', 'batch', 'transfer', 'filesystem'] as const;
const WORDS = ['name', 'compare', 'onConflict', 'sourceGone', 'verify'] as const;

export function specDocument({ file: _, ...migration }: Migration, facts: Probed): Buffer {
  return Buffer.from(canonicalJson({ v: SPEC_VERSION, migration, facts }), 'utf8');
}

/** @throws BrigadeError unsupported E_SPEC_VERSION for one of another release; premise E_SPEC_SHAPE for what is no such document */
export function readSpec(bytes: Uint8Array): Spec {
  const document = parse(bytes);
  if (document['v'] !== SPEC_VERSION) {
    throw new BrigadeError({
      code: 'E_SPEC_VERSION', kind: 'unsupported', op: 'read migration', message: `the migration in the journal has version ${oneLine(JSON.stringify(document['v']) ?? 'none', 20)}, this program reads ${SPEC_VERSION}`,
      hint: 'run coordinator and workers of the same release',
    });
  }
  const { migration, facts } = document;
  if (!isFields(migration)) throw shape('it holds no migration');
  refuseIncomplete(migration);
  if (!isFields(facts) || typeof facts['mtimeStepMs'] !== 'number') throw shape('it does not say what is known of the stores');
  return { migration: migration as unknown as Migration, facts: facts as unknown as Probed };
}

type Fields = { readonly [name: string]: unknown };

function isFields(value: unknown): value is Fields {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function parse(bytes: Uint8Array): Fields {
  let value: unknown;
  try {
    value = JSON.parse(Buffer.from(bytes).toString('utf8'));
  } catch (cause) {
    throw shape('it is not JSON', cause);
  }
  if (!isFields(value)) throw shape('it is no object');
  return value;
}

function refuseIncomplete(migration: Fields): void {
  for (const word of WORDS) if (typeof migration[word] !== 'string') throw shape(`its ${word} is missing`);
  for (const section of SECTIONS) if (!isFields(migration[section])) throw shape(`its ${section} is missing`);
  for (const side of ['source', 'destination'] as const) {
    const location = migration[side];
    if (!isFields(location) || !LOCATIONS.has(location['kind'])) throw shape(`its ${side} is no place that this program knows`);
    if (location['kind'] === 's3' && !(typeof location['bucket'] === 'string' && isFields(location['connection']))) throw shape(`its ${side} does not say which bucket, or how to reach it`);
    if (location['kind'] === 'file' && typeof location['path'] !== 'string') throw shape(`its ${side} does not say which directory`);
  }
}

function shape(why: string, cause?: unknown): BrigadeError {
  return new BrigadeError({
    code: 'E_SPEC_SHAPE', kind: 'premise', op: 'read migration', message: `the document in the journal is no migration: ${why}`, hint: 'run coordinator and workers of the same release',
    ...(cause === undefined ? {} : { cause }),
  });
}
