/**
 * Memory of the processes of a run. Left alone, V8 grows the young generation to 64 MB and more under the garbage of many small objects,
 * and a coordinator with 25 MB of live data stands at 330 MB. With 8 MB all processes stay below 256 MB at a million objects, for
 * hardly more CPU time (bench/scale.ts).
 */
import { getHeapSpaceStatistics, setFlagsFromString } from 'node:v8';

const SEMI_SPACE_MB = 4;

/** For a process that is still to be started. */
export const YOUNG_GENERATION_FLAG = `--max-semi-space-size=${SEMI_SPACE_MB}`;

const LOOK_EVERY_MS = 5;

/**
 * For this process, which was started without that limit: none can be set later, but growth can be stopped. bin/brigade.cjs stops it before
 * the modules are loaded, since that alone would grow it to 16 MB; from here on, whatever the command, it may go on to the limit.
 */
export function growYoungGeneration(): void {
  if (process.execArgv.includes(YOUNG_GENERATION_FLAG)) return;
  setFlagsFromString('--semi-space-growth-factor=2');
  const watch = setInterval(() => {
    const young = getHeapSpaceStatistics().find(({ space_name: name }) => name === 'new_space');
    if (young !== undefined && young.space_size < 2 * SEMI_SPACE_MB * 2 ** 20) return;
    setFlagsFromString('--semi-space-growth-factor=1');
    clearInterval(watch);
  }, LOOK_EVERY_MS);
  watch.unref();
}

/**
 * How far the old generation may outgrow what lives in it before it is collected. V8 begins as soon as less is left of that than the young generation
 * takes, with the buffers since the last time counted, too: at 40 that was each 5 MB of 30, a collection for 9,000 objects; at 70 it is hardly more
 * than half as often, for a peak of memory some 10 MB higher (bench/fleet.ts).
 */
export const OLD_GENERATION_FLAG = '--heap-growing-percent=70';

/**
 * For a coordinator: 20 MB live in it for long, and V8, left alone, collects at 55, with buffers and pages hanging on what is dead. That made
 * 191 MiB of 146 at 100,000 objects (bench/scale.ts). For an agent: pages of a listing outlive a young generation of this size, and with a
 * million keys to list they made 200 MiB and more of 150 (bench/agent.ts), for a tenth of the keys per CPU-second, and nothing of its GETs.
 * Executors, whose time counts, are left alone.
 */
export function keepOldGenerationSmall(): void {
  setFlagsFromString(OLD_GENERATION_FLAG);
}
