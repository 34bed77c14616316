/**
 * `--journal`: where a fleet keeps what it must not lose, in one text without a secret: a bucket or a shared directory. The journal of a migration is
 * in the folder of its name below it.
 *
 *   s3://BUCKET[/PREFIX/][?endpoint=…&region=…&provider=…&credentials=REF&create=true…]   options as `brigade copy` has them for one end
 *   PATH, file:///PATH                                                                     a directory that every machine of the fleet sees; it must exist
 *
 * A `?` begins the options, so that a prefix cannot hold one. Without credentials: BRIGADE_JOURNAL_ACCESS_KEY_ID and its companions, else AWS's default chain.
 */
import { createHash } from 'node:crypto';
import { statSync } from 'node:fs';
import { join } from 'node:path';
import { type EndFlags, type FileLocation, type Location, type Migration, migrationInto, type S3Location, showLocation } from '../../config/index.ts';
import { configError, quoteValue } from '../../config/problem.ts';
import { NAME_RULE } from '../../config/schema/migration.ts';
import { BrigadeError } from '../../core/errors.ts';
import { openJournal, openShelf, proveConditionalWrites, refuseUnguarded } from '../../journal/index.ts';
import type { Clock, Random } from '../../ports/clock.ts';
import type { Events } from '../../ports/events.ts';
import type { Journal } from '../../ports/journal.ts';
import type { Shelf } from '../../ports/shelf.ts';
import type { Store } from '../../ports/storage.ts';
import { openStores, type OpenStores, type Probed } from '../stores.ts';
import { type Surroundings, Written } from './reference.ts';

export interface JournalAround extends Surroundings {
  readonly clock: Clock;
  readonly random: Random;
  /** Waits of the journal's store are told here. Default: to nobody. */
  readonly events?: Events;
}

/** `read`: nothing is written, not even to find out what the store can do. */
export type JournalUse = 'write' | 'read';

export interface Journals {
  /** For messages: `s3://bucket/prefix/`, or the directory. */
  readonly describe: string;
  /** Where the journal of a migration is. */
  place(migration: string): Location;
  /**
   * The journal of a migration; opened once. To write, its store is measured first (once for all migrations).
   * @throws usage E_CONFIG (not a name), E_JOURNAL_GUARDS (its store has no conditional writes); premise E_NO_ROOT, E_BUCKET_MISSING, E_ACCESS_DENIED, E_CREDENTIALS …
   */
  open(migration: string, use?: JournalUse): Promise<Journal>;
  /** The dependable store that it lies in. */
  store(migration: string, use?: JournalUse): Promise<Store>;
  /** Where those who share this queue say how much of it is theirs: beside all journals, under a name that no migration has. */
  board(queue: string): Promise<Journal>;
  /** Of partitions, which all migrations share: a folder beside theirs that no migration can be named as. Measured as `open` does. */
  shelf(): Promise<Shelf>;
  /** What is offered to plain messages, by migration: another such folder. */
  offers(): Promise<Shelf>;
  /** Lets writers race on the journal's store. @throws usage E_JOURNAL_GUARDS */
  prove(migration: string, signal?: AbortSignal): Promise<void>;
  close(): Promise<void>;
}

const PARTITIONS = '_partitions';
const OFFERS = '_offers';

type JournalPlace = S3Location | FileLocation;

const ARGUMENT = '--journal';
const S3_OPTIONS: Readonly<Record<string, keyof EndFlags>> = {
  endpoint: 'endpoint', region: 'region', provider: 'provider', credentials: 'credentials', 'path-style': 'pathStyle', 'ca-file': 'caFile', 'insecure-tls': 'insecureTls',
  proxy: 'proxy', 'payload-signing': 'payloadSigning', compression: 'compression', checksum: 'checksum', lanes: 'lanes',
};

/** Asks nobody. @throws usage E_CONFIG; premise E_NO_ROOT */
export function openJournals(text: string, around: JournalAround): Journals {
  const { migration, place } = parseJournal(text, around);
  if (place.kind === 'file') refuseMissing(place.path);
  return new StoredJournals(migration, place, around);
}

/** The place as the destination of a migration that copies nothing: so it is held to the same schema, and opened, measured and made dependable as one. */
function parseJournal(text: string, around: Surroundings): { readonly migration: Migration; readonly place: JournalPlace } {
  const isBucket = text.startsWith('s3://');
  const written = new Written(text, ARGUMENT, [...Object.keys(S3_OPTIONS), 'create'], around.cwd, isBucket);
  const flags = Object.fromEntries(Object.entries(S3_OPTIONS).flatMap(([name, flag]) => {
    const value = written.text(name);
    return value === undefined ? [] : [[flag, value]];
  })) as EndFlags;
  const migration = migrationInto(written.place, flags, ARGUMENT, written.yes('create') ? { create_bucket: true } : {}, around);
  const { destination: place } = migration;
  if (place.kind !== 's3' && place.kind !== 'file') throw configError(ARGUMENT, `${quoteValue(written.place)} is neither a bucket nor a directory`, 'write s3://bucket/prefix/ or the path of a shared directory');
  return { migration, place };
}

/** Made by nobody here: on a machine whose mount is missing, an empty directory of its own would look like a journal. */
function refuseMissing(path: string): void {
  if (statSync(path, { throwIfNoEntry: false })?.isDirectory() === true) return;
  throw new BrigadeError({ code: 'E_NO_ROOT', kind: 'premise', op: 'open journal', location: path, message: 'the directory of the journal is not there', hint: 'mount it, or make it once' });
}

const SILENT: Events = { emit: () => undefined };

class StoredJournals implements Journals {
  readonly describe: string;
  readonly #migration: Migration;
  readonly #place: JournalPlace;
  readonly #around: JournalAround;
  readonly #open = new Map<string, Promise<OpenStores>>();
  readonly #journals = new Map<string, Journal>();
  /** Of the store of all of them. */
  #probed: Probed | undefined;

  constructor(migration: Migration, place: JournalPlace, around: JournalAround) {
    this.describe = showLocation(place);
    this.#migration = migration;
    this.#place = place;
    this.#around = around;
    // Nothing is asked of a directory: what differs between them (names, times) is nothing that a journal uses.
    if (place.kind === 'file') this.#probed = { mtimeStepMs: 0 };
  }

  place(migration: string): JournalPlace {
    return below(this.#place, migration);
  }

  async open(migration: string, use: JournalUse = 'write'): Promise<Journal> {
    refuseName(migration);
    return this.#journal(migration, use);
  }

  board(queue: string): Promise<Journal> {
    return this.#journal(`_queue-${createHash('sha256').update(queue).digest('hex').slice(0, 16)}`, 'write');
  }

  async #journal(migration: string, use: JournalUse): Promise<Journal> {
    const store = await this.#store(migration, use);
    const known = this.#journals.get(`${use} ${migration}`);
    const journal = known ?? openJournal({ store, clock: this.#around.clock, random: this.#around.random });
    this.#journals.set(`${use} ${migration}`, journal);
    return journal;
  }

  async store(migration: string, use: JournalUse = 'write'): Promise<Store> {
    refuseName(migration);
    return this.#store(migration, use);
  }

  async shelf(): Promise<Shelf> {
    return openShelf(await this.#store(PARTITIONS, 'write'));
  }

  async offers(): Promise<Shelf> {
    return openShelf(await this.#store(OFFERS, 'write'));
  }

  async #store(folder: string, use: JournalUse): Promise<Store> {
    const name = `${use} ${folder}`;
    const opening = this.#open.get(name) ?? this.#stores(folder, use);
    this.#open.set(name, opening);
    try {
      const { source, destination } = await opening;
      if (use === 'write') refuseUnguarded(destination);
      return use === 'write' ? destination : source;
    } catch (thrown) {
      // The next one who asks may be luckier.
      this.#open.delete(name);
      throw thrown;
    }
  }

  async prove(migration: string, signal?: AbortSignal): Promise<void> {
    await proveConditionalWrites(await this.store(migration), this.#around.random, signal);
  }

  async close(): Promise<void> {
    const stores = await Promise.allSettled(this.#open.values());
    this.#open.clear();
    for (const opened of stores) if (opened.status === 'fulfilled') await opened.value.close();
  }

  async #stores(folder: string, use: JournalUse): Promise<OpenStores> {
    const { env, clock, random, events = SILENT } = this.#around;
    const place = below(this.#place, folder);
    const deps = { env, clock, random, events, share: 1, ...(this.#probed === undefined ? {} : { facts: this.#probed }) };
    // A source is never written to, and therefore never measured.
    if (use === 'read') return openStores({ ...this.#migration, source: place, destination: { kind: 'memory', name: 'nowhere', sse: 'none' } }, deps);
    const stores = await openStores({ ...this.#migration, destination: { ...place, sse: 'none' } }, deps);
    this.#probed ??= stores.probed;
    return stores;
  }
}

function refuseName(migration: string): void {
  if (!NAME_RULE.pattern.test(migration)) throw configError(ARGUMENT, `${quoteValue(migration)} is not the name of a migration`, NAME_RULE.fix);
}

function below(place: JournalPlace, folder: string): JournalPlace {
  return place.kind === 's3' ? { ...place, prefix: `${place.prefix}${folder}/` } : { ...place, path: join(place.path, folder) };
}
