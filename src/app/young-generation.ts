/**
 * Memory of the processes of a run. Left alone, V8 grows the young generation to 64 MB and more under the garbage of many small objects,
 * and a coordinator with 25 MB of live data stands at 330 MB. With 8 MB all processes stay below 256 MB at a million objects, for
 * hardly more CPU time (bench/scale.ts).
 */
import { getHeapSpaceStatistics, setFlagsFromString } from 'node:v8';

const SEMI_SPACE_MB = 4;

/** For a process that is still to be started. */
export const YOUNG_GENERATION_FLAG = `--max-semi-space-size=${SEMI_SPACE_MB}`;

const LOOK_EVERY_MS = 50;

/** For this process: the same limit can only be given before the start, but growth can be stopped at any time. */
export function limitYoungGeneration(): void {
  const watch = setInterval(() => {
    const young = getHeapSpaceStatistics().find(({ space_name: name }) => name === 'new_space');
    if (young !== undefined && young.space_size < 2 * SEMI_SPACE_MB * 2 ** 20) return;
    setFlagsFromString('--semi-space-growth-factor=1');
    clearInterval(watch);
  }, LOOK_EVERY_MS);
  watch.unref();
}
