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

interface Ailing {
  readonly name: string;
  /** Without a run it was refused before it began. */
  readonly began: boolean;
}

/** Pairs whose latest run has not brought everything over. */
async function ailingPairs(state: string): Promise<Ailing[]> {
  const latest = new Map((await allRuns(state)).map((row) => [row.migration, row]));
  return LAB_BUCKETS.flatMap(({ name }) => {
    const row = latest.get(name);
    const whole = row?.run.state === 'finished' && row.tally.failed.objects === 0 && row.tally.pending.objects === 0;
    return whole ? [] : [{ name, began: row !== undefined }];
  });
}

/** What to do now. */
function explain(invocation: Invocation, lab: LabFolder, exercise: Exercise | undefined, ailing: readonly Ailing[]): string[] {
  const end = [...verifyAll(invocation), labelled('end', labCommand(invocation, 'down'))];
  if (ailing.length === 0) return ['', ...end];
  const fileOf = (name: string): string => shellWord(shown(invocation, join(lab.migrations, `${name}.yml`)));
  const known = exercise !== undefined && ailing.length === 1 && ailing[0]?.name === exercise.pair ? exercise : undefined;
  const goOn = known === undefined ? `run ${shellWord(shown(invocation, lab.migrations))}   # each goes on where it was` : `${known.goOn(fileOf(known.pair))}   # ${known.why}`;
  const looks = ailing.flatMap(({ name, began }) => (began ? [`status ${name}`, `objects ${name} --state failed,pending`] : [`doctor ${fileOf(name)}`]));
  return [
    '', known === undefined ? `Not everything came through: ${ailing.map(({ name }) => name).join(', ')}.` : `One pair failed and touched no other. ${known.pair}: ${known.story}.`, '',
    ...looks.map((words, index) => labelled(index === 0 ? 'look' : '', nextCommand(invocation, words))),
    labelled('', labCommand(invocation, 'fault list')),
    labelled('repair', labCommand(invocation, 'fault clear')),
    labelled('go on', nextCommand(invocation, goOn)),
    ...end,
  ];
}

function verifyAll(invocation: Invocation): string[] {
  return LAB_BUCKETS.map(({ name }, index) => labelled(index === 0 ? 'verify' : '', nextCommand(invocation, `verify ${name}`)));
}
