/** The commands of a fleet, for the catalogue, and the options that they share with others. */
import { EXIT, type ExitCode } from '../core/exit-code.ts';
import type { CommandSpec, OptionSpec } from './catalogue.ts';

export const QUEUE: OptionSpec = { flags: '--queue <reference>', description: 'the queue: sqs:NAME, sqs:https://… or nats:NAME@nats://HOST:4222, with ?options, or partitions:N where there is no engine; see docs/fleet.md' };
export const JOURNAL: OptionSpec = { flags: '--journal <reference>', description: 'the journal: s3://BUCKET/PREFIX/ with ?options, or a shared directory; see docs/fleet.md' };
export const MESSAGE_KEY: OptionSpec = { flags: '--message-key <reference>', description: 'where the key stands that seals messages: env:NAME, file:PATH, aws-sm:NAME or aws-ssm:NAME; a second one opens messages too, during a rotation', value: 'texts', standard: 'env:BRIGADE_MESSAGE_KEY' };
/** What makes a run one of a fleet. */
export const FLEET_OPTIONS: readonly OptionSpec[] = [QUEUE, JOURNAL, MESSAGE_KEY];

export const ACCEPT_PLAIN: OptionSpec = { flags: '--accept-plain-messages', description: 'workers also take messages of another producer, without a seal: {"source_bucket":…,"dest_bucket":…,"keys":[…]}, for migrations between two buckets that are offered in the journal’s place; see docs/fleet.md' };

const NAME = { name: 'NAME', description: 'the migration', required: true };
const LOOKING: readonly ExitCode[] = [EXIT.clean, EXIT.usage, EXIT.paused, EXIT.internal, EXIT.sigint, EXIT.sigterm];

export const METRICS: OptionSpec = { flags: '--metrics <address>', description: 'show metrics there, in Prometheus’ text format, at /metrics: HOST:PORT, such as 127.0.0.1:9464; PORT alone is this machine only, :PORT every interface' };

const FEEDING: readonly OptionSpec[] = [
  METRICS,
  { flags: '--drain-target <duration>', description: 'the run is to be done in so long: metrics and status say how many worker processes that takes (without it: one for 100 tasks)', value: 'duration' },
  { flags: '--window <tasks>', description: 'tasks in the queue at most: a number, all, or auto (what the fleet does in 30 minutes, at most 100,000)', standard: 'auto' },
  { flags: '--standby', description: 'while another coordinator is at work on this journal, wait and take over when it is gone' },
];

/** `shared`: options that many commands have. */
export function fleetCommands(shared: { readonly format: OptionSpec; readonly running: readonly OptionSpec[]; readonly beginning: readonly OptionSpec[]; readonly moving: readonly ExitCode[] }): CommandSpec[] {
  return [
    {
      name: 'coordinator', summary: 'run migrations over a fleet of workers: list, plan, feed, keep the account',
      about: 'The same files as brigade run. Copies nothing itself: workers do, wherever they are, told by the queue. Dies it, the workers go on, and the next one on the same journal takes over where it was.',
      args: [{ name: 'FILE|DIR', description: 'migration files, or folders of them', required: true, variadic: true }],
      options: [...FLEET_OPTIONS, ...FEEDING, ...shared.beginning, ...shared.running.map((one) => (one.flags.startsWith('--on-pause') ? { ...one, standard: 'wait' } : one))],
      examples: ['brigade coordinator media.yml --queue sqs:brigade --journal s3://fleet-journal/', 'brigade coordinator pairs/ --queue nats:brigade@nats://queue:4222 --journal s3://fleet-journal/ --standby', 'brigade coordinator media.yml --queue partitions:7 --journal s3://fleet-journal/'],
      exits: shared.moving, load: () => import('./commands/coordinator.ts'),
    },
    {
      name: 'worker', summary: 'copy for a fleet, whatever its coordinators send',
      about: 'Needs nothing but the queue, the journal and the key: migrations come by the journal, credentials are resolved on this machine by their references. Any number of workers may join and leave at any time. SIGTERM drains: what is in flight may finish, what was done is told, the rest goes to others; exit code 0. The notice that AWS gives before it takes a machine back does the same. A process that dies is replaced.',
      args: [],
      options: [
        ...FLEET_OPTIONS, METRICS,
        { flags: '--partition <share>', description: 'in a fleet without a queue (--queue partitions:N at its coordinators): which of its N members this is, K/N, or K-L/N for a process each' },
        { flags: '--processes <n>', description: 'copying processes', value: 'count', standard: 'one a core' },
        { flags: '--spot-notice <when>', description: 'heed the notice that AWS gives before it takes a spot machine back, or before an Auto Scaling group ends one: it drains in the time that is left; auto is on where EC2’s metadata service answers', choices: ['auto', 'on', 'off'], standard: 'auto' },
        ACCEPT_PLAIN,
        ...shared.running.filter(({ flags }) => /--(?:drain|log-file|verbose)\b/.test(flags)),
      ],
      examples: ['brigade worker --queue sqs:brigade --journal s3://fleet-journal/', "brigade worker --queue 'nats:brigade@nats://queue:4222' --journal /mnt/journal --processes 4", 'brigade worker --partition 2/7 --journal s3://fleet-journal/'],
      exits: [EXIT.clean, EXIT.usage, EXIT.internal, EXIT.sigint, EXIT.sigterm], load: () => import('./commands/worker.ts'),
    },
    {
      name: 'offer', summary: 'let plain messages mean a migration',
      about: 'For workers with --accept-plain-messages, behind a producer that fills the queue itself: nothing is listed and nothing planned. Both stores are asked what workers must know of them; the migration and its offer, sealed with the message key, are written to the journal’s place. A coordinator offers what it coordinates by itself. After a change of the file, or of the key, offer it again.',
      args: [{ name: 'FILE|DIR', description: 'migration files, or folders of them', required: true, variadic: true }],
      options: [JOURNAL, MESSAGE_KEY, { flags: '--withdraw', description: 'take the offer back instead' }],
      examples: ['brigade offer media.yml --journal s3://fleet-journal/', 'brigade offer media.yml --journal s3://fleet-journal/ --withdraw'],
      exits: [EXIT.clean, EXIT.usage, EXIT.paused, EXIT.internal], load: () => import('./commands/offer.ts'),
    },
    {
      name: 'ledger rebuild', summary: 'make the ledger of a migration anew from its journal',
      about: 'In a fleet the journal is the truth and the ledger an index of it. Reads the journal and writes nothing to it; a segment that cannot be believed is told. The new ledger stands in its place when it is whole, not before. Not while a coordinator is at work on it.',
      args: [NAME], options: [JOURNAL, { flags: '--force', description: 'set a ledger that is there aside, under another name' }, shared.format],
      examples: ['brigade ledger rebuild media --journal s3://journals/fleet/', 'brigade ledger rebuild media --journal /mnt/journals --force'], exits: LOOKING, load: () => import('./commands/ledger-rebuild.ts'),
    },
    {
      name: 'ledger check', summary: 'compare the ledger of a migration with its journal',
      about: 'Makes a second ledger from the journal, in the temporary folder (`TMPDIR`; as large as the first), and tells what the first says differently. Exit code 3 where there is a difference, or a damaged segment. A ledger that is merely behind differs too: the next coordinator brings it up.',
      args: [NAME], options: [JOURNAL, { flags: '--limit <n>', description: 'tell at most so many differences; all are counted', value: 'count', standard: '100' }, shared.format],
      examples: ['brigade ledger check media --journal s3://journals/fleet/'], exits: [EXIT.clean, EXIT.usage, EXIT.verifyDiffers, EXIT.paused, EXIT.internal, EXIT.sigint, EXIT.sigterm], load: () => import('./commands/ledger-check.ts'),
    },
    {
      name: 'dead-letters', summary: 'explain what lies among the dead letters of a queue, and sort it out',
      about: 'Looks at them, which stay where they are: whose task each is, which objects, why it was parked after how many deliveries, and, with --journal, whether its task is done after all and what its reports say went wrong. Workers also tell here of objects that failed for good, each with its error and the command that tries them again; such a letter informs, it is never sent as a task. What is not done is lost by no dead letter: the coordinator sends it again. SQS shows a sample, and hides what was looked at for 30 s.',
      args: [],
      options: [
        QUEUE, MESSAGE_KEY, JOURNAL,
        { flags: '--migration <name>', description: 'only those of this migration' },
        { flags: '--only <states>', description: 'only those: done (its task is), failed (it tells of objects that are failed), open (its task is not), unproven (no journal says), unopened (no key opens it)', value: 'list', choices: ['done', 'failed', 'open', 'unproven', 'unopened'] },
        { flags: '--limit <n>', description: 'look at so many at most', value: 'count', standard: '100' },
        { flags: '--redrive', description: 'send those again that are open or unproven, or those of --only' }, { flags: '--discard', description: 'throw away those that are done, or those of --only' },
        shared.format,
      ],
      examples: ['brigade dead-letters --queue sqs:brigade --message-key env:BRIGADE_KEY --journal s3://journals/fleet/', 'brigade dead-letters --queue sqs:brigade --message-key env:BRIGADE_KEY --journal s3://journals/fleet/ --redrive', 'brigade dead-letters --queue sqs:brigade --only unopened --discard'],
      exits: [EXIT.clean, EXIT.someFailed, EXIT.usage, EXIT.paused, EXIT.internal, EXIT.sigint, EXIT.sigterm], load: () => import('./commands/dead-letters.ts'),
    },
  ];
}
