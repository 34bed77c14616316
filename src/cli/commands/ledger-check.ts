import { checkLedger, type Checked } from '../../app/fleet/ledgers.ts';
import { oneLine } from '../../core/errors.ts';
import { EXIT } from '../../core/exit-code.ts';
import type { Difference } from '../../journal/index.ts';
import { damageLine, foldedJson, foldedLine } from '../folded.ts';
import { neededJournal, untilStopped } from '../fleet.ts';
import { format, type Invocation, nextCommand, shellWord, stateDir } from '../invocation.ts';
import { mustExist, parseRun } from '../targets.ts';

const MOST_TOLD = 100;

export async function execute(invocation: Invocation): Promise<number> {
  const { io, args, options } = invocation;
  const { name } = parseRun(args[0] ?? '');
  const journal = neededJournal(invocation);
  mustExist(stateDir(invocation), name);
  const most = options.count('limit') ?? MOST_TOLD;
  const told: Difference[] = [];
  return untilStopped(invocation, async (signal) => {
    const { env, cwd, clock, random } = io;
    const checked = await checkLedger(name, journal, { env, cwd, clock, random, stateDir: stateDir(invocation), signal }, (difference) => {
      if (told.length >= most) return;
      told.push(difference);
      if (format(invocation) === 'table') io.out.line(oneLine(difference.message, 1000));
      if (format(invocation) === 'ndjson') io.out.line(JSON.stringify(difference));
    });
    const differs = checked.differences > 0 || checked.folded.damages.length > 0;
    if (format(invocation) === 'json') io.out.line(JSON.stringify(json(name, checked, told), null, 2));
    if (format(invocation) === 'table') for (const line of lines(invocation, name, checked, told.length)) io.out.line(line);
    return differs ? EXIT.verifyDiffers : EXIT.clean;
  });
}

function* lines(invocation: Invocation, name: string, { folded, differences, live }: Checked, told: number): Generator<string> {
  if (told < differences) yield `and ${differences - told} more; --limit shows them`;
  for (const damage of folded.damages) yield damageLine(damage);
  if (live) yield `${name}: a coordinator is at work; what it has not folded yet is told as a difference`;
  const how = differences === 0 ? 'the ledger says what its journal says' : `${differences} ${differences === 1 ? 'difference' : 'differences'}; if no coordinator brings it up, ${nextCommand(invocation, `ledger rebuild ${name} --force --journal ${shellWord(invocation.options.text('journal') ?? '')}`)}`;
  yield `${name}: ${how}; read ${foldedLine(folded)}`;
}

function json(name: string, { path, journal, folded, differences, live }: Checked, told: readonly Difference[]): object {
  return { v: 1, migration: name, journal, ledger: path, coordinated: live, ...foldedJson(folded), count: differences, differences: told };
}
