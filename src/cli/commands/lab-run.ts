import { join } from 'node:path';
import { LAB_BUCKETS } from '../../app/lab/content.ts';
import { type Exercise, type ExerciseName, exerciseOf, prepare } from '../../app/lab/exercises.ts';
import { END_NAMES, type LabFolder } from '../../app/lab/folder.ts';
import { fillMore } from '../../app/lab/lab.ts';
import { mustBeUp } from '../../app/lab/processes.ts';
import { EXIT } from '../../core/exit-code.ts';
import { showBytes, showCount } from '../../core/units.ts';
import { format, type Invocation, nextCommand, shellWord, stateDir } from '../invocation.ts';
import { labCommand, labelled, shown, theLab, withState } from '../lab.ts';
import { runSeveral } from '../several.ts';
import { ledgersIn, migrationFiles } from '../targets.ts';
import { allRuns } from './runs.ts';

export async function execute(asked: Invocation): Promise<number> {
  const lab = theLab(asked);
  for (const name of END_NAMES) await mustBeUp(lab, name);
  const invocation = withState(asked, lab);
  const exercise = exerciseOf((asked.options.text('exercise') ?? 'permission') as ExerciseName);
  const say = (line: string): void => { if (format(asked) === 'table') asked.io.out.line(line); };
  const files = migrationFiles(asked.io.cwd, [lab.migrations]);
  if (ledgersIn(stateDir(invocation)).length > 0) {
    const more = await fillMore(lab, asked.io);
    say(`another day: ${showCount(more.objects)} new objects, ${showBytes(more.bytes)}, in the source`);
  }
  await prepare(lab, exercise);
  say(`$ ${nextCommand(invocation, `run ${shellWord(shown(asked, lab.migrations))}`)}`);
  const exit = await runSeveral(invocation, files);
  if (exit === EXIT.sigint || exit === EXIT.sigterm) return exit;
  const ailing = await ailingPairs(stateDir(invocation));
  for (const line of explain(invocation, lab, exercise, ailing)) say(line);
  return exit;
}

/** Pairs whose latest run has not brought everything over. */
async function ailingPairs(state: string): Promise<string[]> {
  const latest = new Map((await allRuns(state)).map((row) => [row.migration, row]));
  return LAB_BUCKETS.map(({ name }) => name).filter((name) => {
    const row = latest.get(name);
    return row === undefined || row.run.state !== 'finished' || row.tally.failed.objects > 0 || row.tally.pending.objects > 0;
  });
}

/** What to do now. */
function explain(invocation: Invocation, lab: LabFolder, exercise: Exercise | undefined, ailing: readonly string[]): string[] {
  const end = [...verifyAll(invocation), labelled('end', labCommand(invocation, 'down'))];
  if (ailing.length === 0) return ['', ...end];
  const files = shellWord(shown(invocation, lab.migrations));
  const known = exercise !== undefined && ailing.length === 1 && ailing[0] === exercise.pair ? exercise : undefined;
  const goOn = known === undefined ? [`run ${files}`, 'all pairs, each where it was'] as const : [known.goOn(shellWord(shown(invocation, join(lab.migrations, `${known.pair}.yml`)))), known.why] as const;
  return [
    '', known === undefined ? `Not everything came through: ${ailing.join(', ')}.` : `One pair failed and touched no other. ${known.pair}: ${known.story}.`, '',
    ...ailing.flatMap((name, index) => [labelled(index === 0 ? 'look' : '', nextCommand(invocation, `status ${name}`)), labelled('', nextCommand(invocation, `objects ${name} --state failed,pending`))]),
    labelled('', labCommand(invocation, 'fault list')),
    labelled('repair', labCommand(invocation, 'fault clear')),
    labelled('go on', `${nextCommand(invocation, goOn[0])}   # ${goOn[1]}`),
    ...end,
  ];
}

function verifyAll(invocation: Invocation): string[] {
  return LAB_BUCKETS.map(({ name }, index) => labelled(index === 0 ? 'verify' : '', nextCommand(invocation, `verify ${name}`)));
}
