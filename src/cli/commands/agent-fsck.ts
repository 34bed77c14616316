import { resolve } from 'node:path';
import type { LayoutName } from '../../app/agent-layout.ts';
import { oneLine, usageError } from '../../core/errors.ts';
import { EXIT } from '../../core/exit-code.ts';
import { showBytes } from '../../core/units.ts';
import { type Invocation, stateDir } from '../invocation.ts';

export async function execute(invocation: Invocation): Promise<number> {
  const { io, options } = invocation;
  const root = options.text('root');
  if (root === undefined) throw usageError('E_USAGE', '--root is missing', 'write brigade agent fsck --root DIR', 'agent fsck');
  const state = options.text('state');
  const { agentFsck } = await import('../../app/agent-fsck.ts');
  const report = await agentFsck({
    root: resolve(io.cwd, root), layout: (options.text('layout') ?? 'files') as LayoutName, state: state === undefined ? undefined : resolve(io.cwd, state),
    states: stateDir(invocation), bucket: options.text('bucket'), deep: options.has('deep'), repair: options.has('repair'),
    found: ({ kind, where, message }, harmless) => io.out.line(oneLine(`${harmless ? 'harmless' : 'PROBLEM'} ${kind}: ${where}: ${message}`)),
  });
  const repaired = options.has('repair') ? `, ${report.repaired} removed` : '';
  io.out.line(`${report.objects} objects and ${report.parts} parts of ${showBytes(report.bytes)}: ${report.problems} problems, ${report.harmless} harmless leftovers${repaired}`);
  return report.problems === 0 ? EXIT.clean : EXIT.verifyDiffers;
}
