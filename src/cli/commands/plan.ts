import { resolve } from 'node:path';
import type { Forecaster } from '../../app/forecast-types.ts';
import { loadMigration, type Migration } from '../../config/index.ts';
import { showForecast } from '../forecast.ts';
import { format, type Invocation, nextCommand, paintFor, shellWord, stateDir } from '../invocation.ts';
import { logging } from '../logging.ts';
import { watched } from '../moving.ts';
import { SIGNAL_EXITS } from '../stopping.ts';

export async function execute(invocation: Invocation): Promise<number> {
  const { io, args } = invocation;
  return planOf(invocation, loadMigration(resolve(io.cwd, args[0] ?? ''), io.env));
}

/** Lists and says; writes nothing. Also `run --dry-run` and `copy --dry-run`. */
export async function planOf(invocation: Invocation, migration: Migration): Promise<number> {
  const { io } = invocation;
  const forecaster = await loadForecaster();
  using log = logging(invocation, migration.name);
  const forecast = await watched(invocation, migration, undefined, async (watching, stopping) => {
    const events = { emit: (event: Parameters<typeof watching.emit>[0]) => { watching.emit(event); log.emit(event); } };
    try {
      return await forecaster(migration, { stateDir: stateDir(invocation), env: io.env, clock: io.clock, random: io.random, events, signal: stopping.signal });
    } catch (thrown) {
      const by = stopping.by();
      if (by !== undefined) return SIGNAL_EXITS[by];
      throw thrown;
    }
  });
  if (typeof forecast === 'number') return forecast;
  const next = migration.file === undefined ? [] : [nextCommand(invocation, `run ${shellWord(migration.file)}`)];
  io.out.write(showForecast(forecast, format(invocation), paintFor(invocation, io.out), next));
  return 0;
}

/** On its own: in a function that declares with `using`, the compiler leaves the extension of a dynamic import as it stands. */
async function loadForecaster(): Promise<Forecaster> {
  return (await import('../../app/forecast.ts')).forecast;
}
