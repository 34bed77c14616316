/** The commands of `brigade lab`, for the catalogue. */
import { EXIT, type ExitCode } from '../core/exit-code.ts';
import type { CommandSpec, OptionSpec } from './catalogue.ts';

const DIR: OptionSpec = { flags: '--dir <dir>', description: 'folder of the lab; without it the current folder if it is a lab, else ./brigade-lab' };
const DONE: readonly ExitCode[] = [EXIT.clean, EXIT.usage, EXIT.internal];

const NARROWING: readonly OptionSpec[] = [
  { flags: '--at <end>', description: 'which endpoint', choices: ['source', 'destination', 'both'], standard: 'both' },
  { flags: '--bucket <name>', description: 'add: only requests for this bucket' },
  { flags: '--prefix <prefix>', description: 'add: only keys that begin so, and listings of them' },
  { flags: '--operation <names>', description: 'add: only these operations, such as GetObject or PutObject; without it those of the kind', value: 'list' },
  { flags: '--probability <p>', description: 'add: 0 to 1; drawn from the seed and the request, so that it can be repeated', standard: '1' },
  { flags: '--seed <n>', description: 'add: other draws', value: 'count', standard: '1' },
  { flags: '--amount <n>', description: 'add: the number of the kind, see docs/lab.md', value: 'count' },
  { flags: '--for <duration>', description: 'add: ends by itself after so long', value: 'duration' },
  { flags: '--name <name>', description: 'add: what clear calls it', standard: 'that of the kind' },
];

/** `shared`: options that many commands have. */
export function labCommands(shared: { readonly format: OptionSpec; readonly running: readonly OptionSpec[]; readonly moving: readonly ExitCode[] }): CommandSpec[] {
  return [
    {
      name: 'lab up', summary: 'start two S3 endpoints with faults built in, and write four migrations between them',
      about: 'Everything to try the whole product offline: two endpoints in processes of their own on 127.0.0.1, a source with four buckets and one of awkward keys, an empty destination, and migration files to read and edit. Up already is no error.',
      args: [], options: [DIR, { flags: '--scale <share>', description: 'share of the objects, 0.01 to 10, when the lab is made', standard: '1' }],
      examples: ['brigade lab up', 'brigade lab up --dir /tmp/lab --scale 0.1'], exits: DONE, load: () => import('./commands/lab-up.ts'),
    },
    {
      name: 'lab run', summary: 'run all four migrations side by side, one of which fails',
      about: 'permission: one destination denies to write below a prefix. missing-bucket: one loses its bucket while it is written. none: nothing goes wrong. From the second time on, new objects are put into the source first. Says afterwards what to look at and how to repair, retry and verify.',
      args: [], options: [DIR, { flags: '--exercise <what>', description: 'what goes wrong', choices: ['permission', 'missing-bucket', 'none'], standard: 'permission' }, ...shared.running],
      examples: ['brigade lab run', 'brigade lab run --exercise missing-bucket'], exits: shared.moving, load: () => import('./commands/lab-run.ts'),
    },
    { name: 'lab status', summary: 'show the endpoints, the faults in force and the runs of the lab', args: [], options: [DIR, shared.format], examples: ['brigade lab status', 'brigade lab status -o json'], exits: DONE, load: () => import('./commands/lab-status.ts') },
    {
      name: 'lab fault', summary: 'let requests go wrong, live', about: 'add KIND puts a fault in force, list shows those that are, clear [NAME] takes one or all away, kinds tells what there is.',
      args: [{ name: 'ACTION', description: 'add, list, clear or kinds', required: true }, { name: 'KIND', description: 'add: the kind, such as 503-storm or flip-read; clear: the name of one fault', required: false }],
      options: [DIR, ...NARROWING, shared.format],
      examples: ['brigade lab fault kinds', 'brigade lab fault add 503-storm --at source --probability 0.3 --for 60s', 'brigade lab fault add denied --bucket user-uploads --prefix private/', 'brigade lab fault list', 'brigade lab fault clear'],
      exits: DONE, load: () => import('./commands/lab-fault.ts'),
    },
    { name: 'lab down', summary: 'stop the endpoints of the lab', about: 'Files, keys and ledgers stay; lab up brings it back.', args: [], options: [DIR], examples: ['brigade lab down'], exits: DONE, load: () => import('./commands/lab-down.ts') },
    { name: 'lab reset', summary: 'stop the lab and remove what it made', about: 'Nothing else: a folder that no lab made is refused, and other files in it stay.', args: [], options: [DIR], examples: ['brigade lab reset'], exits: DONE, load: () => import('./commands/lab-reset.ts') },
  ];
}
