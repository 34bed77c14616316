/** Index ↔ key without a table: keyAt(i) rises strictly with i in byte order, so any place is found by bisection. */
import { compareKeys, type Key } from '../../core/key.ts';

export type Shape = 'flat' | 'deep' | 'skewed' | 'unicode';

export interface KeyPlan {
  readonly count: number;
  readonly seed: number;
  readonly shape: Shape;
  /** Bytes per key, about: a key is never cut below what makes it unique. */
  readonly keyLength: number;
}

/** In byte order, of one to four bytes, with everything that encoders get wrong. */
const ALPHABET: readonly string[] = ['\u0001', ' ', '#', '%', '+', '=', 'A', 'a', '~', 'ß', 'é', '\u2028', '日', '\ue000', '\uffff', '😀'];
const FILLER = 'lorem-ipsum_dolor.sit-amet_consectetur.adipiscing-elit_sed.do-eiusmod_tempor.incididunt-ut_labore.et-dolore_magna.aliqua-';
/** Objects per lowest directory of the deep shape. */
const PER_DIRECTORY = 100;

/** 32 well-mixed bits of two numbers; `index` may be larger than 2³². */
export function mix(seed: number, index: number): number {
  let h = (seed ^ 0x9e3779b9) >>> 0;
  h = Math.imul(h ^ (index >>> 0), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13) ^ Math.floor(index / 2 ** 32), 0xc2b2ae35);
  h = Math.imul(h ^ (h >>> 16), 0x27d4eb2f);
  return (h ^ (h >>> 15)) >>> 0;
}

export function keyAt(plan: KeyPlan, index: number): Key {
  const unique = SHAPES[plan.shape](plan, index);
  const missing = plan.keyLength - Buffer.byteLength(unique) - 1;
  return missing <= 0 ? unique : `${unique}-${filler(mix(plan.seed, index), missing)}`;
}

/** Number of the first key for which `fits` holds; it must hold for all behind it too. */
export function firstIndex(plan: KeyPlan, fits: (key: Key) => boolean): number {
  let low = 0;
  let high = plan.count;
  while (low < high) {
    const middle = Math.floor((low + high) / 2);
    if (fits(keyAt(plan, middle))) high = middle;
    else low = middle + 1;
  }
  return low;
}

/** Number of exactly this key, or undefined. */
export function indexOf(plan: KeyPlan, key: Key): number | undefined {
  const index = firstIndex(plan, (candidate) => compareKeys(candidate, key) >= 0);
  return index < plan.count && keyAt(plan, index) === key ? index : undefined;
}

const SHAPES: Readonly<Record<Shape, (plan: KeyPlan, index: number) => Key>> = {
  flat: (plan, index) => `object-${digits(plan, index)}`,
  deep: (plan, index) => `${digits(plan, index).slice(0, -2).replace(/(\d{2,3}?)(?=(?:\d{2})+$)/g, '$1/')}/${String(index % PER_DIRECTORY).padStart(2, '0')}`,
  // Half of all objects in the first directory, half of the rest in the second …
  skewed: (plan, index) => `dir-${String(Math.floor(Math.log2(plan.count / (plan.count - index)))).padStart(2, '0')}/${digits(plan, index)}`,
  unicode: (plan, index) => letters(plan, index),
};

/** Of one length for all, so that text order is number order. */
function digits(plan: KeyPlan, index: number): string {
  const width = Math.max(4, String(plan.count - 1).length);
  return String(index).padStart(width + (width % 2), '0');
}

function letters(plan: KeyPlan, index: number): string {
  const width = Math.max(1, Math.ceil(Math.log(plan.count) / Math.log(ALPHABET.length)) + 1);
  let text = '';
  let rest = index;
  for (let i = 0; i < width; i++) {
    text = (ALPHABET[rest % ALPHABET.length] as string) + text;
    rest = Math.floor(rest / ALPHABET.length);
  }
  return `u/${text}`;
}

function filler(hash: number, length: number): string {
  const start = hash % FILLER.length;
  const text = FILLER.slice(start, start + length);
  return text.length === length ? text : (text + FILLER.repeat(Math.ceil(length / FILLER.length))).slice(0, length);
}
