/** Can the destination take what the run will write? In a bucket a canary tells; in a folder the mount itself is asked. */
import { type S3Location, showLocation } from '../config/index.ts';
import { canaryKey } from '../core/canary.ts';
import { together } from '../core/together.ts';
import type { StoreFacts } from '../ports/storage.ts';
import type { S3Control } from '../stores/s3/index.ts';
import { examineBucket, type ExaminedBucket } from './doctor-bucket.ts';
import { flyCanary } from './doctor-canary.ts';
import { examineDestinationFolder } from './doctor-folder.ts';
import { type Examination, fail, failure, type Findings, ok, patiently, Permissions, settle, warn } from './doctor-lines.ts';
import type { ProbedSide } from './doctor-open.ts';
import { arnsOf } from './doctor-source.ts';

/** The value is what was measured of a bucket, for the run to work with. */
export async function* examineDestination(exam: Examination): Findings<ProbedSide | undefined> {
  const { destination } = exam.migration;
  if (destination.kind === 's3') return yield* examineDestinationBucket(exam, destination);
  if (destination.kind === 'file') yield* examineDestinationFolder(exam, destination);
  else yield ok('destination: reach', `${showLocation(destination)} is in this process's memory`);
  return undefined;
}

async function* examineDestinationBucket(exam: Examination, location: S3Location): Findings<ProbedSide | undefined> {
  const examined = yield* examineBucket(exam, 'destination', location);
  if (examined === undefined) return undefined;
  try {
    const locked = yield* examineSettings(exam, examined.control);
    if (locked) {
      yield warn('destination: canary', 'the bucket has object lock: nothing is written to try it, since it might stay for years', 'check by hand that these credentials may write, read and list there');
      return examined.provider;
    }
    return yield* examineByCanary(exam, location, examined);
  } finally {
    await examined.store.close();
  }
}

/** Settings that change what writing means. A question that is denied or unknown is no finding: the canary shows what matters. */
async function* examineSettings(exam: Examination, control: S3Control): Findings<boolean> {
  const { signal } = exam.around;
  const [versions, owners, locks] = await together(settle(control.versioning(signal)), settle(control.ownership(signal)), settle(control.objectLock(signal)));
  const [versioning, ownership, locked] = [versions.value, owners.value, locks.value === true];
  if (versioning === 'Enabled' || versioning === 'Suspended') yield ok('destination: versioning', `${versioning}: what is replaced stays as an older version and is paid for, as does the canary`);
  else if (versioning === 'Off') yield ok('destination: versioning', 'off');
  if (ownership === 'BucketOwnerEnforced') yield ok('destination: ownership', 'BucketOwnerEnforced; no ACL is sent');
  else if (ownership === 'ObjectWriter') yield warn('destination: ownership', 'ObjectWriter: what another account writes belongs to that account', 'set object ownership to BucketOwnerEnforced, if these credentials are of another account');
  if (locked) yield ok('destination: object lock', 'enabled');
  return locked;
}

async function* examineByCanary(exam: Examination, location: S3Location, { store, page, provider }: ExaminedBucket): Findings<ProbedSide | undefined> {
  const { around } = exam;
  const permissions = new Permissions();
  const key = canaryKey(() => around.random.next());
  if (page === undefined) await permissions.use('s3:ListBucket', 'to list', async () => { for await (const _ of store.list({ signal: around.signal })) return; });
  const end = yield* flyCanary(exam, store, key, permissions);
  yield permissions.line('destination: permissions', arnsOf(location));
  if (end !== 'removed') {
    if (end === 'left') yield* describeFacts(store.facts, location, 'taken from the provider\'s profile, since canaries cannot be removed');
    return provider;
  }
  const { probeStore } = await import('../stores/s3/index.ts');
  const probed = await settle(patiently(around.clock, around.signal, () => probeStore(store, around.random, around.signal)));
  if (probed.error !== undefined) {
    yield failure('destination: checksums', probed.error);
    return provider;
  }
  yield* describeFacts(store.facts, location, 'measured');
  if (probed.value?.normalisesDots === true) yield warn('destination: keys', 'this store rewrites `.` and `..` in keys: objects with such keys will fail', 'rename them at the source, or exclude them; brigade plan lists them');
  return probed.value === undefined ? provider : { ...provider, facts: probed.value };
}

async function* describeFacts(facts: StoreFacts, location: S3Location, how: string): Findings {
  const { absent, matches, onComplete } = facts.guards;
  const name = 'destination: conditional writes';
  if (absent && matches) yield ok(name, `If-None-Match and If-Match are enforced${onComplete ? ', also when an upload is completed' : '; not when an upload is completed'} (${how})`);
  else yield warn(name, `${!absent && !matches ? 'neither If-None-Match nor If-Match is' : absent ? 'If-Match is not' : 'If-None-Match is not'} enforced (${how}): a look just before each write instead`, 'let nothing else write there during the run');
  yield checksumLine(facts, location, how);
  if (!facts.ordered) yield warn('destination: order', 'the listing is not in key order, so it is sorted on this machine\'s disk first', 'keep space for it in the state folder: about 50 bytes per object');
}

/** F020: the level that was chosen, once. */
function checksumLine(facts: StoreFacts, location: S3Location, how: string) {
  const name = 'destination: checksums';
  const chosen = location.connection.checksum === 'auto' ? how : `checksum: ${location.connection.checksum} in the connection`;
  const [first] = facts.checksums;
  if (first !== undefined) return ok(name, `${first}, verified on write and vouched for afterwards${facts.fullObjectChecksum ? ', also for objects in parts' : ''} (${chosen})`);
  if (facts.verifiesOnWrite) return ok(name, `verified on write by ${location.connection.checksum === 'md5' ? 'Content-MD5' : 'Content-MD5 or the signed payload'}, not kept (${chosen}); verify re-reads`);
  const fix = 'set payload_signing: signed, or verify: checksum or full, so that everything is read again';
  return location.connection.checksum === 'none' ? warn(name, 'none, as the connection says', 'leave checksum: out') : fail(name, `none: the store verifies nothing on write (${chosen})`, fix);
}
