import type { Random } from '../ports/clock.ts';

export function systemRandom(): Random {
  return { next: () => Math.random() };
}

/** The same numbers for the same seed, on every machine: for simulation and tests, never for secrets. */
export function seededRandom(seed: number | string): Random {
  let state = typeof seed === 'number' ? seed >>> 0 : hash(seed);
  return {
    // SplitMix32: a Weyl sequence through a 32-bit finaliser (Steele, Lea, Flood: Fast Splittable Pseudorandom Number Generators, 2014).
    next() {
      state = (state + 0x9e3779b9) >>> 0;
      let z = state;
      z = Math.imul(z ^ (z >>> 16), 0x21f0aaad);
      z = Math.imul(z ^ (z >>> 15), 0x735a2d97);
      return ((z ^ (z >>> 15)) >>> 0) / 2 ** 32;
    },
  };
}

/** FNV-1a over UTF-16 units. */
function hash(text: string): number {
  let h = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) h = Math.imul(h ^ text.charCodeAt(i), 0x01000193);
  return h >>> 0;
}
