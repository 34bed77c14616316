/** Broken migration files, by hand: each with the words that its one line must hold. Used by broken-files.test.ts. */
export type Broken = readonly [text: string, expected: RegExp];

/** Nobody may ever see these: they stand in broken files and must not come back in a message. */
export const CANARIES = ['AKIAIOSFODNN7EXAMPLE', 'wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY', 'hunter2-is-not-a-reference', 'FwoGZXIvYXdzEBYaDExampleToken'] as const;
const [ID, SECRET, PASSWORD, TOKEN] = CANARIES;

const ends = 'source: s3://source-bucket/a\ndestination: s3://target-bucket/b\n';
const and = (more: string) => `${ends}${more}\n`;
const src = (keys: string) => `source: { ${keys} }\ndestination: /to\n`;
const dst = (keys: string) => `source: /from\ndestination: { ${keys} }\n`;
const creds = (keys: string) => src(`s3: bucket, credentials: ${keys}`);
const role = (keys: string) => creds(`{ assume_role: { ${keys} } }`);
const ARN = 'role_arn: "arn:aws:iam::123456789012:role/x"';

const syntax: readonly Broken[] = [
  ['', /the file is empty/], ['\n\n# nothing\n', /the file is empty/], ['---\n', /the file is empty/], ['null\n', /the file is empty/],
  ['just a text\n', /not a mapping/], ['- source\n- destination\n', /not a mapping/], ['42\n', /not a mapping/],
  ['source: /a\n\tdestination: /b\n', /tab|indent/], ['limits:\n\tbandwidth: 5 MB/s\n', /tab/],
  [`${ends}---\n${ends}`, /more than one document/], [and('source: /again'), /stands twice/], [and('limits: { requests: 5, requests: 6 }'), /stands twice/],
  ['source: "/a\ndestination: /b\n', /missing|quotes/], ['source: [/a\ndestination: /b\n', /indent|YAML/], ['source: {path: /a\n', /indent|YAML/],
  ['source: /a: /b\n', /second key|YAML/], ['  source: /a\ndestination: /b\n', /indent|YAML/], ['source\ndestination: /b\n', /colon|YAML/],
  [and('limits: *nowhere'), /alias names no anchor/], [and('name: !!js/function "x"'), /! tag/], [and('name: !secret x'), /! tag/], ['source: @a\n', /character|YAML/], ['source: `a`\n', /character|YAML/],
  [and('select: &a { include: [*a] }'), /too deep|alias|YAML/],
  [and(`select:\n  include: &a [x,x,x,x,x,x,x,x,x]\n  exclude: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a]\nbatch: &c [*b,*b,*b,*b,*b,*b,*b,*b,*b]\ntransfer: &d [*c,*c,*c,*c,*c,*c,*c,*c,*c]\nreport: [*d,*d,*d,*d,*d,*d,*d,*d,*d]`), /too large/],
  [and(`limits: ${'{a: '.repeat(40)}1${'}'.repeat(40)}`), /too deep/], [and('<<: { verify: full }'), /merge keys/], [and('__proto__: { verify: full }'), /__proto__/], [and('? [a, b]\n: c'), /not a word/], [and('"": x'), /not a word/],
  ['source: "\\q"\n', /escape/], [`source: /a\u0000b\n`, /not UTF-8 text/], [`#${'x'.repeat(1024 * 1024)}\n`, /larger than 1 MiB/],
];

const shape: readonly Broken[] = [
  ['source: /a\n', /destination: is missing/], ['destination: /b\n', /source: is missing/], ['name: x\n', /source: is missing/], ['source:\ndestination: /b\n', /source: has no value/], ['source: ""\ndestination: /b\n', /source: is empty/],
  ['source: [/a]\ndestination: /b\n', /source: is a list/], [src(''), /source: says no place/], [src('s3: bucket, path: /a'), /stands beside s3/], [src('url: /a, path: /b'), /stands beside path/], [src('url: "s3://bucket", prefix: x'), /prefix: stands beside url/], [src('path: /a, prefix: x'), /add it to the path/],
  [and('limits: 5'), /limits: is a single value where a mapping/], [and('limits:'), /limits: has no value/], [and('limits: [1]'), /limits: is a list where a mapping/], [and('select: { include: "*.jpg" }'), /include: is a single value where a list/], [and('select: { include: [[a]] }'), /include\[0\]: is a list/],
  [and('select: { include: [""] }'), /include\[0\]: is empty/], [and('select: { exclude: ["a\\\\"] }'), /not a whole glob/], [and('select: { exclude: ["./a"] }'), /remove \.\//], [and('select: { exclude: ["{a"] }'), /not a whole glob/], [and('select: { include: ["[z-a]"] }'), /runs backwards; exchange its ends/], [and('select: { exclude: ["x/[!9-0]*"] }'), /runs backwards/],
  [and('transform: { tags: [a] }'), /tags: is a list/], [and('transform: { tags: { set: a } }'), /set: is a single value/], [and('transform: { tags: { set: { a: [b] } } }'), /set\.a: is a list/], [and('verify: { level: full }'), /verify: is a mapping/],
  [and('name: [a]'), /name: is a list/], [and('connections: [a]'), /connections: is a list/], [and('connections: { a: https://x }'), /connections\.a: is a single value/],
];

const words: readonly Broken[] = [
  [and('verfiy: full'), /did you mean verify/], [and('Verify: full'), /did you mean verify/], [and('on-conflict: fail'), /did you mean on_conflict/], [and('exeuctors: 2'), /did you mean executors/], [and('sources: /a'), /did you mean source/],
  [and('bandwidth: 5 MB/s'), /bandwidth belongs under limits/], [and('exclude: [a]'), /exclude belongs under select/], [and('limits: { verify: full }'), /verify belongs at the left margin/], [and('part_size: 8 MiB'), /part_size belongs under transfer/], [and('xyzzy: 1'), /known here: name, connections/],
  ...['acl', 'versions', 'archived', 'schedule', 'scenario', 'portions', 'cutover', 'delete', 'engine', 'environment'].map((key): Broken => [and(`${key}: x`), new RegExp(`${key}: is reserved and not yet supported; remove it`)]),
  [and('options: { parallel: 16 }'), /options: .*limits: \(concurrency/], [and('run: { run_id: a }'), /run: .*brigade run --state/], [and('status: { addr: ":9100" }'), /status: .*brigade status/], [and('output: { brief: true }'), /output: .*-o table/], [and('rate_limit: { read_bps: 209715200 }'), /bandwidth: 200 MiB\/s/],
  [src('s3: bucket, secure: false'), /endpoint: http:\/\//], [src('bucket: x'), /s3: BUCKET/], [src('folder: /x'), /path: DIR/], [src('s3: bucket, verify_ssl: false'), /insecure_tls/], [src('s3: bucket, host: x'), /endpoint: https:\/\/HOST/], [and('to: /x'), /write destination:/],
  [and('compare: size_mtime'), /did you mean size-mtime/], [and('compare: etag'), /not one of auto, size-mtime, checksum/], [and('on_conflict: skip'), /not one of/], [and('source_gone: ignore'), /not one of skip, fail/], [and('verify: true'), /"true" is not one of/],
  [and('fidelity: { tags: strickt }'), /did you mean strict/], [and('fidelity: { acl: strict }'), /fidelity\.acl: is not a known key/], [and('fidelity: strict'), /fidelity: is a single value/], [and('filesystem: { names: escape }'), /did you mean escaped/], [and('report: { format: xml }'), /not one of text, json, csv, ndjson/],
];

/** A window with one line of it replaced or added. */
const slot = (line: string): string => {
  const lines = new Map([['from', 'from: "08:00"'], ['to', 'to: "18:00"'], ['bandwidth', 'bandwidth: 1 MB/s'], [line.split(':')[0] ?? '', line]]);
  return and(`limits:\n  schedule:\n    - ${[...lines.values()].join('\n      ')}`);
};

const values: readonly Broken[] = [
  [and('name: "a/b"'), /is not a name/], [and('name: "a@2"'), /is not a name/], [and('name: ""'), /name: is empty/], [and(`name: ${'x'.repeat(64)}`), /longer than 63/], [and('name:'), /name: has no value/], [and('name: .hidden'), /is not a name/],
  [and('limits: { bandwidth: 50 }'), /not a bandwidth/], [and('limits: { bandwidth: 50 Mbps }'), /50 Mbit\/s/], [and('limits: { bandwidth: 50 Mb/s }'), /no unit of bandwidth/], [and('limits: { bandwidth: -1 MB/s }'), /not a bandwidth/], [and('limits: { bandwidth: 0 MB/s }'), /less than 1 KiB/],
  [and('limits: { requests: 0 }'), /requests per second/], [and('limits: { requests: fast }'), /requests per second/], [and('limits: { concurrency: 0 }'), /out of range/], [and('limits: { concurrency: many }'), /neither auto nor/], [and('limits: { concurrency: 1.5 }'), /not a whole number/], [and('limits: { memory: 1 MiB }'), /too small; write 16 MiB or more/], [and('limits: { memory: lots }'), /not a size/],
  [and('limits: { schedule: { days: mon } }'), /schedule: is a mapping where a list/], [slot('days: overnight'), /schedule\[0\]\.days: has a day that we do not know: overnight; write sun, mon/], [slot('days: mon-fry'), /did you mean fri/], [slot('days: mon-tue-wed'), /no span of days/], [slot('days: ""'), /days/],
  [slot('from: 8'), /from: "8" is not a time of day/], [slot('from: "24:00"'), /no window begins there/], [slot('to: "08:00"'), /to: "08:00" is the same as from/], [slot('to: "24:01"'), /not a time of day/], [slot('to: 18:60'), /not a time of day/], [slot('bandwidth: 0'), /not a bandwidth/], [slot('bandwidth: pauze'), /not a bandwidth/],
  [slot('requests: pause'), /requests per second/], [slot('hours: 8'), /hours: is not a known key/], [and('limits: { schedule: [ { from: "08:00", to: "09:00" } ] }'), /schedule\[0\]: limits nothing; add bandwidth/], [and('limits: { schedule: [ { to: "09:00", requests: 5 } ] }'), /from: is missing/], [and('limits: { timezone: Europe/Berln }'), /did you mean Europe\/Berlin/], [and('limits: { timezone: CEST5 }'), /no time zone that we know/],
  [and('batch: { objects: 0 }'), /out of range/], [and('batch: { objects: 1e3 }'), /not a whole number/], [and('batch: { objects: true }'), /not a whole number/], [and('batch: { bytes: 1 }'), /too small/], [and('batch: { seconds: -5 }'), /not a whole number/], [and('executors: -1'), /not a whole number/], [and('executors: all'), /neither auto/],
  [and('transfer: { part_size: 1 MiB }'), /5 MiB or more/], [and('transfer: { part_size: 6 GiB }'), /5 GiB or less/], [and('transfer: { part_size: 8M }'), /no unit of size/], [and('transfer: { stall_timeout: 30 }'), /not a duration/], [and('transfer: { stall_timeout: 1ms }'), /too short/], [and('transfer: { server_side_copy: always }'), /not one of auto, never/], [and('transfer: { single_copy_limit: 1 TiB }'), /5 GiB or less/],
  [and('create_bucket: yes'), /neither true nor false; write true/], [and('requester_pays: 1'), /write true/], [and('allow_archived: maybe'), /write true or false/],
  [and('select: { min_size: 5 MB, max_size: 1 MB }'), /less than min_size/], [and('select: { modified_after: tomorrow }'), /not a date or an age/], [and('select: { modified_after: 2026-02-30 }'), /does not exist/], [and('select: { modified_before: 2026-01-01T00:00:00 }'), /no time zone/], [and('select: { modified_after: 2026-06-01, modified_before: 2026-01-01 }'), /lies before modified_after/], [and('select: { modified_after: 7d, modified_before: 30d }'), /lies before modified_after/], [and('select: { min_age: 5 }'), /not a duration/],
  [and('transform: { tags: { set: { "aws:x": y } } }'), /AWS keeps/], [and('transform: { tags: { set: { a: "x;y" } } }'), /not a tag value/], [and('transform: { tags: { set: { "a*": x } } }'), /not a tag key/], [and(`transform: { tags: { set: { ${Array.from({ length: 11 }, (_, i) => `k${i}: v`).join(', ')} } } }`), /11 entries, more than 10/], [and(`transform: { tags: { set: { a: ${'x'.repeat(257)} } } }`), /longer than 256/],
  [and('transform: { metadata: { set: { x-amz-meta-a: b } } }'), /remove x-amz-meta-/], [and('transform: { metadata: { set: { UPPER: b } } }'), /lower-case/], [and(`transform: { metadata: { set: { a: ${'x'.repeat(2048)} } } }`), /2049 bytes/], [and('transform: { storage_class: standard }'), /not a storage class/],
  ...([['../src/sub/', /\.\./], ['a/../../b/', /\.\./], ['./', /\.\./], ['..', /does not end with a slash/], ['/abs/', /empty name/], ['a//b/', /empty name/], ['/', /empty name/], ['2024-', /write 2024-\//], ['.brigade/', /keeps for itself/], [`${'x'.repeat(256)}/`, /255 bytes/], ['a\\0/', /NUL/]] as const).map(([prefix, expected]): Broken => [`source: /from\ndestination: /to\ntransform: { key_prefix: "${prefix}" }\n`, expected]),
];

const places: readonly Broken[] = [
  ['source: s3://\ndestination: /b\n', /names no bucket/], ['source: s3://x\ndestination: /b\n', /does not name a bucket/], ['source: s3:/bucket\ndestination: /b\n', /neither a URL nor a path/], ['source: s4://bucket\ndestination: /b\n', /did you mean s3/], ['source: https://host/bucket\ndestination: /b\n', /under endpoint:/], ['source: ftp://host/x\ndestination: /b\n', /not supported/],
  [src('s3: a/b'), /holds a \//], [src('s3: "bu cket"'), /does not name a bucket/], [src('s3: ""'), /names no bucket/], [src(`s3: bucket, prefix: ${'x'.repeat(1024)}`), /longer than a key/], ['source: ~/data\ndestination: /b\n', /only a shell expands/], ['source: $HOME/data\ndestination: /b\n', /write \$\{NAME\}/], ['source: file://host/x\ndestination: /b\n', /names a host/],
  ['source: synthetic://?count=x\ndestination: /b\n', /count that is not a whole number/], ['source: synthetic://?keys=1\ndestination: /b\n', /other than count, seed/], ['source: /a\ndestination: synthetic://?count=1\n', /read-only/], ['source: memory://\ndestination: /b\n', /no usable name/], [src('path: "s3://bucket"'), /write it under url/],
  [src('path: /a, endpoint: "https://x"'), /endpoint: has no meaning/], [src('path: /a, listing: ./keys.csv'), /listing: has no meaning/], [src('s3: bucket, listing: ./keys.txt'), /not a listing that can be read; name a \.csv/], [src('s3: bucket, listing: ./inventory.parquet'), /not a listing/], [src('path: /a, credentials: default'), /credentials: has no meaning/], [dst('path: /b, sse: AES256'), /sse: has no meaning/], [dst('path: /b, storage_class: GLACIER'), /storage_class: has no meaning/], ['source: /a\ndestination: /b\ncreate_bucket: true\n', /create_bucket: has no meaning/], ['source: /a\ndestination: /b\nrequester_pays: true\n', /requester_pays: has no meaning/],
  [dst('s3: bucket, kms_key_id: k'), /without sse: aws:kms/], [dst('s3: bucket, sse: kms'), /did you mean aws:kms|not one of none/], [src('s3: bucket, sse: AES256'), /sse: is not a known key/], [src('s3: bucket, connection: x'), /no entry under connections; add it/], [`connections: { archive: {} }\n${src('s3: bucket, connection: archvie')}`, /did you mean archive/], [`connections: { a: {} }\n${src('s3: bucket, connection: a, region: eu')}`, /region: stands beside connection: a/],
  [src('s3: bucket, endpoint: "host:9000"'), /not the URL of a server/], [src('s3: bucket, endpoint: "ftp://host"'), /not the URL of a server/], [src('s3: bucket, endpoint: "https://host/bucket"'), /more than the address/], [src('s3: bucket, endpoint: "https://host?x=1"'), /more than the address/], [src('s3: bucket, proxy: proxy'), /not the URL of a proxy/], [src('s3: bucket, region: "eu west"'), /not a region/], [src('s3: bucket, provider: amazon'), /not one of auto, aws/], [src('s3: bucket, provider: mino'), /did you mean minio/],
  [src('s3: bucket, path_style: yes'), /not one of auto, true, false/], [src('s3: bucket, insecure_tls: on'), /write true/], [src('s3: bucket, checksum: crc64'), /did you mean crc64nvme/], [src('s3: bucket, payload_signing: never'), /not one of/], [src('s3: bucket, lanes: no'), /not one of auto, always, never/],
];

const variables: readonly Broken[] = [
  ['source: ${NOT_SET}\ndestination: /b\n', /variable NOT_SET, which is not set; export NOT_SET/], ['source: "${NOT_SET:?the export folder}"\ndestination: /b\n', /NOT_SET, which is not set: the export folder/], ['source: "${X"\ndestination: /b\n', /without its \}/], ['source: "${}"\ndestination: /b\n', /not understood/], ['source: "${a b}"\ndestination: /b\n', /not understood/], ['source: "${A:-${B}}"\ndestination: /b\n', /nests/], ['source: "${X:-}"\ndestination: /b\n', /source: is missing/], ['source: "${SET_EMPTY}"\ndestination: /b\n', /is empty/],
];

const secrets: readonly Broken[] = [
  [creds(ID), /inline value/], [creds(`"${ID}:${SECRET}"`), /inline value/], [creds(`{ access_key_id: ${ID}, secret_access_key: "env:X" }`), /access_key_id: holds an inline value/], [creds(`{ access_key_id: "env:X", secret_access_key: "${SECRET}" }`), /secret_access_key: holds an inline value/], [creds(`{ access_key_id: "env:X", secret_access_key: ${PASSWORD} }`), /write env:NAME/],
  [creds(`{ access_key_id: "env:X", secret_access_key: "env:${SECRET}" }`), /without a usable name/], [creds(`{ access_key_id: "env:X", secret_access_key: "env:Y", session_token: ${TOKEN} }`), /session_token: holds an inline/], [creds(`{ access_key_id: "env:X", secret_access_key: ["${SECRET}"] }`), /is a list/], [creds(`{ access_key_id: "env:X", secret: "${SECRET}" }`), /each as env:NAME/], [creds(`{ access_key_id: "env:X", secret_access_key: "\${X:-${PASSWORD}}" }`), /only a plain/],
  [src(`s3: bucket, access_key: ${ID}`), /access_key: .*write credentials:/], [src(`s3: bucket, secret_key: "${SECRET}"`), /secret_key: .*write credentials:/], [src(`s3: bucket, password: ${PASSWORD}`), /write credentials:/], [src(`s3: bucket, endpoint: "https://${ID}:${PASSWORD}@host"`), /credentials inside the URL/], [src(`s3: bucket, proxy: "http://me:${PASSWORD}@proxy:3128"`), /credentials inside the URL/], [`source: s3://${ID}:${PASSWORD}@bucket/x\ndestination: /b\n`, /never holds credentials/], [`source: "s3://${ID}:${SECRET}@bucket/x"\ndestination: /b\n`, /does not name a bucket|never holds/],
  [and(`"${ID}": x`), /is not a known key/], [and(`name: "${SECRET}"`), /is not a name/], [and(`limits: { bandwidth: "${SECRET}" }`), /not a bandwidth/], [`connections: { c: { credentials: ${PASSWORD} } }\n${ends}`, /connections\.c\.credentials: holds an inline/], [`source: {s3: bucket, secret_key: "${SECRET}\n`, /missing|YAML/], [`source: {s3: bucket}\n secret_key: "${SECRET}"\n`, /YAML|indent/],
  [creds('"env:"'), /without a usable name/], [creds('"env:A-B"'), /write env:NAME/], [creds('"profile:"'), /write profile:NAME/], [creds('"file:"'), /write file:PATH/], [creds('"aws-sm:a#b"'), /names one JSON key/], [creds('"aws-sm:"'), /write aws-sm:NAME/], [creds('"vault:secret/x"'), /inline value/], [creds('{ access_key_id: "env:X" }'), /secret_access_key: is missing/], [creds('{ secret_access_key: "env:X" }'), /access_key_id: is missing/], [creds('{}'), /access_key_id: is missing/], [creds('[default]'), /credentials: is a list/], [creds('"prefix${X}"'), /only a plain/],
  [role(''), /role_arn: is missing/], [role('role_arn: admin'), /not the ARN of a role/], [role(`${ARN}, duration: 5m`), /outside of what STS grants/], [role(`${ARN}, duration: 13h`), /outside of what STS grants/], [role(`${ARN}, base: anonymous`), /nobody can assume/], [role(`${ARN}, base: ${PASSWORD}`), /base: holds an inline/], [role(`${ARN}, duration: 2h, base: { assume_role: { ${ARN} } }`), /more than the hour/], [creds(`{ access_key_id: "env:X", secret_access_key: "env:Y", assume_role: { ${ARN} } }`), /stands beside assume_role/], [role(`${ARN}, role_session_name: x`), /did you mean session_name/],
];

export const BROKEN: readonly Broken[] = [...syntax, ...shape, ...words, ...values, ...places, ...variables, ...secrets];
