/** What happens in one simulation, all of it from its seed: what there is to copy, how, what goes wrong all the time, and which blows fall when. */
import type { Random } from '../../src/ports/clock.ts';
import { seededRandom } from '../../src/telemetry/random.ts';

/** In the very moment of its next request of this kind: while that is on its way, or while its answer is. Absent: at once. */
export interface Moment {
  readonly at?: string;
  readonly when?: 'going' | 'done';
}

export type Blow =
  | { readonly kind: 'stop worker' | 'stop coordinator' | 'join' | 'purge' | 'overwrite' | 'delete' }
  | ({ readonly kind: 'kill worker' | 'kill coordinator' } & Moment)
  | ({ readonly kind: 'freeze worker' | 'freeze coordinator'; readonly forMs: number } & Moment)
  /** Beside the one that is at work. `renews`: in its place, and its run is given up for another one. */
  | { readonly kind: 'another coordinator'; readonly renews?: true }
  | { readonly kind: 'jump'; readonly byMs: number }
  | { readonly kind: 'cut'; readonly place: 'source' | 'destination' | 'journal' | 'queue'; readonly cut: 'request' | 'answer'; readonly forMs: number; readonly who: 'worker' | 'coordinator' }
  | { readonly kind: 'outage'; readonly forMs: number }
  /** By an operator: whoever coordinates then keeps it so. */
  | { readonly kind: 'pause'; readonly forMs: number }
  /** Its run ends for good, and another one is wanted. */
  | { readonly kind: 'cancel' };

export type TimedBlow = Blow & { readonly atMs: number };

export interface Sizes {
  readonly key: string;
  readonly size: number;
  /** Something stands there before: the same bytes, or others. */
  readonly before?: 'same' | 'other';
}

export interface Scenario {
  readonly seed: number;
  readonly objects: readonly Sizes[];
  readonly workers: number;
  readonly perTask: number;
  readonly partSize: number;
  /** Of one object, that a worker takes at a time. */
  readonly spanBytes: number;
  /** From this size on an object goes in parts. */
  readonly inPartsFrom: number;
  readonly leaseMs: number;
  readonly latencyMs: number;
  readonly window: number | 'auto';
  /** Small objects at once, of each worker. */
  readonly atOnce: number;
  /** The destination has conditional writes. */
  readonly guarded: boolean;
  readonly verify: 'inline' | 'full';
  readonly compare: 'auto' | 'checksum';
  /** Chances, each of a request. */
  readonly faults: { readonly error: number; readonly throttle: number; readonly lost: number; readonly cut: number };
  readonly messages: { readonly duplicate: number; readonly reorder: number; readonly lose: number };
  readonly blows: readonly TimedBlow[];
  /** Until then blows fall; after it nothing goes wrong any more. */
  readonly stormMs: number;
  /** What another producer asks for, and when. */
  readonly plain: readonly { readonly atMs: number; readonly keys: readonly string[] }[];
  /** Whatever worker reads this key dies of it. */
  readonly poison?: string;
  /** Once the run has ended the source is changed so often, and a second run is made under these blows. */
  readonly second?: { readonly changes: number; readonly blows: readonly TimedBlow[] };
}

const KINDS: readonly (readonly [Exclude<Blow['kind'], 'pause' | 'cancel'>, number])[] = [
  ['kill worker', 5], ['stop worker', 1], ['join', 2], ['freeze worker', 3], ['kill coordinator', 3], ['stop coordinator', 1], ['freeze coordinator', 2], ['another coordinator', 2],
  ['purge', 2], ['overwrite', 5], ['delete', 1], ['jump', 2], ['cut', 4], ['outage', 1],
];
const PLACES = ['source', 'destination', 'journal', 'queue'] as const;

const WORKER_MOMENTS = ['destination write', 'destination create', 'destination putPart', 'destination complete', 'destination abort', 'journal write', 'queue ack', 'queue receive', 'source read'];
const COORDINATOR_MOMENTS = ['journal write', 'journal write', 'journal head', 'queue send', 'destination list', 'source list', 'destination abort', 'destination listUploads'];

const POISONED = 0.15;
const WITH_PLAIN = 0.3;

export function scenarioOf(seed: number): Scenario {
  const random = seededRandom(`scenario ${seed}`);
  const calm = random.next() < 0.1;
  const guarded = random.next() < 0.85;
  const chance = (most: number): number => (calm || random.next() < 0.4 ? 0 : random.next() * most);
  const partSize = pick(random, [1000, 2500, 6000]);
  const stormMs = Math.floor(4000 * 15 ** random.next());
  const latencyMs = pick(random, [50, 400, 1500, 3000]);
  const objects = objectsOf(random, partSize);
  // Of its own chance, so that seeds mean what they meant before there was any. What stands there already need not be read.
  const venom = seededRandom(`poison ${seed}`);
  return {
    seed, partSize, stormMs, latencyMs, guarded,
    ...sharedOf(seed, partSize, objects), ...(venom.next() < POISONED ? { poison: pick(venom, objects.filter(({ before }) => before !== 'same')).key } : {}),
    plain: guarded ? plainOf(seed, stormMs, objects) : [],
    workers: between(random, 1, 6), perTask: pick(random, [1, 3, 8, 20]), inPartsFrom: partSize * 2,
    leaseMs: pick(random, [6_000, 15_000, 30_000]), window: latencyMs > 400 || random.next() < 0.6 ? 'auto' : between(random, 1, 8),
    atOnce: pick(random, [1, 1, 2, 4, 48]), verify: random.next() < 0.1 ? 'full' : 'inline', compare: random.next() < 0.2 ? 'checksum' : 'auto',
    faults: { error: chance(0.08), throttle: chance(0.03), lost: chance(0.08), cut: chance(0.05) },
    messages: { duplicate: chance(0.4), reorder: chance(0.6), lose: chance(0.2) },
    blows: calm ? [] : withOperator(seed, stormMs, withNewRun(seed, stormMs, blowsOf(random, between(random, 1, 14), stormMs, guarded))),
    ...(random.next() < 0.2 ? { second: { changes: between(random, 0, 15), blows: blowsOf(random, between(random, 0, 5), stormMs / 2, guarded) } } : {}),
  };
}

/** Drawn apart, as above. Not where nothing guards: nobody there would know of a message that somebody has in hand when the run ends. */
function plainOf(seed: number, withinMs: number, objects: readonly Sizes[]): Scenario['plain'] {
  const random = seededRandom(`plain ${seed}`);
  if (random.next() >= WITH_PLAIN) return [];
  return Array.from({ length: between(random, 1, 6) }, () => ({
    atMs: Math.floor(random.next() * withinMs),
    keys: [...Array.from({ length: between(random, 1, 20) }, () => pick(random, objects).key), ...(random.next() < 0.3 ? ['missing/one'] : [])],
  }));
}

function blowsOf(random: Random, count: number, withinMs: number, guarded: boolean): readonly TimedBlow[] {
  const blows = Array.from({ length: count }, () => ({ ...blowOf(random), atMs: Math.floor(random.next() * withinMs) }));
  return blows.filter(({ kind }) => guarded || !LATE.has(kind)).sort((a, b) => a.atMs - b.atMs);
}

/** From chance of its own, so that the rest of a seed's story is what it was. */
function withNewRun(seed: number, withinMs: number, blows: readonly TimedBlow[]): readonly TimedBlow[] {
  const random = seededRandom(`new run ${seed}`);
  if (random.next() >= 0.15) return blows;
  return [...blows, { kind: 'another coordinator' as const, renews: true as const, atMs: Math.floor(random.next() * withinMs) }].sort((a, b) => a.atMs - b.atMs);
}

/** The same: pauses, and a run that is cancelled. */
function withOperator(seed: number, withinMs: number, blows: readonly TimedBlow[]): readonly TimedBlow[] {
  const random = seededRandom(`operator ${seed}`);
  const at = (): number => Math.floor(random.next() * withinMs);
  const pauses = random.next() < 0.2 ? Array.from({ length: between(random, 1, 2) }, () => ({ kind: 'pause' as const, forMs: Math.floor(1000 * 10 ** (random.next() * 2.8)), atMs: at() })) : [];
  const cancels = random.next() < 0.15 ? [{ kind: 'cancel' as const, atMs: at() }] : [];
  return [...blows, ...pauses, ...cancels].sort((a, b) => a.atMs - b.atMs);
}

/** Who wakes after the end of a run and writes where nothing guards is found by the next run's listing, not by this one's. */
const LATE: ReadonlySet<Blow['kind']> = new Set(['freeze worker']);

function objectsOf(random: Random, partSize: number): readonly Sizes[] {
  const count = between(random, 5, random.next() < 0.15 ? 200 : 70);
  const folders = ['', 'a/', 'a-b/', 'ünï/', 'z//'];
  return Array.from({ length: count }, (_, i) => {
    const large = random.next() < 0.15;
    const before = random.next();
    const size = large ? between(random, partSize * 2, partSize * 9) : random.next() < 0.05 ? 0 : between(random, 1, Math.min(2000, partSize * 2 - 1));
    return { key: `${pick(random, folders)}${String(i).padStart(4, '0')}`, size, ...(before < 0.05 ? { before: 'same' as const } : before < 0.1 ? { before: 'other' as const } : {}) };
  });
}

/** One or two objects of so many parts that several workers send them. Drawn apart, so that the seeds mean what they meant before there were such. */
function sharedOf(seed: number, partSize: number, objects: readonly Sizes[]): Pick<Scenario, 'objects' | 'spanBytes'> {
  const random = seededRandom(`shared ${seed}`);
  const spanBytes = partSize * pick(random, [1, 2, 4]);
  const shared = new Set(Array.from({ length: between(random, 0, 2) }, () => between(random, 0, objects.length - 1)));
  return { spanBytes, objects: objects.map((one, i) => (shared.has(i) ? { ...one, size: between(random, partSize * 8, partSize * 40) } : one)) };
}

function blowOf(random: Random): Blow {
  const kind = weighted(random, KINDS);
  const longMs = Math.floor(1000 * 10 ** (random.next() * 2.3));
  if (kind === 'outage') return { kind, forMs: longMs };
  if (kind === 'freeze worker' || kind === 'freeze coordinator') return { kind, forMs: longMs, ...momentOf(random, kind === 'freeze worker') };
  if (kind === 'jump') return { kind, byMs: (random.next() - 0.5) * 7_200_000 };
  if (kind === 'kill worker' || kind === 'kill coordinator') return { kind, ...momentOf(random, kind === 'kill worker') };
  if (kind !== 'cut') return { kind };
  return { kind, place: pick(random, PLACES), cut: random.next() < 0.5 ? 'request' : 'answer', forMs: longMs, who: random.next() < 0.75 ? 'worker' : 'coordinator' };
}

function momentOf(random: Random, isWorker: boolean): Moment {
  if (random.next() < 0.4) return {};
  return { at: pick(random, isWorker ? WORKER_MOMENTS : COORDINATOR_MOMENTS), when: random.next() < 0.5 ? 'going' : 'done' };
}

/** A whole number from one to the other, both included. */
export function between(random: Random, least: number, most: number): number {
  return least + Math.floor(random.next() * (most - least + 1));
}

export function pick<T>(random: Random, of: readonly T[]): T {
  return of[Math.floor(random.next() * of.length)] as T;
}

function weighted<T>(random: Random, of: readonly (readonly [T, number])[]): T {
  let left = random.next() * of.reduce((sum, [, weight]) => sum + weight, 0);
  for (const [one, weight] of of) if ((left -= weight) < 0) return one;
  return (of[0] as readonly [T, number])[0];
}
