/** Works through a list with a bounded number of lanes. The first error stops the others and is thrown once all have stopped. */
export async function runLanes<T>(work: readonly T[], lanes: number, signal: AbortSignal, each: (piece: T) => Promise<void>): Promise<void> {
  let next = 0;
  let failed: { readonly error: unknown } | undefined;
  const lane = async (): Promise<void> => {
    while (next < work.length && failed === undefined) {
      const piece = work[next++] as T;
      try {
        signal.throwIfAborted();
        await each(piece);
      } catch (error) {
        failed ??= { error };
      }
    }
  };
  await Promise.all(Array.from({ length: Math.min(lanes, work.length) }, lane));
  if (failed !== undefined) throw failed.error;
}
