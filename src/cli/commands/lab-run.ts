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
  for (const line of explain(invocation, lab, exercise, exit)) say(line);
  return exit;
}

/** What to do now. */
function explain(invocation: Invocation, lab: LabFolder, exercise: Exercise | undefined, exit: number): string[] {
  if (exit === EXIT.clean || exercise === undefined) return ['', ...verifyAll(invocation), labelled('end', labCommand(invocation, 'down'))];
  const { pair, story, why } = exercise;
  const file = shellWord(shown(invocation, join(lab.migrations, `${pair}.yml`)));
  return [
    '', `One pair failed and touched no other. ${pair}: ${story}.`, '',
    labelled('look', nextCommand(invocation, `status ${pair}`)),
    labelled('', nextCommand(invocation, `objects ${pair} --state failed,pending`)),
    labelled('', labCommand(invocation, 'fault list')),
    labelled('repair', labCommand(invocation, 'fault clear')),
    labelled('go on', `${nextCommand(invocation, exercise.goOn(file))}   # ${why}`),
    ...verifyAll(invocation),
    labelled('end', labCommand(invocation, 'down')),
  ];
}

function verifyAll(invocation: Invocation): string[] {
  return LAB_BUCKETS.map(({ name }, index) => labelled(index === 0 ? 'verify' : '', nextCommand(invocation, `verify ${name}`)));
}
