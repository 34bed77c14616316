import { offerMigration, withdrawOffer } from '../../app/fleet/offering.ts';
import { loadMigration } from '../../config/index.ts';
import { EXIT } from '../../core/exit-code.ts';
import type { RunEvent } from '../../ports/events.ts';
import { keyReferences, neededJournal } from '../fleet.ts';
import type { Invocation } from '../invocation.ts';
import { migrationFiles } from '../targets.ts';

export async function execute(invocation: Invocation): Promise<number> {
  const { io, args, options } = invocation;
  const places = { journal: neededJournal(invocation), messageKeys: keyReferences(invocation), cwd: io.cwd };
  const events = { emit: (event: RunEvent) => { if (event.type === 'note' && event.level !== 'info') io.err.line(`warning: ${event.text}`); } };
  const around = { env: io.env, clock: io.clock, random: io.random, events };
  // All of them can be read before any is offered.
  for (const migration of migrationFiles(io.cwd, args).map((file) => loadMigration(file, io.env))) {
    const { name } = migration;
    if (options.has('withdraw')) {
      await withdrawOffer(name, places, around);
      io.out.line(`${name}: plain messages cannot mean it any more; workers know that within a minute`);
    } else {
      const { source, destination } = await offerMigration(migration, places, around);
      io.out.line(`${name}: plain messages may ask for ${source} → ${destination}`);
    }
  }
  return EXIT.clean;
}
