/** What doctor found of a bucket stays true for a day: `<state>/doctor-cache.json`. No secrets: keys are hashes of references and options. */
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { makeFolder } from './folder.ts';
import { writeWhole } from './whole-file.ts';
import type { Migration } from '../config/index.ts';
import type { Clock } from '../ports/clock.ts';
import type { DoctorLine } from './doctor-types.ts';
import type { Side } from './doctor-lines.ts';
import type { ProbedSide } from './doctor-open.ts';

const KEEP_MS = 24 * 3600_000;

interface Entry {
  readonly checkedMs: number;
  /** Only warnings: what was fine needs no telling again. */
  readonly lines: readonly DoctorLine[];
  /** What was measured of a destination. */
  readonly probed?: ProbedSide;
}

interface Saved { readonly v: 1; readonly entries: Readonly<Record<string, Entry>> }

export class DoctorCache {
  readonly #stateDir: string;
  readonly #clock: Clock;

  constructor(stateDir: string, clock: Clock) {
    this.#stateDir = stateDir;
    this.#clock = clock;
  }

  /** One connection, bucket and everything that decides what is asked of it. Folders are asked each time: undefined. */
  keyOf(migration: Migration, side: Side): string | undefined {
    const location = migration[side];
    if (location.kind !== 's3') return undefined;
    const { transform, fidelity, requesterPays, allowArchived, createBucket } = migration;
    const asked = { side, location, transform, tags: fidelity.tags, requesterPays, allowArchived, createBucket, to: migration.destination.kind };
    return createHash('sha256').update(JSON.stringify(asked)).digest('hex');
  }

  get(key: string): Entry | undefined {
    const entry = this.#read()[key];
    return entry !== undefined && this.#isFresh(entry) ? entry : undefined;
  }

  put(key: string, lines: readonly DoctorLine[], probed?: ProbedSide): void {
    const kept = Object.entries(this.#read()).filter(([, entry]) => this.#isFresh(entry));
    const warnings = lines.filter(({ status }) => status !== 'OK');
    // A bucket that is still to be made has not been looked at.
    if (warnings.some(({ name }) => name.endsWith(': bucket'))) return;
    const saved: Saved = { v: 1, entries: { ...Object.fromEntries(kept), [key]: { checkedMs: this.#clock.now(), lines: warnings, ...(probed === undefined ? {} : { probed }) } } };
    makeFolder(this.#stateDir);
    writeWhole(this.#path, saved, 0o600);
  }

  get #path(): string {
    return join(this.#stateDir, 'doctor-cache.json');
  }

  /** A cache that cannot be read is no cache: everything is asked again. */
  #read(): Readonly<Record<string, Entry>> {
    try {
      const saved = (JSON.parse(readFileSync(this.#path, 'utf8')) ?? {}) as Partial<Saved>;
      return saved.v === 1 && typeof saved.entries === 'object' ? saved.entries : {};
    } catch (error) {
      if (error instanceof SyntaxError || (error as NodeJS.ErrnoException).code !== undefined) return {};
      throw error;
    }
  }

  #isFresh({ checkedMs }: Entry): boolean {
    const age = this.#clock.now() - checkedMs;
    return age >= 0 && age < KEEP_MS;
  }
}
