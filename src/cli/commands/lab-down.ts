import { labDown } from '../../app/lab/lab.ts';
import type { Invocation } from '../invocation.ts';
import { labCommand, theLab } from '../lab.ts';

export async function execute(invocation: Invocation): Promise<number> {
  const stopped = await labDown(theLab(invocation));
  const { out } = invocation.io;
  out.line(stopped.length === 0 ? 'the lab was not running' : `the lab is down; up again: ${labCommand(invocation, 'up')}, away with it: ${labCommand(invocation, 'reset')}`);
  return 0;
}
