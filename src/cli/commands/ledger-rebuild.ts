import { rebuildLedger, type Rebuilt } from '../../app/fleet/ledgers.ts';
import { EXIT } from '../../core/exit-code.ts';
import { damageLine, foldedJson, foldedLine } from '../folded.ts';
import { neededJournal, untilStopped } from '../fleet.ts';
import { format, type Invocation, stateDir } from '../invocation.ts';
import { identityText } from '../summary.ts';
import { parseRun } from '../targets.ts';

export async function execute(invocation: Invocation): Promise<number> {
  const { io, args, options } = invocation;
  const { name } = parseRun(args[0] ?? '');
  const journal = neededJournal(invocation);
  return untilStopped(invocation, async (signal) => {
    const { env, cwd, clock, random } = io;
    const rebuilt = await rebuildLedger(name, journal, { env, cwd, clock, random, stateDir: stateDir(invocation), signal, force: options.has('force') });
    if (format(invocation) === 'table') for (const line of lines(name, rebuilt)) io.out.line(line);
    else io.out.line(JSON.stringify(json(name, rebuilt), null, format(invocation) === 'json' ? 2 : 0));
    return EXIT.clean;
  });
}

function* lines(name: string, { path, folded, runs, aside }: Rebuilt): Generator<string> {
  for (const { run, tally } of runs) yield `${name}@${run.number}: ${run.state}, ${identityText(tally)}`;
  for (const damage of folded.damages) yield damageLine(damage);
  if (aside !== undefined) yield `set aside ${aside}`;
  yield `${name}: made ${path} from ${foldedLine(folded)}`;
}

function json(name: string, { path, journal, folded, runs, aside }: Rebuilt): object {
  return {
    v: 1, migration: name, journal, ledger: path, ...(aside === undefined ? {} : { setAside: aside }), ...foldedJson(folded),
    runs: runs.map(({ run, tally }) => ({ number: run.number, kind: run.kind, state: run.state, identity: identityText(tally) })),
  };
}
