/** Where a store is, as a URL or a path. */
import { resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { nearestWord } from './nearest.ts';
import { Problem } from './problem.ts';

/** A location before its connection is known. */
export type Place =
  | { readonly kind: 's3'; readonly bucket: string; readonly prefix: string; readonly maybeObject?: string }
  | { readonly kind: 'file'; readonly path: string }
  | { readonly kind: 'synthetic'; readonly count: number; readonly seed: number; readonly size: number }
  | { readonly kind: 'memory'; readonly name: string };

const SCHEMES = ['s3', 'file', 'synthetic', 'memory'] as const;
const PLACE_FIX = 'write s3://bucket/prefix, a path, file:///dir or synthetic://?count=1000&seed=1&size=4096';

/** `s3://bucket/prefix` | path | `file:///dir` | `synthetic://?…` | `memory://name`. Relative paths start at `base`. Throws Problem. */
export function parsePlace(text: string, base: string): Place {
  const match = /^([A-Za-z][A-Za-z0-9+.-]*):\/\/(.*)$/s.exec(text);
  if (match === null) return parsePath(text, base);
  const [, scheme = '', rest = ''] = match;
  switch (scheme as (typeof SCHEMES)[number]) {
    case 's3': return parseS3(rest);
    case 'file': return parseFileUrl(text);
    case 'synthetic': return parseSynthetic(rest);
    case 'memory': return { kind: 'memory', name: parseMemoryName(rest) };
    default: throw new Problem(`has the scheme ${scheme}://, which is not supported`, schemeFix(scheme));
  }
}

function schemeFix(scheme: string): string {
  if (/^https?$/i.test(scheme)) return 'put the server under endpoint: and write s3://bucket/prefix here';
  const near = nearestWord(scheme, SCHEMES);
  return near === undefined ? PLACE_FIX : `did you mean ${near}://?`;
}

function parseS3(rest: string): Place {
  const slash = rest.indexOf('/');
  const bucket = slash < 0 ? rest : rest.slice(0, slash);
  // Not percent-decoded: a key is verbatim, `%41` is three characters of it (truth 1). `?` and `#` are characters of keys too.
  const written = slash < 0 ? '' : rest.slice(slash + 1);
  if (bucket.includes('@')) throw new Problem('has something before an @: a URL never holds credentials', 'write s3://bucket/prefix and a reference under credentials:', 'key');
  const place = { kind: 's3', bucket: checkBucket(bucket), prefix: checkPrefix(written) } as const;
  return written === '' || written.endsWith('/') ? place : { ...place, maybeObject: written };
}

/** `s3://bucket/…/manifest.json`, an S3 Inventory where it was written. Throws Problem. */
export function parseManifest(text: string): { readonly bucket: string; readonly key: string } {
  const place = parseS3(text.slice('s3://'.length));
  const key = place.kind === 's3' ? place.maybeObject : undefined;
  if (place.kind !== 's3' || key === undefined || !/(?:^|\/)manifest\.json$/.test(key)) {
    throw new Problem('is in a bucket and no S3 Inventory', 'name its manifest.json, or fetch the file and name that');
  }
  return { bucket: place.bucket, key };
}

export function checkBucket(bucket: string): string {
  if (bucket === '') throw new Problem('names no bucket', 'write s3://bucket/prefix');
  if (bucket.includes('/')) throw new Problem('is not a bucket name: it holds a /', 'write the bucket alone and the rest under prefix:');
  if (!/^[A-Za-z0-9][A-Za-z0-9._-]{1,253}[A-Za-z0-9]$/.test(bucket) || bucket.includes('..')) {
    throw new Problem('does not name a bucket: 3 or more letters, digits, dots and hyphens', 'write the bucket as the store shows it');
  }
  return bucket;
}

/** A prefix is a folder: `logs` means `logs/`, so that it never takes `logs-archive/` along. */
export function checkPrefix(prefix: string): string {
  if (Buffer.byteLength(prefix) > 1023) throw new Problem('is longer than a key can be (1,024 bytes)', 'shorten the prefix', 'key');
  return prefix === '' || prefix.endsWith('/') ? prefix : `${prefix}/`;
}

/**
 * `transform.key_prefix` for a folder: names of folders, each followed by its slash. Anything else would not stay below the destination
 * (truth 16, I11), or would not be the verbatim start of a key. In a bucket any prefix is one. Throws Problem.
 */
export function checkKeyPrefix(prefix: string, kind: Place['kind']): string {
  if (prefix === '' || kind === 's3') return prefix;
  if (kind !== 'file') throw new Problem('has no meaning: the destination is neither a bucket nor a folder', 'remove it', 'key');
  const names = prefix.split('/');
  if (names.pop() !== '') throw new Problem('does not end with a slash: in a folder it names folders, never the start of file names', `write ${prefix.slice(0, 40)}/`);
  if (names.includes('')) throw new Problem('has an empty name before a slash', 'write folder/, without a slash in front or a double one');
  if (names.includes('.') || names.includes('..')) throw new Problem('holds . or .., and would lead elsewhere', 'write names of folders below the destination, such as from-cos/');
  if (names.some((name) => Buffer.byteLength(name) > 255)) throw new Problem('holds a name longer than 255 bytes', 'shorten it', 'key');
  if (names[0] === '.brigade') throw new Problem('names the folder that brigade keeps for itself', 'choose another name');
  return prefix;
}

export function parsePath(text: string, base: string): Place {
  if (text === '') throw new Problem('is empty', 'write a path, or s3://bucket/prefix', 'key');
  if (/^~/.test(text)) throw new Problem('starts with ~, which only a shell expands', `write \${HOME}${text.slice(1, 40)}`);
  if (/^\$[A-Za-z_]/.test(text)) throw new Problem('starts with $NAME, which is not expanded', 'write ${NAME}');
  if (/^(?:s3|file|synthetic|memory):/.test(text)) throw new Problem('is neither a URL nor a path', PLACE_FIX);
   
  if (/\u0000/.test(text)) throw new Problem('holds a NUL character', 'remove it', 'key');
  return { kind: 'file', path: resolve(base, text) };
}

function parseFileUrl(text: string): Place {
  if (!text.startsWith('file:///')) throw new Problem('names a host: only files of this machine are read', 'write file:///absolute/path');
  try {
    return { kind: 'file', path: resolve(fileURLToPath(text)) };
  } catch {
    // Malformed escapes and encoded slashes: the one-line reason below says more than the library's.
    throw new Problem('is not a usable file URL', 'write a plain path');
  }
}

const SYNTHETIC_FIX = 'write synthetic://?count=1000&seed=1&size=4096';

function parseSynthetic(rest: string): Place {
  if (!/^\/?(?:\?|$)/.test(rest)) throw new Problem('has a host or a path: a synthetic store has neither', SYNTHETIC_FIX);
  const found = new Map<string, number>([['count', 1000], ['seed', 1], ['size', 4096]]);
  for (const [key, value] of new URLSearchParams(rest.replace(/^\/?\??/, ''))) {
    if (!found.has(key)) throw new Problem('has a parameter other than count, seed and size', SYNTHETIC_FIX);
    const number = /^\d{1,16}$/.test(value) ? Number(value) : Number.NaN;
    if (!Number.isSafeInteger(number)) throw new Problem(`has a ${key} that is not a whole number`, SYNTHETIC_FIX);
    found.set(key, number);
  }
  return { kind: 'synthetic', count: found.get('count') ?? 0, seed: found.get('seed') ?? 0, size: found.get('size') ?? 0 };
}

function parseMemoryName(name: string): string {
  if (!/^[\w.-]{1,64}$/.test(name)) throw new Problem('has no usable name', 'write memory://name');
  return name;
}
