/** The journal of a run that nobody coordinates, for the command that cancels it. */
import { isCoordinators } from '../../fleet/coordinator/epoch.ts';
import { JournalledLedger } from '../../fleet/coordinator/journalled-ledger.ts';
import { OVER_MS, Workers } from '../../fleet/coordinator/workers.ts';
import type { Journal } from '../../ports/journal.ts';
import type { CancelOptions } from '../cancel.ts';
import { catchUp, takeLead } from './coordinator.ts';

const LOOK_MS = 500;

/** @throws BrigadeError as `fleetHands`: E_LOCKED_RUN where a coordinator is at work on another machine */
export function journalClosing(journal: Journal, version: string): NonNullable<CancelOptions['open']> {
  return async (index, around) => {
    const { clock, events, signal } = around;
    const { pen, pulse } = await takeLead({ journal, version, standby: false }, { index, around });
    // What ends it is told to whoever waits for what he said.
    const ledger = new JournalledLedger({ ledger: index, pen, clock, events, signal, onFailure: () => undefined });
    return {
      ledger,
      settle: () => ledger.flush(),
      giveUp: async ({ number }) => {
        await pen.control({ run: number + 1, pause: false, rates: {}, workers: 1 }, signal);
        const workers = new Workers(clock);
        for (const toldMs = clock.monotonic(); clock.monotonic() - toldMs < OVER_MS; await clock.sleep(LOOK_MS, signal)) {
          workers.look((await journal.beats(signal)).filter((beat) => !isCoordinators(beat)));
          if (workers.areThrough(number + 1, toldMs)) break;
        }
        await catchUp(journal, { index, around });
      },
      close: async () => {
        await ledger.close();
        await pulse.end();
      },
    };
  };
}
