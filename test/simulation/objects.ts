/** The objects of a simulation: every version that ever stood at the source, and a witness at the destination who looks at each write as it lands. */
import type { Random } from '../../src/ports/clock.ts';
import type { Store } from '../../src/ports/storage.ts';
import { createMemoryStore, type MemoryStore } from '../../src/stores/memory/index.ts';
import { layer } from '../../src/stores/decorators/layer.ts';
import type { Clock } from '../../src/ports/clock.ts';
import { pick, type Scenario } from './scenario.ts';

export interface Version {
  readonly token: string;
  readonly bytes: Buffer;
}

/** Of one key: what stood there, the oldest first. */
interface History {
  readonly versions: Version[];
  deleted: boolean;
  /** At the destination before the run. */
  readonly before?: Buffer;
}

export class Objects {
  readonly source: MemoryStore;
  readonly destination: MemoryStore;
  readonly #histories = new Map<string, History>();
  readonly #violate: (what: string) => void;
  readonly #guarded: boolean;
  /** Writes that landed at the destination. */
  landed = 0;

  constructor({ objects: sizes, guarded }: Pick<Scenario, 'objects' | 'guarded'>, clock: Clock, violate: (what: string) => void) {
    this.#violate = violate;
    this.#guarded = guarded;
    this.source = createMemoryStore({ name: 'source', clock, pageSize: 20, chunkSize: 700 });
    this.destination = createMemoryStore({ name: 'destination', clock, pageSize: 20, facts: { guards: { absent: guarded, matches: guarded, onComplete: guarded } } });
    for (const { key, size, before } of sizes) {
      const bytes = contentOf(key, 1, size);
      const earlier = before === undefined ? undefined : before === 'same' ? bytes : contentOf(key, 0, size + 1);
      if (earlier !== undefined) this.destination.put(key, earlier);
      this.#histories.set(key, { versions: [{ token: this.source.put(key, bytes), bytes }], deleted: false, ...(earlier === undefined ? {} : { before: earlier }) });
    }
  }

  get keys(): readonly string[] {
    return [...this.#histories.keys()];
  }

  /** It was there from beginning to end, in whatever version. */
  wasAlwaysThere(key: string): boolean {
    return this.#histories.get(key)?.deleted === false;
  }

  version(key: string, token: string): number {
    return this.#histories.get(key)?.versions.findIndex((version) => version.token === token) ?? -1;
  }

  /** Another version, half the time as large as the one before. The smallest stay as they are: their versions could not be told apart. */
  overwrite(random: Random): string | undefined {
    const living = [...this.#histories].filter(([, { deleted, versions }]) => !deleted && (versions.at(-1) as Version).bytes.length >= 8);
    if (living.length === 0) return undefined;
    // Large ones are copied for long: most is to be found out there.
    const large = living.filter(([, { versions }]) => (versions.at(-1) as Version).bytes.length > 2000);
    const [key, { versions }] = pick(random, large.length > 0 && random.next() < 0.6 ? large : living);
    const { length } = (versions.at(-1) as Version).bytes;
    const bytes = contentOf(key, versions.length + 1, random.next() < 0.5 ? length : Math.max(8, Math.floor(length * (0.5 + random.next()))));
    versions.push({ token: this.source.put(key, bytes), bytes });
    return key;
  }

  add(random: Random): string {
    const key = `b/${String(this.#histories.size).padStart(4, '0')}`;
    const bytes = contentOf(key, 1, Math.floor(random.next() * 3000));
    this.#histories.set(key, { versions: [{ token: this.source.put(key, bytes), bytes }], deleted: false });
    return key;
  }

  async delete(random: Random): Promise<string | undefined> {
    const living = [...this.#histories].filter(([, { deleted }]) => !deleted);
    if (living.length < 2) return undefined;
    const [key, history] = pick(random, living);
    history.deleted = true;
    await this.source.remove(key);
    return key;
  }

  /** Which version of the source these bytes are; 0: what stood there before the run; -1: none. */
  whichVersion(key: string, bytes: Buffer): number {
    const history = this.#histories.get(key);
    if (history === undefined) return -1;
    const at = history.versions.findIndex((version) => version.bytes.equals(bytes));
    return at >= 0 ? at + 1 : history.before?.equals(bytes) === true ? 0 : -1;
  }

  /** The destination, where each write is looked at in the moment in which it lands. */
  witnessed(): Store {
    const { destination } = this;
    return layer(destination, {
      call: async ({ op, key = '' }, run) => {
        if (op !== 'write' && op !== 'complete') return run();
        const before = destination.bytes(key);
        const result = await run();
        this.landed++;
        this.#judge(key, before, destination.bytes(key));
        return result;
      },
    });
  }

  #judge(key: string, before: Buffer | undefined, now: Buffer | undefined): void {
    if (now === undefined) return;
    const version = this.whichVersion(key, now);
    if (version < 0) this.#violate(`I2: what was written at ${key} (${now.length} bytes) is no whole version of the source`);
    if (before === undefined || !this.#guarded) return;
    const earlier = this.whichVersion(key, before);
    if (earlier > version) this.#violate(`I3: version ${version} of ${key} was written over version ${earlier}`);
    if (earlier === version && earlier > 0) this.#violate(`I3: version ${version} of ${key} was written over itself`);
  }
}

/** Different at every eight bytes for every key and version: a mix of two is neither. */
function contentOf(key: string, version: number, size: number): Buffer {
  const bytes = Buffer.allocUnsafe(size);
  let state = 0x811c9dc5;
  for (const char of `${key} ${version}`) state = Math.imul(state ^ (char.codePointAt(0) as number), 0x01000193);
  for (let at = 0; at < size; at++) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    bytes[at] = state >>> 24;
  }
  return bytes;
}
