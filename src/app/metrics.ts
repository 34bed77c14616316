/** `--metrics`: how a run stands, shown to whoever asks. */
import { existsSync } from 'node:fs';
import { BrigadeError } from '../core/errors.ts';
import { inspectLedger } from '../ledger/sqlite/index.ts';
import type { Sample } from '../telemetry/meter.ts';
import { type MetricsEndpoint, serveMetrics } from '../telemetry/metrics-endpoint.ts';
import { listenAddress, listening } from './listen-address.ts';

const FLAG = '--metrics';
const STATES = ['copied', 'unchanged', 'skipped', 'failed', 'pending'] as const;

/** @throws BrigadeError usage E_USAGE, E_LISTEN */
export async function showMetrics(address: string, read: () => readonly Sample[]): Promise<MetricsEndpoint> {
  const { host, port } = await listenAddress(address, FLAG);
  return listening(() => serveMetrics({ host, port, read }), address, FLAG);
}

/** The account of the latest run, as its ledger has it now; nothing where there is none yet. */
export function accountSamples(migration: string, ledger: string): readonly Sample[] {
  if (!existsSync(ledger)) return [];
  const labels = { migration };
  try {
    const view = inspectLedger(ledger);
    try {
      const run = view.run();
      if (run === undefined) return [];
      const tally = view.tally(run.number);
      return [
        ...STATES.flatMap((state): Sample[] => [
          { name: 'brigade_objects', labels: { ...labels, state }, value: tally[state].objects },
          { name: 'brigade_object_bytes', labels: { ...labels, state }, value: tally[state].bytes },
        ]),
        { name: 'brigade_listing_complete', labels, value: run.listing.sealed ? 1 : 0 },
      ];
    } finally {
      void view.close();
    }
  } catch (thrown) {
    // What is wrong with a ledger the run itself finds out and says.
    if (thrown instanceof BrigadeError) return [];
    throw thrown;
  }
}
