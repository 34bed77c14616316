/** Unfinished uploads cost money and hide (F072): at start and end those in our own ledger, and no others, are aborted. */
import { isKind } from '../core/errors.ts';
import type { Events } from '../ports/events.ts';
import type { Ledger } from '../ports/ledger.ts';
import type { Store } from '../ports/storage.ts';

export interface SweepContext {
  readonly ledger: Ledger;
  readonly run: number;
  readonly destination: Store;
  readonly events: Events;
}

/** Uploads of this run whose object is still pending stay: another process goes on with their parts. */
export async function sweepUploads(context: SweepContext, signal: AbortSignal): Promise<void> {
  const { ledger, run, destination, events } = context;
  for (const open of ledger.openUploads()) {
    if (open.run === run && ledger.item(run, open.upload.key)?.state === 'pending') continue;
    try {
      await destination.multipart?.abort(open.upload, signal);
      await ledger.forgetUpload(open.task, open.upload.id);
    } catch (error) {
      // A store that will not abort now will be asked again at the next sweep; the run itself is not worse for it.
      if (isKind(error, 'cancelled')) throw error;
      events.emit({ type: 'note', level: 'warn', text: `could not abort an unfinished upload of ours: ${error instanceof Error ? error.message : String(error)}` });
    }
  }
}
