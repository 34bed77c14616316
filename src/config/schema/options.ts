import * as z from 'zod';
import { BrigadeError } from '../../core/errors.ts';
import { compileGlob } from '../../core/select.ts';
import { Problem } from '../problem.ts';
import { storageClass } from './location.ts';
import {
  autoOrCount, autoOrSize, bandwidth, choice, count, days, duration, leastRate, moment, requestRate, scalar, size, text, timeOfDay, timeZone, windowBandwidth, windowRequests, yesNo,
} from './scalars.ts';

const glob = () => scalar((value) => {
  if (value === '') throw new Problem('is empty', 'write a glob such as tmp/**, or remove the line', 'key');
  if (value.startsWith('./')) throw new Problem('starts with ./, and no key does', 'remove ./');
  try {
    compileGlob(value);
  } catch (thrown) {
    if (!(thrown instanceof BrigadeError)) throw thrown;
    throw new Problem('is not a whole glob: a bracket, brace or escape is open, or a range runs backwards', thrown.hint ?? 'close it');
  }
  return value;
}, { 'x-type': 'glob', type: 'string', minLength: 1 });

const globs = (description: string, example: string) => z.array(glob()).max(1000).prefault([])
  .meta({ 'x-type': 'list of globs', description, examples: [[example]] });

export const select = z.strictObject({
  include: globs('Only objects whose key (below the prefix) matches one of these; empty = all. `*` and `?` stop at `/`, `**` does not; `[a-z]`, `[!x]`, `{a,b}`, `\\` escapes.', '**/*.mxf'),
  exclude: globs('No object whose key matches one of these; stronger than `include`.', 'tmp/**'),
  min_size: size().optional().meta({ description: 'No object smaller than this.', examples: ['1 KiB'] }),
  max_size: size().optional().meta({ description: 'No object larger than this.', examples: ['5 GiB'] }),
  modified_after: moment().optional().meta({ description: 'Only objects modified after this date, or younger than this age.', examples: ['2026-01-31', '30d'] }),
  modified_before: moment().optional().meta({ description: 'Only objects modified before this date, or older than this age.', examples: ['2026-06-30T00:00:00Z', '7d'] }),
  min_age: duration().prefault('0s').meta({ description: 'Leave objects younger than this to a later run: they may still be written.', examples: ['5m'] }),
}).prefault({}).meta({ title: 'Select', description: 'Which objects of the source take part. What is not selected is no part of the run: neither copied nor counted in its account. `brigade plan` says how many of those it came across are left out.' });

interface PairsRule {
  readonly checkName: (name: string) => void;
  readonly most: number;
  readonly description: string;
  readonly example: Readonly<Record<string, string>>;
}

/** A mapping whose keys the operator chooses. */
const pairs = <V extends z.ZodType<string>>(value: V, rule: PairsRule) => z.record(z.string(), value).superRefine((record, context) => {
  const names = Object.keys(record);
  const told = (problem: Problem, path: string[]) => context.addIssue({ code: 'custom', params: { problem }, path });
  if (names.length > rule.most) told(new Problem(`has ${names.length} entries, more than ${rule.most}`, 'remove some', 'key'), []);
  for (const name of names) {
    try {
      rule.checkName(name);
    } catch (thrown) {
      if (!(thrown instanceof Problem)) throw thrown;
      told(thrown, [name]);
    }
  }
}).prefault({}).meta({ 'x-type': 'mapping of text', description: rule.description, examples: [rule.example] });

// Amazon S3 User Guide, "Categorizing your storage using tags": 10 tags, 128 and 256 characters, this alphabet, no aws: prefix.
const TAG_CHARACTERS = /^[\p{L}\p{N}\p{Zs}+\-=._:/@]*$/u;
function checkTagName(value: string): void {
  if (value === '' || value.length > 128 || !TAG_CHARACTERS.test(value)) throw new Problem('is not a tag key', 'write 1–128 letters, digits, spaces and + - = . _ : / @', 'key');
  if (/^aws:/i.test(value)) throw new Problem('is a tag key that AWS keeps for itself', 'choose one without aws: in front', 'key');
}

const tagValue = text({ type: 'tag value', most: 256, empty: true, pattern: TAG_CHARACTERS, what: 'is not a tag value', fix: 'write letters, digits, spaces and + - = . _ : / @' });

function checkMetadataName(value: string): void {
  if (/^x-amz-meta-/i.test(value)) throw new Problem('is written without its x-amz-meta- prefix', 'remove x-amz-meta-', 'key');
  if (!/^[a-z0-9][a-z0-9_.-]{0,127}$/.test(value)) throw new Problem('is not a metadata name', 'write lower-case letters, digits and - _ .', 'key');
}

export const transform = z.strictObject({
  tags: z.strictObject({
    copy: yesNo().prefault('true').meta({ description: 'Carry the tags of the source.' }),
    set: pairs(tagValue, { checkName: checkTagName, most: 10, description: 'Tags written on every object; they win over copied ones of the same key.', example: { MigratedBy: 'cross-cloud-migration' } }),
  }).prefault({}).meta({ title: 'Tags', description: 'Tags, set in the same request that writes the object.' }),
  metadata: z.strictObject({
    set: pairs(text({ most: 2048, empty: true }), { checkName: checkMetadataName, most: 50, description: 'User metadata written on every object; it wins over the source\'s.', example: { 'migrated-from': 'ibm-cos' } }),
  }).prefault({}).meta({ title: 'Metadata', description: 'User metadata. The source\'s own is carried as `fidelity.user_metadata` says.' }),
  storage_class: storageClass().optional().meta({ description: 'Storage class of every object, whatever the source says.', examples: ['GLACIER_IR'] }),
  key_prefix: text({ empty: true, most: 512 }).prefault('').meta({ description: 'Put before every key at the destination, as it stands. For a folder it names folders below it: every name ends with a slash, and none is `.` or `..`.', examples: ['from-cos/'] }),
}).prefault({}).meta({ title: 'Transform', description: 'What is changed on the way. The bytes never are.' });

const level = (what: string) => choice(['strict', 'report', 'ignore']).prefault('report').meta({ description: what });

export const fidelity = z.strictObject({
  content_headers: level('Content-Type, Cache-Control, Content-Disposition, Content-Encoding, Content-Language, Expires.'),
  user_metadata: level('`x-amz-meta-*`.'),
  tags: level('Object tags.'),
  storage_class: level('Storage class.'),
  mtime: level('Modification time; in object stores kept in named metadata. Between folders also of directories, set when the run ends; the destination folder itself keeps its own.'),
  mode: level('Permission bits of files; in object stores kept in named metadata. Between folders also of directories, set when the run ends: until then those it makes are their owner\'s alone. setuid, setgid and sticky are never set.'),
}).prefault({}).meta({
  title: 'Fidelity',
  description: 'What must survive. `strict`: an object that would lose it fails. `report`: it is copied, the loss counted and listed. `ignore`: not even asked for.',
});

const window = z.strictObject({
  days: days().prefault('every day').meta({ description: 'On which days it begins.', examples: ['mon-fri', ['sat', 'sun']] }),
  from: timeOfDay(23).meta({ description: 'First minute.', examples: ['08:00'] }),
  to: timeOfDay(24).meta({ description: 'The minute after its last; before `from`: on the next day.', examples: ['18:00'] }),
  bandwidth: windowBandwidth().optional().meta({ description: '`pause`: nothing moves. Not written: as outside of all windows.', examples: ['50 Mbit/s', 'pause'] }),
  requests: windowRequests().optional().meta({ description: 'Not written: as outside of all windows.', examples: ['100/s'] }),
}).meta({ title: 'Window' });

export const limits = z.strictObject({
  bandwidth: bandwidth().prefault('unlimited').meta({ description: 'Bits (`50 Mbit/s`) or bytes (`200 MiB/s`) per second over the whole run; each byte counts once.', examples: ['50 Mbit/s', '200 MiB/s'] }),
  requests: requestRate().prefault('unlimited').meta({ description: 'Requests per second to each of the two stores.', examples: ['500/s'] }),
  concurrency: autoOrCount(1, 4096).prefault('auto').meta({ description: 'Objects or parts in flight; `auto` finds it by throttling and latency.', examples: ['32'] }),
  listings: autoOrCount(1, 256).prefault('auto').meta({ description: 'Ranges of keys that are listed at once on each side, where a store lists in key order; `auto` finds it, up to 32. `1`: one listing from the first key to the last, for a store that cannot be asked for the keys after a given one.', examples: ['1'] }),
  large_objects: autoOrCount(1, 1024).prefault('auto').meta({ description: 'Objects above 64 MiB in flight, over all executors, at least one each; `auto`: two each. Small objects have slots of their own and never wait for them.', examples: ['4'] }),
  memory: size({ least: '16 MiB', most: '64 GiB' }).prefault('96 MiB').meta({ description: 'Buffers of each process.' }),
  schedule: z.array(window).max(100).prefault([]).meta({
    'x-type': 'list of [windows](#limitsschedule)', description: 'Other limits at some times of the week. The first window that fits holds, outside of all `bandwidth` and `requests` above.',
    examples: [[{ days: 'mon-fri', from: '08:00', to: '18:00', bandwidth: '50 Mbit/s' }]],
  }),
  timezone: timeZone().optional().meta({ 'x-default': 'the machine\'s', description: 'Of the clock that `schedule` is read from.', examples: ['Europe/Berlin'] }),
}).prefault({}).meta({ title: 'Limits', description: 'How much of the link, the stores and the machine a run may take. May change between resumes.' });

export const batch = z.strictObject({
  objects: count(1, 10_000).prefault('1000').meta({ description: 'Objects in a task at most. `20` reproduces the reference architecture.' }),
  bytes: size({ least: '1 MiB', most: '1 TiB' }).prefault('1 GiB').meta({ description: 'Bytes in a task at most; a larger object is a task of its own.' }),
  span: size({ least: '5 MiB', most: '1 TiB' }).prefault('256 MiB').meta({ description: 'Bytes of one large object that a worker of a fleet takes at a time; more where that would be more than 256 pieces.' }),
  seconds: count(1, 3600).prefault('60').meta({ description: 'Predicted seconds of a task at most.' }),
}).prefault({}).meta({ title: 'Batch', description: 'How objects are packed into tasks.' });

export const transfer = z.strictObject({
  part_size: autoOrSize({ least: '5 MiB', most: '5 GiB' }).prefault('auto').meta({ description: 'Bytes of a part; `auto` = 8 MiB, more where the store\'s number of parts demands it.', examples: ['200 MiB'] }),
  part_concurrency: autoOrCount(1, 256).prefault('auto').meta({ description: 'Parts of one object in flight.', examples: ['4'] }),
  server_side_copy: choice(['auto', 'never']).prefault('auto').meta({ description: '`auto`: let the store copy where the destination\'s credentials can read the source.' }),
  multipart_threshold: size({ least: '1 KiB', most: '5 GiB' }).prefault('64 MiB').meta({ description: 'Objects larger than this go in parts.' }),
  single_copy_limit: size({ least: '5 MiB', most: '5 GiB' }).prefault('5 GiB').meta({ description: 'Objects larger than this are copied server-side in parts.' }),
  stall_timeout: duration(1000).prefault('30s').meta({ description: 'No byte for this long: the connection is given up and the read goes on from there.' }),
  stall_rate: leastRate().prefault('16 KiB/s').meta({ description: 'A read slower than this for the time of `stall_timeout`, and than a quarter of the other reads, is given up likewise and goes on over another connection.', examples: ['off'] }),
  hedge_reads: choice(['auto', 'never']).prefault('auto').meta({ description: '`auto`: a read of 1 MiB and more that is three times slower than nearly all others, and overtaken by them, is asked for once more over another connection; who is first wins. At most 2 % of the requests.' }),
}).prefault({}).meta({ title: 'Transfer', description: 'How one object travels. The automatic values are right for nearly everybody.' });

export const filesystem = z.strictObject({
  names: choice(['verbatim', 'escaped']).prefault('verbatim').meta({ description: '`escaped`: decode the names of a source directory that an earlier migration from a store had to escape.' }),
  symlinks: choice(['skip', 'follow']).prefault('skip').meta({ description: 'Symbolic links of a source directory.' }),
}).prefault({}).meta({ title: 'File system', description: 'For a source or destination that is a directory.' });

export const report = z.strictObject({
  file: text({ type: 'path' }).optional().meta({ description: 'Write the report here when a run ends, relative to the folder of the migration file.', examples: ['./media.report.json'] }),
  format: choice(['text', 'json', 'csv', 'ndjson']).prefault('json').meta({ description: 'Its format.' }),
}).prefault({}).meta({ title: 'Report', description: 'A report to keep. `brigade report` writes one at any time.' });
