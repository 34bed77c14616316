/** docs/stores.md: the limits from the profiles, so that the page cannot drift from the driver; the oddities by hand, as they were measured. */
import { showBytes } from '../src/core/units.ts';
import { PROVIDER_NAMES, profileOf, type ProviderProfile } from '../src/stores/s3/index.ts';

/** One row of the table of limits. */
const COLUMNS: readonly (readonly [title: string, cell: (profile: ProviderProfile) => string])[] = [
  ['provider', ({ name }) => `\`${name}\``],
  ['largest object', ({ maxObjectSize }) => showBytes(maxObjectSize)],
  ['in one write', ({ maxSingleWrite }) => showBytes(maxSingleWrite)],
  ['parts', ({ maxParts }) => maxParts.toLocaleString('en')],
  ['tags', ({ maxTags }) => (maxTags === 0 ? 'none' : String(maxTags))],
  ['metadata, bytes', ({ maxUserMetadataBytes }) => maxUserMetadataBytes.toLocaleString('en')],
  ['conditional write', ({ guards }) => (guards.absent && guards.matches ? guards.onComplete ? 'yes, multipart too' : 'yes, not multipart' : 'no: a look before')],
  ['checksums it keeps', ({ checksums }) => checksums.headers.join(', ') || (checksums.md5 ? 'none (MD5 on the way)' : 'none')],
  ['keys it refuses', keysRefused],
];

function keysRefused({ forbids, normalisesDots, maxSegmentBytes, emptyMarkers, exclusivePrefixes }: ProviderProfile): string {
  return [
    ...forbids.map(({ rule }) => rule.replace(/: .*/, '')),
    ...(normalisesDots ? ['may not have a `.` or `..` between slashes'] : []),
    ...(maxSegmentBytes === undefined ? [] : [`at most ${maxSegmentBytes} bytes between slashes`]),
    ...(emptyMarkers === true ? ['bytes in `dir/`'] : []),
    ...(exclusivePrefixes === true ? ['`a` beside `a/b`'] : []),
  ].join('; ');
}

function table(): string {
  const row = (cells: readonly string[]): string => `| ${cells.join(' | ')} |`;
  return [row(COLUMNS.map(([title]) => title)), row(COLUMNS.map(() => '---')), ...PROVIDER_NAMES.map((name) => row(COLUMNS.map(([, cell]) => cell(profileOf(name)))))].join('\n');
}

const INTRODUCTION = `# Stores: what each kind can hold, and what the driver does about its oddities

<!-- Made from scripts/docs-stores.ts and src/stores/s3/profiles.ts by \`npm run docs\`. Change it there. -->

What a destination cannot hold is known before a byte moves: \`brigade plan\` lists it, the run reports it object by object (\`failed\`, exit 1), and
nothing is written under another name. What it holds but loses an attribute of is copied, and the loss is counted in the report
(\`fidelity: strict\` fails the object instead).

## S3-compatible stores

\`provider: auto\` finds the profile by the host name or by what the server calls itself; \`generic\` is the careful one. What a profile leaves open is
measured on a canary at the destination and overrides it: conditional writes, checksums, order of listings, \`.\` in keys, counted tags. Keys take at most
1,024 bytes of UTF-8 and no U+0000 everywhere.

`;

const LEGEND = `
"A look before": the destination is asked just before the write, which another writer can overtake; the report counts such writes as unguarded.
"Multipart too": also when an upload is completed. Copies by the store itself are guarded by a look before on all of them.
`;

const ODDITIES = `## Measured on real servers

\`npm run test:servers\` holds the driver and whole migrations against these; boto3 and rclone are the judges.

### radosgw (Ceph 16.2.15)

| it | so |
|---|---|
| holds every key faithfully | nothing is refused but keys over 1,024 bytes |
| turns \`_\` in names of metadata into \`-\` | sent as \`-\`, and reported as lost \`user_metadata\` of that object |
| loses the tags that an upload in parts brings, and ignores new tags on a copy | tags are set by a request of their own once the object stands |
| ignores the version that a copy is to be made of | the source is looked at again after each copy |
| understands If-Match on writes without quotes only | sent so |
| ignores conditions when an upload is completed | a look before |
| refuses storage classes that its operator did not set up | a class of another provider is reported as lost \`storage_class\`; \`transform: storage_class\` names one of its own |
| verifies no checksum header | bodies are signed or carry MD5, which it verifies; a check reads the object again |
| answers Complete without an ETag | one HEAD tells it |
| refuses streamed bodies with unsigned trailers | never sent to it |

### versitygw 1.8.0 (over a POSIX folder)

| it | so |
|---|---|
| folds \`a//b\` into \`a/b\`, \`/a\` into \`a\`, \`a/./b\` and \`a/../b\` likewise, and overwrites what is there | refused before any request (\`E_NAME_FORBIDDEN\`, \`E_KEY_UNADDRESSABLE\`); never removed either |
| lists U+0001, U+000B, U+FFFE and their like as U+FFFD | as a destination: refused. As a source: the entry is \`E_LIST_LOSSY\`, the others are copied |
| cannot hold \`a\` beside \`a/b\` | the shorter one is \`E_NAME_COLLISION\` in the plan |
| holds no bytes in \`dir/\` | \`E_DIR_MARKER_HAS_DATA\` |
| shows content type \`application/x-directory\` of \`dir/\` | nothing: copied from it like any type |
| cannot copy an empty \`dir/\` by itself | objects of 0 bytes are never copied by the store |
| turns STANDARD_IA into STANDARD | reported as lost \`storage_class\` |
| keeps where each part ended in one attribute of the file, of which ext4 holds 4 KiB in all: completing 768 parts is refused as full | at most 500 parts, so at most 2.44 TiB in one object |
| answers a part of an upload that is gone before it has read it, and closes the connection | tried again; the list of parts then says that it is gone, and the object begins anew |

### SeaweedFS 3.39

| it | so |
|---|---|
| lists folders first, not in byte order, and forgets the prefix when it is to start after a key | the listing is sorted here (on disk); it is never asked to start after a key |
| folds double and leading slashes; cannot give back a key that ends with a slash; refuses \`.\`, \`..\`, control characters | refused before any request |
| takes \`a\` although there is \`a/b\`, and lists it as \`a/a\` | \`E_NAME_COLLISION\` in the plan, from both listings |
| has no conditional writes; verifies no checksum | a look before; a check reads the object again |
| drops Content-Language, and in parts also Cache-Control, Content-Disposition and Expires | reported as lost \`content_headers\` of each such object |
| shows a Content-Disposition (\`inline; filename="…"\`) and guesses a type where nobody sent one | as a source: copied like any header |
| keeps tags percent-encoded when they come with the object | set by a request of their own |
| answers 500 to copies | bytes go through this machine |
| knows every upload, also one that was aborted, and takes parts for it | its list of uploads has the word |
| answers 409 BucketAlreadyExists for one's own bucket; DeleteBucket of a full bucket is done | buckets are looked at before they are made, and never deleted |

### MinIO (2026-02-12)

| it | so |
|---|---|
| refuses double slashes, \`.\` and \`..\` between slashes, 256 bytes between slashes; \`/a\` silently becomes \`a\` | refused before any request |
| stores \`a\` and \`a/b\`, and does not list \`a/b\` | as a destination: \`E_NAME_COLLISION\` in the plan. As a source: **nobody can see \`a/b\`** in its listing; rename \`a\` before you migrate |
| takes the prefix of a list of uploads for a whole key | all uploads of the bucket are listed and sorted out here |
| refuses parts without a checksum in an upload begun with one | checksums go behind the bytes, also in signed bodies; uploads of the store's own copies are begun without |
| refuses more than some 1.8 KB of metadata | \`E_META_TOO_LARGE\` |
| refuses storage classes but its own | as at radosgw |

## File systems

| cannot hold | so |
|---|---|
| empty segments, \`.\`, \`..\`, U+0000 | escaped, reversibly: \`a//b\` is the file \`a/%2F/b\`, \`..\` is \`%2E%2E\`; a name that looks like that gets one more \`25\`. \`filesystem.names: escaped\` reads them back |
| \`a\` beside \`a/b\` | the longer is written, the shorter is \`E_NAME_COLLISION\` |
| a name over 255 bytes, a path over 4,050 | \`E_NAME_TOO_LONG\`, that object alone |
| names that it takes for the same (case, NFC and NFD: found out by a canary) | none of them is written: \`E_NAME_COLLISION\` |
| content headers, user metadata, tags, storage class | reported as lost, object by object |
| bytes under a name that ends with a slash | \`E_DIR_MARKER_HAS_DATA\`; an empty one is a directory |

From a file system to a store: names travel verbatim (one that is not UTF-8 is \`E_NAME_NOT_UTF8\`), mtime and mode as metadata that brings both back,
an empty directory is counted as \`skipped: empty_directory\`. Links and special files: see \`filesystem\` in [the migration file](migration-file.md).

## Metadata values

Printable ASCII travels as it is; other Unicode as one RFC 2047 word, as Amazon S3 shows it itself; leading, trailing or double spaces and
control characters percent-encoded, with the names of these entries in the entry \`brigade-encoded\`.
`;

export function storesPage(): string {
  return `${INTRODUCTION}${table()}
${LEGEND}
${ODDITIES}`;
}
