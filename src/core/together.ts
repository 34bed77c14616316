/**
 * Waits until all of them have ended, so that nothing goes on behind an error that was already told; then gives their values, or throws
 * the error of the first that failed.
 */
export async function together<T extends readonly unknown[]>(...work: { readonly [K in keyof T]: Promise<T[K]> }): Promise<T> {
  const ends = await Promise.allSettled(work);
  return ends.map((end) => {
    if (end.status === 'rejected') throw end.reason;
    return end.value as unknown;
  }) as unknown as T;
}
