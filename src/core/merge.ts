/** Lock-step walk of sorted streams (truth 1): for each key the entry of every stream that has it. Pure; order is the caller's promise. */
import { compareKeys, type Key } from './key.ts';

export interface Keyed { readonly key: Key }

export interface Merged<A, B, C> {
  readonly key: Key;
  readonly a?: A;
  readonly b?: B;
  readonly c?: C;
}

type Source<T> = AsyncIterator<T, unknown, undefined> | Iterator<T, unknown, undefined>;

/** The third stream where there are two. */
export const NO_STREAM: Iterator<never> = [][Symbol.iterator]();

/** One step of memory per stream, whatever their length. */
export async function* merge<A extends Keyed, B extends Keyed, C extends Keyed>(a: Source<A>, b: Source<B>, c: Source<C>): AsyncGenerator<Merged<A, B, C>, void, undefined> {
  let [x, y, z]: [A | undefined, B | undefined, C | undefined] = await Promise.all([head(a), head(b), head(c)]);
  for (;;) {
    const key = least(x?.key, y?.key, z?.key);
    if (key === undefined) return;
    const [inA, inB, inC] = [x?.key === key, y?.key === key, z?.key === key];
    yield { key, ...(inA ? { a: x as A } : {}), ...(inB ? { b: y as B } : {}), ...(inC ? { c: z as C } : {}) };
    if (inA) x = await head(a);
    if (inB) y = await head(b);
    if (inC) z = await head(c);
  }
}

async function head<T>(source: Source<T>): Promise<T | undefined> {
  const next = await source.next();
  return next.done === true ? undefined : next.value;
}

function least(...keys: readonly (Key | undefined)[]): Key | undefined {
  let first: Key | undefined;
  for (const key of keys) if (key !== undefined && (first === undefined || compareKeys(key, first) < 0)) first = key;
  return first;
}
