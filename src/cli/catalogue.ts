/** Every command with its arguments and options, as data: the parser, --help, completion and docs/cli.md are made from it. Imports nothing heavy. */
import { EXIT, type ExitCode } from '../core/exit-code.ts';
import type { CommandModule } from './invocation.ts';
import { ACCEPT_PLAIN, FLEET_OPTIONS, fleetCommands, JOURNAL, METRICS } from './fleet-commands.ts';
import { labCommands } from './lab-commands.ts';

export interface ArgumentSpec {
  readonly name: string;
  readonly description: string;
  readonly required: boolean;
  readonly variadic?: boolean;
}

export interface OptionSpec {
  /** `-o, --output <format>`: as commander reads it. */
  readonly flags: string;
  readonly description: string;
  readonly choices?: readonly string[];
  /** How the value is checked; absent: any text, or none. `list`: comma-separated or repeated; `texts`: repeated, each taken as it is. */
  readonly value?: 'count' | 'duration' | 'list' | 'texts';
  /** Said in help; filled in where the option is used. */
  readonly standard?: string;
  /** The name by which a command asks for it; absent: the long name. */
  readonly key?: string;
}

export interface CommandSpec {
  /** Two words for a command below another: `ledger backup`. */
  readonly name: string;
  readonly summary: string;
  /** More, for `--help` and the docs page. */
  readonly about?: string;
  readonly args: readonly ArgumentSpec[];
  readonly options: readonly OptionSpec[];
  readonly examples: readonly string[];
  readonly exits: readonly ExitCode[];
  readonly load: () => Promise<CommandModule>;
}

const STATE: OptionSpec = { flags: '--state <dir>', description: 'folder of the ledgers', standard: './.brigade', key: 'state-dir' };
const FORMAT: OptionSpec = { flags: '-o, --format <format>', description: 'form of the result on stdout', choices: ['table', 'json', 'ndjson'], standard: 'table' };
const PROGRESS: OptionSpec = { flags: '--progress <kind>', description: 'progress on stderr; auto is bar on a terminal, else plain (one dated line every 30 s)', choices: ['auto', 'bar', 'plain', 'json', 'none'], standard: 'auto' };
const VERBOSE: OptionSpec = { flags: '-v, --verbose', description: 'also tell what is only of interest when something is wrong' };
const LOG_FILE: OptionSpec = { flags: '--log-file <file>', description: 'append everything that happens as JSON lines' };
const NO_COLOR: OptionSpec = { flags: '--no-color', description: 'no colours (also NO_COLOR; FORCE_COLOR for the contrary)' };

/** Options that every command takes before its name, and after it too unless it has one of that name itself. */
export const EVERYWHERE: readonly OptionSpec[] = [STATE, NO_COLOR];

const SHOWING = [FORMAT];
const WATCHING = [FORMAT, PROGRESS, VERBOSE, LOG_FILE];
const RUNNING: readonly OptionSpec[] = [
  ...WATCHING,
  { flags: '--on-pause <what>', description: 'when credentials, bucket, disk or network fail: exit at once; wait and probe; auto: wait for network and throttling (1 h), exit at the rest. Over a fleet that is also for what keeps all workers from working; its queue and journal are waited for in any case', choices: ['auto', 'exit', 'wait'], standard: 'auto' },
  { flags: '--drain <duration>', description: 'how long the first Ctrl-C lets objects in flight finish', value: 'duration', standard: '15s' },
  { flags: '--explain', description: 'say at the end, on stderr, what was chosen by itself and why: requests at once and per second, ways, sizes, shards, checksum; with -o json as `explain` in the result' },
];
const BEGINNING: readonly OptionSpec[] = [
  { flags: '--new', description: 'close an unfinished run and plan afresh' },
  { flags: '--adopt', description: 'accept that a store or the options are not those of the ledger, nor of a fleet’s journal; with --new also a damaged ledger' },
  { flags: '--dry-run', description: 'only plan: list both sides and say what would be done; nothing is written' },
  { flags: '--require-objects', description: 'exit 1 when there was no object to migrate' },
];

const RUN_ARG = { name: 'RUN', description: 'a run: NAME (its latest) or NAME@N', required: true };
const FILE_ARG = { name: 'FILE', description: 'a migration file', required: true };
const RUN_OR_FILE = { name: 'RUN|FILE', description: 'a run (NAME or NAME@N), or the migration file it came from', required: true };

const CLASS: OptionSpec = { flags: '--class <words>', description: 'only failures of this class (throttled, transient, object …) or code', value: 'list' };
const MOVING: readonly ExitCode[] = [EXIT.clean, EXIT.someFailed, EXIT.usage, EXIT.verifyDiffers, EXIT.paused, EXIT.internal, EXIT.sigint, EXIT.sigterm];
const LOOKING: readonly ExitCode[] = [EXIT.clean, EXIT.usage, EXIT.internal];

/** `--source-…` and `--destination-…` of `copy`: the key of a location → what it says. */
const END_FLAGS: readonly (readonly [flag: string, description: string])[] = [
  ['endpoint <url>', 'address of an S3-compatible store; without it AWS'], ['region <region>', 'region for signing'],
  ['provider <name>', 'profile of limits and abilities'], ['path-style <yes>', 'true, false or auto'], ['ca-file <file>', 'PEM file of further authorities'],
  ['insecure-tls', 'do not check the certificate; for a laboratory only'], ['proxy <url>', 'HTTP proxy'], ['payload-signing <how>', 'auto, signed or unsigned'],
  ['compression <how>', 'off or auto: compress on the wire to and from a brigade agent'],
  ['checksum <mode>', 'checksum sent with every write'], ['lanes <when>', 'own HTTP/1.1 for objects and their parts: auto, always or never'], ['credentials <reference>', 'env:PREFIX, profile:NAME, file:PATH, anonymous … never the secret itself'],
];
const endOptions = (end: string): OptionSpec[] => END_FLAGS.map(([flag, description]) => ({ flags: `--${end}-${flag}`, description: `${end}: ${description}` }));

export const COMMANDS: readonly CommandSpec[] = [
  {
    name: 'init', summary: 'write an example of a migration file', about: 'Asks nothing and never replaces a file.',
    args: [{ name: 'FILE', description: 'where to write it; ./migration.yml by default', required: false }], options: [],
    examples: ['brigade init', 'brigade init pairs/media.yml'], exits: [EXIT.clean, EXIT.usage], load: () => import('./commands/init.ts'),
  },
  {
    name: 'doctor', summary: 'check everything a run needs, before the first byte',
    about: 'One line per check: OK, WARN or FAIL with its fix. Writes only a canary below .brigade/ at the destination, and removes it. With --queue, --journal or --message-key also what a fleet needs: how the queue is set up, its lease against the tasks and the largest object of the last plan, conditional writes of the journal’s store (by canaries in it), and whether the bucket aborts unfinished uploads too soon, or never. No message is sent or taken.',
    args: [FILE_ARG], options: [...FLEET_OPTIONS, FORMAT], examples: ['brigade doctor media.yml', 'brigade doctor media.yml -o json', 'brigade doctor media.yml --queue sqs:brigade --journal s3://journals/fleet/ --message-key aws-sm:brigade/key'],
    exits: [EXIT.clean, EXIT.usage, EXIT.doctorBlocker, EXIT.internal], load: () => import('./commands/doctor.ts'),
  },
  {
    name: 'plan', summary: 'say what a run would do, what is odd, and how long it takes', about: 'Lists both sides; writes nothing anywhere.',
    args: [FILE_ARG], options: WATCHING, examples: ['brigade plan media.yml'], exits: LOOKING, load: () => import('./commands/plan.ts'),
  },
  {
    name: 'run', summary: 'run a migration, or go on with one',
    about: 'An unfinished run is resumed where it was; after a finished one a delta run begins. Several files, or a folder of *.yml, run side by side, one process and one ledger each: what happens to one does not touch another.',
    args: [{ name: 'FILE|DIR', description: 'migration files, or folders of them', required: true, variadic: true }],
    options: [...BEGINNING, ...RUNNING, METRICS, ...FLEET_OPTIONS, { flags: '--workers <n>', description: 'with --queue and --journal: copying processes of the fleet on this machine, for a first try; more join with brigade worker', value: 'count', standard: 'one a core' }, ACCEPT_PLAIN],
    examples: ['brigade run media.yml', 'brigade run pairs/', 'brigade run media.yml --dry-run'], exits: MOVING, load: () => import('./commands/run.ts'),
  },
  {
    name: 'copy', summary: 'copy from one place to another, without a file',
    about: 'The contents of SRC go into DST, never the folder itself. Credentials come from BRIGADE_SOURCE_ACCESS_KEY_ID, BRIGADE_SOURCE_SECRET_ACCESS_KEY, BRIGADE_SOURCE_SESSION_TOKEN and BRIGADE_DESTINATION_…, else from the AWS default chain. The same command again resumes.',
    args: [
      { name: 'SRC', description: 's3://bucket/prefix/, s3://bucket/object, or a folder', required: true },
      { name: 'DST', description: 's3://bucket/prefix/ or a folder', required: true },
    ],
    options: [
      { flags: '--name <name>', description: 'name of the run; by default made from SRC and DST' },
      { flags: '--include <glob>', description: 'only keys that match; may be repeated', value: 'texts' }, { flags: '--exclude <glob>', description: 'not the keys that match; may be repeated', value: 'texts' },
      { flags: '--verify <level>', description: 'none, inline, checksum or full', standard: 'inline' }, { flags: '--bandwidth <rate>', description: 'such as 50 Mbit/s or 20 MiB/s' },
      { flags: '--on-conflict <what>', description: 'overwrite, skip-newer or fail', standard: 'overwrite' }, { flags: '--compare <how>', description: 'auto, size-mtime or checksum', standard: 'auto' },
      { flags: '--executors <n>', description: 'copying processes, or auto', standard: 'auto' },
      ...BEGINNING, ...RUNNING, ...endOptions('source'), ...endOptions('destination'),
    ],
    examples: ['brigade copy /srv/export s3://archive/2024/ --destination-region eu-central-1', 'brigade copy s3://media/ /srv/media --source-endpoint https://s3.example.com'],
    exits: MOVING, load: () => import('./commands/copy.ts'),
  },
  {
    name: 'status', summary: 'how far a run is', about: 'Read from the ledger, also while the run works. Without RUN: the latest run of each migration.',
    args: [{ ...RUN_ARG, required: false }], options: SHOWING, examples: ['brigade status', 'brigade status media'], exits: LOOKING, load: () => import('./commands/status.ts'),
  },
  {
    name: 'limits', summary: 'set other limits for a run, also while it works',
    about: 'They stand above the limits and the timetable of the migration file, for this run alone and however often it is resumed; the next run has those of the file again. A run at work obeys within two seconds, a fleet within ten. Without an option: what holds now.',
    args: [RUN_ARG],
    options: [
      { flags: '--bandwidth <rate>', description: 'such as 50 Mbit/s or 20MiB/s; unlimited, or pause' }, { flags: '--requests <rate>', description: 'to each store, such as 100/s; unlimited' },
      { flags: '--reset', description: 'what the migration file says holds again' }, ...SHOWING,
    ],
    examples: ['brigade limits media --bandwidth 50Mbit/s', 'brigade limits media --bandwidth pause', 'brigade limits media --reset'], exits: LOOKING, load: () => import('./commands/limits.ts'),
  },
  {
    name: 'pause', summary: 'stop a run for a while: nothing of it moves',
    about: 'A run at work on this machine obeys within two seconds, a fleet within ten: what is in flight is broken off and begun again later, large objects behind their last whole part. Limits and timetable stay as they are. It stays paused, also when it is stopped and run again, until brigade resume. For a fleet: with the --state of its coordinator.',
    args: [RUN_ARG], options: SHOWING, examples: ['brigade pause media', 'brigade --state /var/lib/brigade pause media'], exits: LOOKING, load: () => import('./commands/pause.ts'),
  },
  {
    name: 'resume', summary: 'let a paused run go on',
    about: 'Takes back brigade pause. What brigade limits or the timetable say holds again; where those hold the run at zero, it says so.',
    args: [RUN_ARG], options: SHOWING, examples: ['brigade resume media'], exits: LOOKING, load: () => import('./commands/resume.ts'),
  },
  {
    name: 'cancel', summary: 'end a run for good, before it is done',
    about: 'Nothing of it begins after ten seconds, and what is in flight is broken off. What was copied stays, and is in its account; unfinished uploads and files of it are removed. The run is given up as by --new: the next one lists again and copies only what is missing. Whoever is at work on it ends with exit code 5. Where nobody is, this command does it; for the run of a fleet it then needs --journal. On a terminal it asks first.',
    args: [RUN_ARG], options: [{ flags: '--yes', description: 'do not ask' }, JOURNAL, ...SHOWING], examples: ['brigade cancel media', 'brigade cancel media --yes', 'brigade cancel media --yes --journal s3://journals/fleet/'],
    exits: [EXIT.clean, EXIT.usage, EXIT.paused, EXIT.internal, EXIT.sigint, EXIT.sigterm], load: () => import('./commands/cancel.ts'),
  },
  { name: 'runs', summary: 'list all runs of all migrations', args: [], options: SHOWING, examples: ['brigade runs', 'brigade runs -o json'], exits: LOOKING, load: () => import('./commands/runs.ts') },
  {
    name: 'objects', summary: 'list the objects of a run', args: [RUN_ARG],
    options: [
      ...SHOWING,
      { flags: '--state <states>', description: 'only objects of these states; the folder of the ledgers is then named before the command: brigade --state DIR objects …', value: 'list', choices: ['pending', 'copied', 'unchanged', 'skipped', 'failed', 'extra'] },
      CLASS, { flags: '--code <codes>', description: 'only these reasons, such as E_ACCESS_DENIED', value: 'list' },
      { flags: '--prefix <prefix>', description: 'only keys that begin so' }, { flags: '--limit <n>', description: 'at most so many', value: 'count' },
    ],
    examples: ['brigade objects media --state failed', 'brigade objects media@2 --class throttled --limit 20 -o ndjson'], exits: LOOKING, load: () => import('./commands/objects.ts'),
  },
  {
    name: 'retry', summary: 'try failed objects of the latest run again', about: 'They become pending and the run goes on with just those. What the listing itself found, such as a directory that could not be read, stays failed: the next run lists again.', args: [RUN_OR_FILE],
    options: [CLASS, { flags: '--code <codes>', description: 'only these codes', value: 'list' }, { flags: '--prefix <prefix>', description: 'only keys that begin so' }, ...FLEET_OPTIONS, ...RUNNING],
    examples: ['brigade retry media', 'brigade retry media --class throttled'], exits: MOVING, load: () => import('./commands/retry.ts'),
  },
  {
    name: 'verify', summary: 'compare both ends again, apart from the copying', about: 'Objects that the run failed at are not compared: without a difference the exit code is then that of the run, 1. What it finds in the run of a fleet stands in this ledger alone; what the run itself verified is in the journal, too.', args: [RUN_OR_FILE],
    options: [{ flags: '--level <level>', description: 'none: sizes; inline: sizes and versions; checksum: store checksums, else one end read; full: both ends read', choices: ['none', 'inline', 'checksum', 'full'], standard: 'checksum, or the migration’s full' }, ...WATCHING],
    examples: ['brigade verify media', 'brigade verify media --level full'], exits: [EXIT.clean, EXIT.someFailed, EXIT.usage, EXIT.verifyDiffers, EXIT.paused, EXIT.internal, EXIT.sigint, EXIT.sigterm], load: () => import('./commands/verify.ts'),
  },
  {
    name: 'report', summary: 'the account of a run, for people, programs and auditors', about: 'text and json: the account; csv and ndjson: one row per object. With --plain: of the plain messages that workers took (--accept-plain-messages), from the journal; there is no run of them, and NAME is the migration.', args: [RUN_ARG],
    options: [{ flags: '-o, --format <format>', description: 'form of the report', choices: ['text', 'json', 'csv', 'ndjson'], standard: 'text' }, { flags: '--output <file>', description: 'write it there instead of stdout; an existing file is replaced' }, { flags: '--plain', description: 'of plain messages; with --journal' }, JOURNAL],
    examples: ['brigade report media', 'brigade report media@1 -o csv --output media.csv', 'brigade report media --plain --journal s3://journals/fleet/'], exits: LOOKING, load: () => import('./commands/report.ts'),
  },
  {
    name: 'ledger backup', summary: 'copy a ledger, also while a run works on it', args: [{ name: 'NAME', description: 'the migration', required: true }, { name: 'TARGET', description: 'the file to write; must not exist', required: true }], options: [],
    examples: ['brigade ledger backup media /backup/media.db'], exits: LOOKING, load: () => import('./commands/ledger-backup.ts'),
  },
  {
    name: 'ledger prune', summary: 'drop the objects of old runs; their sums stay', about: 'Never those of the newest finished run, which the next delta plan needs, nor of an unfinished one. What only a pruned run wrote counts as somebody else’s (on_conflict). Not in a fleet: there the ledger is an index of the journal, which keeps everything (exit code 2).', args: [{ name: 'NAME', description: 'the migration', required: true }],
    options: [{ flags: '--keep <n>', description: 'newest runs to keep whole', value: 'count', standard: '3' }], examples: ['brigade ledger prune media --keep 1'], exits: LOOKING, load: () => import('./commands/ledger-prune.ts'),
  },
  ...fleetCommands({ format: FORMAT, running: RUNNING, beginning: BEGINNING, moving: MOVING }),
  ...labCommands({ format: FORMAT, running: RUNNING, moving: MOVING }),
  {
    name: 'agent', summary: 'serve a folder as an S3 endpoint',
    about: 'Beside the data, such as on the NFS server’s network, so that workers anywhere read and write it over TLS. It speaks plain HTTP on this machine only. SIGTERM lets requests in flight finish; SIGHUP reads certificates and access keys anew. Access keys come from a file that only its owner may read (a list `keys:` of `id`, `secret`, and, where wanted, `readOnly: true` and `buckets: [a, b]`), or from AGENT_ACCESS_KEY_ID and AGENT_SECRET_ACCESS_KEY.',
    args: [],
    options: [
      { flags: '--root <dir>', description: 'the folder to serve; each folder in it is a bucket' },
      { flags: '--layout <layout>', description: 'files: the tree as it is, a key is a path; objects: every key byte for byte, with versions, in a form of its own', choices: ['files', 'objects'], standard: 'files' },
      { flags: '--bucket <name>', description: 'layout files: the folder itself is this one bucket' },
      { flags: '--listen <host:port>', description: 'where to listen; :PORT for every interface, [::1]:PORT for IPv6, port 0 for any free one', standard: '127.0.0.1:9000' },
      { flags: '--tls-cert <file>', description: 'certificate and chain, PEM' }, { flags: '--tls-key <file>', description: 'its private key, PEM' },
      { flags: '--client-ca <file>', description: 'every client must show a certificate that one of these authorities signed, PEM' },
      { flags: '--access-keys <file>', description: 'the keys that clients sign with, YAML, mode 0600' },
      { flags: '--read-only', description: 'refuse everything that writes' },
      { flags: '--state <dir>', description: 'folder of what files cannot hold: metadata, tags, unfinished uploads; never in a tree that is served', standard: './.brigade/agent/…, one for each root; layout objects: in the root' },
      { flags: '--region <region>', description: 'the region that clients sign for', standard: 'us-east-1' },
      { flags: '--max-connections <n>', description: 'connections at once', value: 'count', standard: '4096' },
      { flags: '--max-connections-per-client <n>', description: 'connections at once from one address', value: 'count', standard: '1024' },
      { flags: '--drain <duration>', description: 'how long SIGTERM or Ctrl-C lets requests in flight finish', value: 'duration', standard: '15s' },
    ],
    examples: ['brigade agent --root /srv/export --access-keys keys.yml', 'brigade agent --root /srv/export --listen :9000 --tls-cert cert.pem --tls-key key.pem --access-keys keys.yml --read-only'],
    exits: [EXIT.clean, EXIT.usage, EXIT.paused, EXIT.internal, EXIT.sigint, EXIT.sigterm], load: () => import('./commands/agent.ts'),
  },
  {
    name: 'agent fsck', summary: 'check the folder and the state of an agent that is stopped',
    about: 'Layout objects: every object has its bytes, and every file of bytes its object. Layout files: what is known of the files speaks of files that are there; the files themselves are right as they are. Exit code 3 where an object is damaged. What a crash leaves, or another program changes, is harmless: it is told, and cleared away by the next start or by --repair.',
    args: [],
    options: [
      { flags: '--root <dir>', description: 'the folder that is served' },
      { flags: '--layout <layout>', description: 'as the agent was started', choices: ['files', 'objects'], standard: 'files' },
      { flags: '--bucket <name>', description: 'as the agent was started' },
      { flags: '--state <dir>', description: 'as the agent was started', standard: 'as for brigade agent' },
      { flags: '--deep', description: 'read every byte and compare it with the MD5s and checksums that were stored' },
      { flags: '--repair', description: 'clear away what is harmless, and bytes that belong to no object; a damaged object is never touched' },
    ],
    examples: ['brigade agent fsck --root /srv/export', 'brigade agent fsck --root /srv/objects --layout objects --deep'],
    exits: [EXIT.clean, EXIT.usage, EXIT.verifyDiffers, EXIT.paused, EXIT.internal, EXIT.sigint, EXIT.sigterm], load: () => import('./commands/agent-fsck.ts'),
  },
  {
    name: 'completion', summary: 'print a completion script', args: [{ name: 'SHELL', description: 'bash, zsh or fish', required: true }], options: [],
    examples: ['source <(brigade completion bash)', 'brigade completion fish > ~/.config/fish/completions/brigade.fish'], exits: [EXIT.clean, EXIT.usage], load: () => import('./commands/completion.ts'),
  },
  { name: 'version', summary: 'print the version', args: [], options: [FORMAT], examples: ['brigade version'], exits: [EXIT.clean, EXIT.usage], load: () => import('./commands/version.ts') },
];

export function longName(flags: string): string {
  return /--([a-z-]+)/.exec(flags)?.[1] ?? flags;
}

export function optionsOf(command: CommandSpec): readonly OptionSpec[] {
  const own = new Set(command.options.map(({ flags }) => longName(flags)));
  return [...command.options, ...EVERYWHERE.filter(({ flags }) => !own.has(longName(flags)))];
}

export function keyOf(option: OptionSpec): string {
  return option.key ?? longName(option.flags);
}
