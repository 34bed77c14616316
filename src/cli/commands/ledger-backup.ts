import { resolve } from 'node:path';
import { ledgerPath } from '../../app/state.ts';
import { backupLedger } from '../../ledger/sqlite/index.ts';
import { type Invocation, stateDir } from '../invocation.ts';
import { mustExist, parseRun } from '../targets.ts';

export async function execute(invocation: Invocation): Promise<number> {
  const { io, args } = invocation;
  const { name } = parseRun(args[0] ?? '');
  const target = resolve(io.cwd, args[1] ?? '');
  mustExist(stateDir(invocation), name);
  await backupLedger(ledgerPath(stateDir(invocation), name), target);
  io.out.line(`wrote ${target}`);
  return 0;
}
