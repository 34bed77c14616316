import type { ItemState } from '../../core/item.ts';
import { oneLine } from '../../core/errors.ts';
import { showKey } from '../../core/key.ts';
import { showBytes } from '../../core/units.ts';
import type { ObjectFilter, ObjectRow } from '../../ports/ledger.ts';
import { objectJson } from '../account-json.ts';
import { format, type Invocation, type Options } from '../invocation.ts';
import { openRun } from '../targets.ts';

export async function execute(invocation: Invocation): Promise<number> {
  const { io, args, options } = invocation;
  const { view, run } = await openRun(invocation, args[0] ?? '');
  try {
    const render = renderers[format(invocation)];
    let count = 0;
    for (const row of view.objects(run.number, filterOf(options))) {
      if (io.out.closed) break;
      await io.out.send(render(row, count++ === 0));
    }
    if (format(invocation) === 'json') await io.out.send(count === 0 ? '[]\n' : '\n]\n');
    if (count === 0 && format(invocation) === 'table') io.err.line('no object is like that');
    return 0;
  } finally {
    await view.close();
  }
}

export function filterOf(options: Options): ObjectFilter {
  const states = options.list('state') as readonly ItemState[] | undefined;
  const codes = options.list('code');
  const classes = options.list('class');
  const prefix = options.text('prefix');
  const limit = options.count('limit');
  return { ...(states === undefined ? {} : { states }), ...(codes === undefined ? {} : { codes }), ...(classes === undefined ? {} : { classes }), ...(prefix === undefined ? {} : { prefix }), ...(limit === undefined ? {} : { limit }) };
}

/** Rows are written as they are read: a run may hold more than fits in memory, so columns have fixed widths. */
const renderers: Readonly<Record<'table' | 'json' | 'ndjson', (row: ObjectRow, first: boolean) => string>> = {
  table: (row, first) => `${first ? `${'state'.padEnd(9)}  ${'size'.padStart(10)}  key\n` : ''}${tableLine(row)}\n`,
  ndjson: (row) => `${JSON.stringify(objectJson(row))}\n`,
  json: (row, first) => `${first ? '[' : ','}\n${JSON.stringify(objectJson(row))}`,
};

function tableLine({ key, size, state, problem, code }: ObjectRow): string {
  const why = problem === undefined ? (code === undefined ? '' : `  ${code}`) : `  ${problem.code}: ${oneLine(problem.message)}`;
  return `${state.padEnd(9)}  ${showBytes(size).padStart(10)}  ${showKey(key)}${why}`;
}
