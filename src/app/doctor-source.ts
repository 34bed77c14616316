/** May the source be listed and read? Nothing is ever written there, not even a canary. */
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { type FileLocation, showLocation, type S3Location } from '../config/index.ts';
import type { ObjectEntry } from '../core/object.ts';
import { type BrigadeError, isKind } from '../core/errors.ts';
import { showKey } from '../core/key.ts';
import { showCount } from '../core/units.ts';
import type { ListPage, Store } from '../ports/storage.ts';
import { OWN_FOLDER } from '../stores/filesystem/names.ts';
import { examineBucket, type ExaminedBucket, firstPage } from './doctor-bucket.ts';
import { type Examination, failure, type Findings, ok, patiently, Permissions, settle, warn } from './doctor-lines.ts';
import { openRawSide } from './doctor-open.ts';
import type { DoctorLine } from './doctor-types.ts';

/** Classes that cannot be read before they are restored (https://docs.aws.amazon.com/AmazonS3/latest/userguide/archived-objects.html). */
export const ARCHIVE_CLASSES: ReadonlySet<string> = new Set(['GLACIER', 'DEEP_ARCHIVE']);

export async function* examineSource(exam: Examination): Findings {
  const { source } = exam.migration;
  if (source.kind === 's3') yield* examineSourceBucket(exam, source);
  else if (source.kind === 'file') yield* examineFolder(exam, source);
  else yield ok('source: reach', `${showLocation(source)} is made up on this machine`);
}

async function* examineSourceBucket(exam: Examination, location: S3Location): Findings {
  const examined = yield* examineBucket(exam, 'source', location);
  if (examined === undefined) return;
  try {
    const { store, page } = examined;
    if (page !== undefined) yield* examinePage(exam, store, page);
    yield* examinePermissions(exam, location, examined);
  } finally {
    await examined.store.close();
  }
}

async function* examinePage(exam: Examination, store: Store, page: ListPage): Findings {
  const order = store.facts.ordered ? 'in key order' : 'in no order: sorted on this machine\'s disk first';
  const { length } = page.entries;
  if (length === 0) {
    yield warn('source: list', `there is no object in ${showLocation(exam.migration.source)}`, 'check the bucket, prefix or path, if that is not what you expect');
    return;
  }
  yield ok('source: list', `a page of ${showCount(length)} entries, proven, ${order}`);
  const archived = page.entries.filter(isArchived);
  if (archived.length === 0) return;
  const says = `${showCount(archived.length)} of the first ${showCount(length)} objects are archived (${archived[0]?.storageClass ?? ''}): those not restored are skipped`;
  yield exam.migration.allowArchived ? ok('source: archived', says) : warn('source: archived', `${says}, and the run ends with exit 1`, 'restore them first, exclude them, or set allow_archived: true');
}

function isArchived({ storageClass }: ObjectEntry): boolean {
  return storageClass !== undefined && ARCHIVE_CLASSES.has(storageClass);
}

async function* examinePermissions(exam: Examination, location: S3Location, { store, page }: ExaminedBucket): Findings {
  const { migration, around } = exam;
  const permissions = new Permissions();
  await permissions.use('s3:ListBucket', 'to list', () => (page === undefined ? firstPage(store, around.signal) : Promise.resolve(page)));
  const samples = samplesOf(page?.entries.filter((entry) => entry.kind === 'object' && !isArchived(entry)) ?? []);
  if (samples.length > 0) yield* readSamples(exam, store, samples, permissions);
  yield permissions.line('source: permissions', arnsOf(location));
  if (samples.length === 0 && (page?.entries.length ?? 0) > 0) yield warn('source: read', 'no object of the first page can be read now, so reading was not tried', 'restore one, or let the run find out');
  if (migration.requesterPays) yield ok('source: requester pays', 'requests and traffic of this bucket are billed to these credentials');
}

/** The first object, and a few spread over the page for when that one is denied. */
function samplesOf(entries: readonly ObjectEntry[]): readonly ObjectEntry[] {
  const places = new Set([0, 1, 2, 3, 4].map((quarter) => Math.floor((quarter * (entries.length - 1)) / 4)));
  return entries.filter((_, index) => places.has(index));
}

/** One object is read. Where it is denied others are tried: what one object's owner or policy refuses is that object's failure, not the run's. */
async function* readSamples(exam: Examination, store: Store, samples: readonly ObjectEntry[], permissions: Permissions): Findings {
  const denied: ObjectEntry[] = [];
  for (const sample of samples) {
    const tried = new Permissions();
    const read = await settle(tryReading(exam, store, sample, tried));
    if (read.error !== undefined) return yield unread(sample, read.error);
    if (tried.someDenied) denied.push(sample);
    else {
      permissions.add(tried);
      if (denied.length > 0) yield warn('source: read', `${denied.map(({ key }) => showKey(key)).join(', ')} may not be read, ${showKey(sample.key)} may`, 'give the reader access, or exclude such keys (select.exclude): each fails on its own');
      else yield ok('source: read', `${showKey(sample.key)} can be read`);
      return;
    }
    if (denied.length === samples.length) permissions.add(tried);
  }
  yield ok('source: read', `${showKey((samples[0] as ObjectEntry).key)} was tried`);
}

/** What stands against one object, or may pass, is no reason not to begin: the run settles each object on its own. */
function unread({ key }: ObjectEntry, error: BrigadeError): DoctorLine {
  const ofOne = isKind(error, 'object', 'changed', 'gone', 'unsupported') || UNWHOLE.has(error.code);
  return ofOne ? warn('source: read', `${showKey(key)}: ${error.message}`, error.hint ?? 'the run tries each object on its own: look at its report') : failure('source: read', error);
}

const UNWHOLE: ReadonlySet<string> = new Set(['E_SHORT_READ', 'E_STALLED', 'E_SERVER', 'E_THROTTLED', 'E_UNEXPECTED_ANSWER']);

/** One byte, the facts, and the tags where they are copied: what the run will ask of each object. False when reading is denied. */
async function tryReading(exam: Examination, store: Store, entry: ObjectEntry, permissions: Permissions): Promise<boolean> {
  const { migration, around: { clock, signal } } = exam;
  const { key, size, token } = entry;
  const range = size > 0 ? { range: { offset: 0, length: 1 } } : {};
  const read = await permissions.use('s3:GetObject', 'to read', () => patiently(clock, signal, async () => {
    const opened = await store.read({ key, pin: { token }, ...range, expectedSize: size, signal });
    for await (const chunk of opened.chunks) if (chunk.length > size) break;
  }));
  if (read !== undefined) await permissions.use('s3:GetObject', 'to read', () => patiently(clock, signal, () => store.head(key, { signal })));
  const carriesTags = migration.transform.tags.copy && migration.fidelity.tags !== 'ignore';
  if (carriesTags && store.readTags !== undefined) {
    await permissions.use('s3:GetObjectTagging', 'tags are copied; without it set transform.tags.copy: false', () => patiently(clock, signal, async () => store.readTags?.(key, { token }, signal)));
  }
  return read !== undefined;
}

export function arnsOf(location: S3Location): string {
  const arn = `arn:aws:s3:::${location.bucket}`;
  return `${arn} and ${arn}/${location.prefix}*`;
}

async function* examineFolder(exam: Examination, location: FileLocation): Findings {
  const store = await openRawSide(exam.migration, 'source', exam.around, undefined);
  try {
    const page = await settle(firstPage(store, exam.around.signal));
    if (page.error !== undefined) {
      yield page.error.code === 'E_NO_ROOT' ? failure('source: reach', page.error, `make ${location.path}, or correct the path`) : failure('source: reach', page.error, `give the user of this process access to ${location.path}`);
      return;
    }
    yield* examinePage(exam, store, page.value);
    if (await holdsAnything(join(location.path, OWN_FOLDER))) yield warn('source: own folder', `${join(location.path, OWN_FOLDER)} is taken for a folder of brigade's own, left from a use as destination or for state: it is not copied`, 'rename it if there is anything of yours in it');
    const sample = page.value.entries.find((entry) => entry.kind === 'object');
    if (sample === undefined) return;
    const permissions = new Permissions();
    const read = await settle(tryReading(exam, store, sample, permissions));
    if (read.error !== undefined) yield failure('source: read', read.error);
    else if (read.value) yield ok('source: read', `${showKey(sample.key)} can be read`);
    else yield warn('source: read', `${showKey(sample.key)} may not be read by this user`, 'give the reader access, or exclude such files (select.exclude)');
  } finally {
    await store.close();
  }
}

async function holdsAnything(folder: string): Promise<boolean> {
  const read = await readdir(folder).catch(() => []); // absent, or not a folder: both hold nothing
  return read.length > 0;
}
