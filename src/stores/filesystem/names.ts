/**
 * Key ↔ path, segment by segment, before any path is put together (F111). Names are handled as *raw* strings: one character per byte
 * (latin1), so that string order is byte order and any byte a file system holds survives (F046).
 *
 * `escaped` changes only what no file system can hold: an empty segment becomes `%2F`, `.` becomes `%2E`, `..` becomes `%2E%2E`, NUL
 * becomes `%00`; a name that would read as one of these gets one `25` more behind its `%` (`%2F` → `%252F` → `%25252F` …). Both ways
 * are total and exact inverses: no two keys share a path and no two paths share a key. `verbatim` changes nothing and refuses instead.
 */
import { keyFromBytes, keyToBytes, type Key } from '../../core/key.ts';

export type NameMode = 'verbatim' | 'escaped';
/** Bytes as characters U+0000…U+00FF. */
export type Raw = string;

export interface Place {
  /** Raw names from the root down; never empty, `.`, `..`, nor with `/` or NUL. */
  readonly segments: readonly Raw[];
  /** The key ends with a slash: it stands for a directory. */
  readonly directory: boolean;
}

export interface Refusal {
  readonly code: string;
  readonly message: string;
}

/** Bytes per name, on every Linux file system and on APFS and NTFS (there in other units, which allow more bytes). */
export const MAX_NAME_BYTES = 255;
/** PATH_MAX of Linux less room for a temporary's longer name: longer paths exist, but no other program can open them. */
export const MAX_PATH_BYTES = 4050;

/** Folder at the root in which canaries are tried; never listed. */
export const OWN_FOLDER: Raw = '.brigade';
const TEMPORARY = /^\.[^]*\.[0-9a-z]{16}\.brigade\.parts?$/;
const ESCAPED_SEGMENT = /^%(?:25)*(?:2F|2E|2E%2E)$/;
const TO_ESCAPE = /\0|%(?:25)*00/g;
const TO_UNESCAPE = /%(?:25)*00/g;
const ASCII = /^[\x00-\x7f]*$/;
const WHOLE: ReadonlyMap<string, string> = new Map([['', '%2F'], ['.', '%2E'], ['..', '%2E%2E']]);
const WHOLE_BACK: ReadonlyMap<string, string> = new Map([...WHOLE].map(([plain, escaped]) => [escaped, plain]));

export function rawOf(key: Key): Raw {
  return ASCII.test(key) ? key : keyToBytes(key).toString('latin1');
}

export function keyOf(raw: Raw): Key {
  return ASCII.test(raw) ? raw : keyFromBytes(Buffer.from(raw, 'latin1'));
}

/** A path as Node wants it: plain where it is ASCII, else its bytes. */
export function pathOf(raw: Raw): string | Buffer {
  return ASCII.test(raw) ? raw : Buffer.from(raw, 'latin1');
}

export function encodeSegment(segment: Raw): Raw {
  const whole = WHOLE.get(segment);
  if (whole !== undefined) return whole;
  if (ESCAPED_SEGMENT.test(segment)) return `%25${segment.slice(1)}`;
  return segment.replace(TO_ESCAPE, (found) => (found === '\0' ? '%00' : `%25${found.slice(1)}`));
}

export function decodeSegment(name: Raw): Raw {
  const whole = WHOLE_BACK.get(name);
  if (whole !== undefined) return whole;
  if (ESCAPED_SEGMENT.test(name)) return `%${name.slice(3)}`;
  return name.replace(TO_UNESCAPE, (found) => (found === '%00' ? '\0' : `%${found.slice(3)}`));
}

/** Where a key stands, or why it cannot stand anywhere. `rootBytes`: length of the root's own path. */
export function placeOf(key: Key, mode: NameMode, rootBytes: number): Place | Refusal {
  if (key === '') return { code: 'E_KEY_EMPTY', message: 'the key is empty' };
  const segments = rawOf(key).split('/');
  const directory = segments.at(-1) === '';
  if (directory) segments.pop();
  const names = mode === 'escaped' ? segments.map(encodeSegment) : segments;
  return refusalOf(names, rootBytes) ?? { segments: names, directory };
}

export function isRefusal(found: Place | Refusal): found is Refusal {
  return 'code' in found;
}

/** A directory marker carries no bytes: there is no file to put them in (F042). */
export function markerRefusal(place: Place, size: number): Refusal | undefined {
  if (!place.directory || size === 0) return undefined;
  return { code: 'E_DIR_MARKER_HAS_DATA', message: `the key ends with a slash and has ${size} bytes; a directory cannot hold them` };
}

function refusalOf(names: readonly Raw[], rootBytes: number): Refusal | undefined {
  let bytes = rootBytes;
  if (names[0] === OWN_FOLDER) return { code: 'E_NAME_FORBIDDEN', message: `the folder ${OWN_FOLDER} is kept for the canaries of this program and never listed` };
  for (const name of names) {
    bytes += name.length + 1;
    if (name === '' || name === '.' || name === '..') return { code: 'E_NAME_FORBIDDEN', message: `a segment ${JSON.stringify(name)} is not a file name; names: escaped would hold it` };
    if (name.includes('\0')) return { code: 'E_NAME_FORBIDDEN', message: 'NUL cannot stand in a file name; names: escaped would hold it' };
    if (name.length > MAX_NAME_BYTES) return { code: 'E_NAME_TOO_LONG', message: `a segment takes ${name.length} bytes, a file name may have ${MAX_NAME_BYTES}` };
    if (isTemporary(name)) return { code: 'E_NAME_FORBIDDEN', message: 'the name is one of those kept for unfinished files' };
  }
  return bytes > MAX_PATH_BYTES ? { code: 'E_NAME_TOO_LONG', message: `the path takes ${bytes} bytes, it may have ${MAX_PATH_BYTES}` } : undefined;
}

/** `.<name>.<16 characters>.brigade.part`: the name is there for people, the characters make it ours alone (F025). */
export function temporaryName(name: Raw, id: string): Raw {
  return `.${shortened(name)}.${id}.brigade.part`;
}

/** The list of durable parts beside an upload's data. */
export function indexName(name: Raw, id: string): Raw {
  return indexOfData(temporaryName(name, id));
}

/** Whether it is a temporary, not an index, for a file of this name. */
export function isTemporaryOf(other: Raw, name: Raw): boolean {
  return other.startsWith(`.${shortened(name)}.`) && isTemporary(other) && !isIndex(other) && other.length === temporaryName(name, ' '.repeat(16)).length;
}

/** The index beside an upload's data, by the name of the data. */
export function indexOfData(data: Raw): Raw {
  return `${data}s`;
}

export function isTemporary(name: Raw): boolean {
  return name.startsWith('.') && TEMPORARY.test(name);
}

export function isIndex(name: Raw): boolean {
  return name.endsWith('.brigade.parts') && isTemporary(name);
}

/** Cut so that the temporary's name fits, and never inside a UTF-8 sequence: some file systems refuse halves. */
function shortened(name: Raw): Raw {
  let end = MAX_NAME_BYTES - '..'.length - 16 - '.brigade.parts'.length;
  if (name.length <= end) return name;
  while (end > 0 && (name.charCodeAt(end) & 0xc0) === 0x80) end--;
  return name.slice(0, end);
}
