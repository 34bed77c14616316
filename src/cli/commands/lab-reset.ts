import { oneLine } from '../../core/errors.ts';
import { labReset } from '../../app/lab/lab.ts';
import type { Invocation } from '../invocation.ts';
import { shown, theLab } from '../lab.ts';

export async function execute(invocation: Invocation): Promise<number> {
  const lab = theLab(invocation);
  const others = await labReset(lab);
  const rest = others.length === 0 ? '' : `; the folder stays for what no lab made: ${oneLine(others.slice(0, 5).join(', '))}${others.length > 5 ? ' …' : ''}`;
  invocation.io.out.line(`removed the lab in ${shown(invocation, lab.dir)}${rest}`);
  return 0;
}
