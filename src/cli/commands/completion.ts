import { usageError } from '../../core/errors.ts';
import { completionScript, SHELLS, type Shell } from '../completion.ts';
import type { Invocation } from '../invocation.ts';

export function execute({ io, args }: Invocation): Promise<number> {
  const shell = args[0] ?? '';
  if (!(SHELLS as readonly string[]).includes(shell)) throw usageError('E_USAGE', `${JSON.stringify(shell.slice(0, 40))} is not one of ${SHELLS.join(', ')}`, 'write brigade completion bash', 'SHELL');
  io.out.write(completionScript(shell as Shell));
  return Promise.resolve(0);
}
