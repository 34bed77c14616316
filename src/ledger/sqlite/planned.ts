/** What the ledger must know of a planned task before it holds it. */
import { columnsOf } from '../../core/columns.ts';
import { BrigadeError } from '../../core/errors.ts';
import type { Item } from '../../core/item.ts';
import { keyFromBytes, showKey } from '../../core/key.ts';
import { surveyLines } from '../../core/lines.ts';
import type { PlannedTask } from '../../ports/ledger.ts';
import { seal } from './block.ts';
import { Change } from './counts.ts';

export interface Planned {
  readonly firstKey: Buffer;
  readonly lastKey: Buffer;
  readonly change: Change;
  readonly block: Buffer;
  /** Those that may have something to say: most tasks have none. */
  readonly loud: readonly Item[];
}

/** @throws BrigadeError internal E_LEDGER_ORDER where the items are not in key order, each key once */
export function planned(task: PlannedTask): Planned {
  const columns = columnsOf(task);
  const change = new Change();
  let isLoud = task.problems.size > 0;
  const { firstKey, lastKey, ascending } = surveyLines(columns, (state, evidence, size) => {
    isLoud ||= state === 'skipped' || state === 'failed';
    if (!isLoud) change.addPlain(state, evidence, size);
  });
  if (!ascending) throw disorder(`the keys of a task from ${showKey(keyFromBytes(firstKey))} on do not ascend`);
  const block = seal(columns);
  return isLoud ? { firstKey, lastKey, change: changeOf(task.items), block, loud: task.items } : { firstKey, lastKey, change, block, loud: [] };
}

function changeOf(items: readonly Item[]): Change {
  const change = new Change();
  for (const item of items) change.add({ item });
  return change;
}

export function disorder(message: string): BrigadeError {
  return new BrigadeError({ code: 'E_LEDGER_ORDER', kind: 'internal', message, op: 'addPlan' });
}
