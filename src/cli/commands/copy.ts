import { type CopyFlags, type EndFlags, migrationFromFlags } from '../../config/index.ts';
import type { Invocation, Options } from '../invocation.ts';
import { move } from '../moving.ts';
import { planOf } from './plan.ts';

export async function execute(invocation: Invocation): Promise<number> {
  const { io, args, options } = invocation;
  const migration = migrationFromFlags(args[0] ?? '', args[1] ?? '', flagsOf(options), { env: io.env, cwd: io.cwd });
  return options.has('dry-run') ? planOf(invocation, migration) : move(invocation, migration);
}

function flagsOf(options: Options): CopyFlags {
  const name = options.text('name');
  return { source: endOf(options, 'source'), destination: endOf(options, 'destination'), options: fileKeys(options), ...(name === undefined ? {} : { name }) };
}

function endOf(options: Options, end: 'source' | 'destination'): EndFlags {
  const text = (flag: string): string | undefined => options.text(`${end}-${flag}`);
  const flags = {
    endpoint: text('endpoint'), region: text('region'), provider: text('provider'), pathStyle: text('path-style'), caFile: text('ca-file'), proxy: text('proxy'),
    payloadSigning: text('payload-signing'), compression: text('compression'), checksum: text('checksum'), lanes: text('lanes'), credentials: text('credentials'), insecureTls: options.has(`${end}-insecure-tls`) ? 'true' : undefined,
  };
  return present(flags) as EndFlags;
}

/** The keys of a migration file that have an option of their own. */
function fileKeys(options: Options): Readonly<Record<string, unknown>> {
  const bandwidth = options.text('bandwidth');
  const select = present({ include: options.list('include'), exclude: options.list('exclude') });
  return present({
    verify: options.text('verify'), on_conflict: options.text('on-conflict'), compare: options.text('compare'), executors: options.text('executors'),
    limits: bandwidth === undefined ? undefined : { bandwidth }, select: Object.keys(select).length === 0 ? undefined : select,
  });
}

function present(values: Readonly<Record<string, unknown>>): Record<string, unknown> {
  return Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined));
}
