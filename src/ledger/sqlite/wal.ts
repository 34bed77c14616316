/**
 * Whether the `-wal` beside a database is its own and whole (F105, F104). SQLite replays any WAL whose own checksums hold, also one that
 * came from another ledger, and silently drops everything behind a damaged frame. So the database itself remembers:
 *
 * - `clean` is 1 in the main file from a close to the next open. In the moment in which that open marks it `clean = 0`, the WAL
 *   beside it is new: it then says `clean = 0` about the same ledger.
 * - `salt` is the first salt of the WAL that began at the open. SQLite adds 1 to it whenever the WAL starts over and draws it anew for
 *   a new file (sqlite.org/fileformat2.html#walformat), so the WAL of another opening is far from it.
 *
 * What the main file says is read with `immutable=1`, which ignores the WAL. All this happens before the ledger is opened for good,
 * because closing a descriptor of the database would drop its locks.
 */
import { closeSync, existsSync, openSync, readSync, statSync } from 'node:fs';
import { DatabaseSync } from 'node:sqlite';
import { pathToFileURL } from 'node:url';
import { usageError } from '../../core/errors.ts';
import { damaged, isSqliteError } from './faults.ts';
import type { Connection } from './connection.ts';

const WAL_HEADER = 32;
const FRAME_HEADER = 24;
/** More restarts of one WAL than any opening sees; a foreign WAL falls into it once in four thousand times. */
const MOST_RESTARTS = 2 ** 20;

interface Marks { readonly id: string; readonly clean: number; readonly salt: number }

/**
 * Throws E_LEDGER_WAL for a WAL that belongs to another database, E_LEDGER_CORRUPT for one with committed transactions behind a damaged frame.
 * Returns true when commits may be missing: the ledger was not closed, and its WAL is gone or ends in a damaged frame.
 */
export function checkWal(path: string): boolean {
  const wal = `${path}-wal`;
  const main = existsSync(path) ? marks(path, true) : undefined;
  const salt = firstSalt(wal);
  if (main === undefined) return false; // new, or damaged: the health check says which
  if (salt === undefined) return main.clean === 0 && !existsSync(wal);
  const ours = (salt - main.salt + 2 ** 32) % 2 ** 32 < MOST_RESTARTS || (main.clean === 1 && marksSameOpening(path, main));
  if (!ours) {
    throw usageError('E_LEDGER_WAL', 'the -wal file beside the ledger belongs to another database', 'put back the -wal that was copied with it, or remove it to go on from the last checkpoint; copy ledgers with `brigade ledger backup`', wal);
  }
  const { behind, damagedAt } = walk(wal);
  if (behind > 1) throw damaged(`the -wal holds ${behind} commits behind a damaged frame at byte ${damagedAt}`, wal);
  return behind > 0;
}

/** Marks the main file as open and remembers the salt of the WAL that begins now. Call once, right after opening. */
export function markOpen(connection: Connection, newId: string): void {
  const { path, db } = connection;
  connection.transaction('mark', () => {
    if (connection.sql('getMeta').get('id') === undefined) connection.sql('setMeta').run('id', newId);
    connection.sql('setMeta').run('clean', 0);
  });
  connection.transaction('mark', () => connection.sql('setMeta').run('salt', firstSalt(`${path}-wal`) ?? 0));
  connection.read('checkpoint', () => db.prepare('PRAGMA wal_checkpoint(PASSIVE)').all());
}

/** Makes a copy a ledger of its own, closed: a -wal of its origin that is left beside it is never taken for its own. */
export function markCopy(connection: Connection, newId: string): void {
  connection.transaction('mark', () => {
    const salt = Number(connection.sql('getMeta').get('salt')?.['value'] ?? 0);
    connection.sql('setMeta').run('id', newId);
    connection.sql('setMeta').run('salt', (salt + 2 ** 31) % 2 ** 32);
  });
  markClosed(connection);
}

/** The last commit before a close. */
export function markClosed(connection: Connection): void {
  connection.transaction('mark', () => connection.sql('setMeta').run('clean', 1));
  connection.read('checkpoint', () => connection.db.prepare('PRAGMA wal_checkpoint(TRUNCATE)').all());
}

function marksSameOpening(path: string, main: Marks): boolean {
  const seen = marks(path, false);
  return seen !== undefined && seen.id === main.id && seen.clean === 0;
}

/** Undefined when the file cannot be read so far: the checks that follow say why. */
function marks(path: string, ignoreWal: boolean): Marks | undefined {
  const url = pathToFileURL(path);
  if (ignoreWal) url.search = 'immutable=1';
  let db: DatabaseSync | undefined;
  try {
    db = new DatabaseSync(url, { readOnly: true });
    const rows = new Map(db.prepare("SELECT name, value FROM meta WHERE name IN ('id', 'clean', 'salt')").all().map((row) => [row['name'], row['value']]));
    return rows.has('id') ? { id: String(rows.get('id')), clean: Number(rows.get('clean')), salt: Number(rows.get('salt') ?? 0) } : undefined;
  } catch (error) {
    if (isSqliteError(error)) return undefined;
    throw error;
  } finally {
    db?.close();
  }
}

function firstSalt(wal: string): number | undefined {
  if (!existsSync(wal) || statSync(wal).size < WAL_HEADER) return undefined;
  const header = readAt(wal, 0, WAL_HEADER);
  // Zeros are what a power cut leaves of a file that was made and never synced.
  return header.every((byte) => byte === 0) ? undefined : header.readUInt32BE(16);
}

/** Follows the chain of frame checksums and counts the commits of this WAL that lie behind the first broken link. */
function walk(wal: string): { behind: number; damagedAt: number } {
  const header = readAt(wal, 0, WAL_HEADER);
  const bigEndian = (header.readUInt32BE(0) & 1) === 1;
  const frame = FRAME_HEADER + header.readUInt32BE(8);
  const salts = header.subarray(16, 24);
  let sum = checksum(header.subarray(0, 24), [0, 0], bigEndian);
  // The header is synced before any commit: SQLite would drop all of them without a word.
  if (sum[0] !== header.readUInt32BE(24) || sum[1] !== header.readUInt32BE(28)) throw damaged('the -wal has a damaged header', wal);
  let whole = true;
  let damagedAt = -1;
  let behind = 0;
  const fd = openSync(wal, 'r');
  const buffer = Buffer.allocUnsafe(frame);
  try {
    for (let at = WAL_HEADER; readSync(fd, buffer, 0, frame, at) === frame; at += frame) {
      // Frames with other salts are of an earlier round; the last whole frame may be followed by some.
      const ofThisRound = buffer.subarray(8, 16).equals(salts);
      if (whole) {
        sum = checksum(buffer.subarray(FRAME_HEADER), checksum(buffer.subarray(0, 8), sum, bigEndian), bigEndian);
        whole = ofThisRound && sum[0] === buffer.readUInt32BE(16) && sum[1] === buffer.readUInt32BE(20);
        if (!whole) damagedAt = at;
      }
      if (!whole && ofThisRound && buffer.readUInt32BE(4) !== 0) behind++;
    }
  } finally {
    closeSync(fd);
  }
  return { behind, damagedAt };
}

/** The WAL's own checksum (sqlite.org/fileformat2.html#checksum_algorithm). */
function checksum(bytes: Buffer, start: readonly [number, number], bigEndian: boolean): [number, number] {
  let [a, b] = start;
  for (let i = 0; i < bytes.length; i += 8) {
    a = (a + (bigEndian ? bytes.readUInt32BE(i) : bytes.readUInt32LE(i)) + b) >>> 0;
    b = (b + (bigEndian ? bytes.readUInt32BE(i + 4) : bytes.readUInt32LE(i + 4)) + a) >>> 0;
  }
  return [a, b];
}

function readAt(path: string, at: number, length: number): Buffer {
  const fd = openSync(path, 'r');
  try {
    const buffer = Buffer.alloc(length);
    readSync(fd, buffer, 0, length, at);
    return buffer;
  } finally {
    closeSync(fd);
  }
}
