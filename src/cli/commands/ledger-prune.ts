import { openForChange, refuseFleet } from '../../app/open-run.ts';
import { type Invocation, stateDir } from '../invocation.ts';
import { openLedgerOf, parseRun } from '../targets.ts';

const KEEP = 3;

export async function execute(invocation: Invocation): Promise<number> {
  const { io, args, options } = invocation;
  const { name } = parseRun(args[0] ?? '');
  const view = openLedgerOf(stateDir(invocation), name);
  const { binding } = view;
  await view.close();
  const ledger = await openForChange(binding, { stateDir: stateDir(invocation), clock: io.clock, signal: new AbortController().signal });
  try {
    refuseFleet(ledger);
    const pruned = ledger.prune(options.count('keep') ?? KEEP);
    io.out.line(pruned.length === 0 ? `${name}: nothing to prune` : `${name}: dropped the objects of run ${pruned.join(', ')}; their sums stay`);
  } finally {
    await ledger.close();
  }
  return 0;
}
