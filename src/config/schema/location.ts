import * as z from 'zod';
import { parseValueRef, parseWholeRef } from '../credential-ref.ts';
import { checkBucket, checkPrefix } from '../location.ts';
import { CHECKSUM_MODES, LANE_MODES, PROVIDERS } from '../migration.ts';
import { Problem } from '../problem.ts';
import { autoOrYesNo, choice, duration, scalar, text, yesNo } from './scalars.ts';

const valueRef = () => scalar(parseValueRef, {
  'x-type': '`env:NAME`, `file:PATH`, `aws-sm:NAME#key`, `aws-ssm:NAME`', type: 'string', pattern: '^(env:|file:|aws-sm:|aws-ssm:|\\$\\{)',
});

const wholeRef = scalar(parseWholeRef, {
  'x-type': 'a reference such as env:PREFIX or profile:NAME', type: 'string', pattern: '^(default$|anonymous$|env:|file:|profile:|aws-sm:|aws-ssm:|\\$\\{)',
});

const DURATION_RANGE = { least: 15 * 60e3, most: 12 * 3600e3 };

const assumeRole = z.strictObject({
  role_arn: text({ type: 'role ARN', pattern: /^arn:[\w-]+:iam::\d{12}:role\/[\w+=,.@/-]+$/, what: 'is not the ARN of a role', fix: 'write arn:aws:iam::123456789012:role/name' })
    .meta({ description: 'Role to assume.', examples: ['arn:aws:iam::123456789012:role/migration'] }),
  external_id: text({ most: 1224 }).optional().meta({ description: 'External id that the trust policy of the role asks for.' }),
  session_name: text({ most: 64, pattern: /^[\w+=,.@-]{2,64}$/, what: 'is not a session name', fix: 'write letters, digits and =,.@-' })
    .prefault('bucket-brigade').meta({ description: 'Shown in the audit log of the account.' }),
  duration: duration().prefault('1h').refine((ms) => ms >= DURATION_RANGE.least && ms <= DURATION_RANGE.most, {
    params: { problem: new Problem('is outside of what STS grants', 'write 15m to 12h (1h at most when the base is itself a role)') },
  }).meta({ description: 'Life of one session, 15m–12h. It is renewed by itself, 15 minutes before its end.', examples: ['1h'] }),
  get base() {
    return credentials.optional().meta({ description: 'Credentials that assume the role; by default the default chain.' });
  },
}).meta({ title: 'Assumed role', description: 'A role assumed over other credentials.' });

const credentialMapping = z.strictObject({
  access_key_id: valueRef().optional().meta({ description: 'Reference to the access key id.', examples: ['env:SOURCE_KEY_ID'] }),
  secret_access_key: valueRef().optional().meta({ description: 'Reference to the secret access key.', examples: ['file:/run/secrets/source'] }),
  session_token: valueRef().optional().meta({ description: 'Reference to the session token of temporary credentials.', examples: ['env:SOURCE_TOKEN'] }),
  assume_role: assumeRole.optional(),
}).meta({ title: 'Credentials by part', description: 'Either the keys, each as a reference, or `assume_role`.' });

export const credentials = z.union([wholeRef, credentialMapping]).meta({
  id: 'credentials',
  title: 'Credentials',
  'x-type': 'reference, or mapping',
  description: 'A reference, never the secret itself: `default` (the AWS default chain), `anonymous`, `env:PREFIX` (reads PREFIX_ACCESS_KEY_ID, '
    + 'PREFIX_SECRET_ACCESS_KEY and, if set, PREFIX_SESSION_TOKEN), `profile:NAME`, or a JSON document in `file:PATH` (mode 0600), `aws-sm:NAME` or `aws-ssm:NAME`.',
  examples: ['env:SOURCE', 'profile:archive', 'aws-sm:/migration/source'],
});

const httpUrl = (what: string, example: string) => scalar((value) => {
  const url = URL.parse(value);
  if (url === null || !/^https?:$/.test(url.protocol)) throw new Problem(`is not the URL of ${what}`, `write it with its scheme, such as ${example}`, 'key');
  if (url.username !== '' || url.password !== '') throw new Problem('holds credentials inside the URL', 'write the URL without them and a reference under credentials:', 'key');
  if (url.pathname !== '/' || url.search !== '' || url.hash !== '') throw new Problem(`is more than the address of ${what}`, `write only scheme, host and port, such as ${example}`, 'key');
  return url.origin;
}, { 'x-type': 'URL', type: 'string', examples: [example] });

/**
 * Settings of a connection; the same keys stand in a location or under a name in `connections`. Their defaults are filled in by
 * resolve.ts: only an absent key tells a location with settings of its own from one that names its connection.
 */
const connectionKeys = {
  endpoint: httpUrl('a server', 'https://s3.example.com:9000').optional()
    .meta({ description: 'Address of an S3-compatible store. Without it: AWS. Write `http://` for a store without TLS.', examples: ['https://s3.eu-de.cloud-object-storage.appdomain.cloud'] }),
  region: text({ type: 'region', most: 64, pattern: /^[a-z0-9][a-z0-9-]*$/i, what: 'is not a region', fix: 'write a region such as eu-central-1' }).optional()
    .meta({ description: 'Region for signing; found out from the bucket where the store says it.', examples: ['eu-central-1'] }),
  provider: choice(PROVIDERS).optional().meta({ default: 'auto', description: 'Which profile of limits and abilities applies; `auto` goes by the endpoint and by probing.' }),
  path_style: autoOrYesNo().optional().meta({ default: 'auto', description: '`true`: `https://host/bucket/key`, `false`: `https://bucket.host/key`.' }),
  ca_file: text({ type: 'path' }).optional().meta({ description: 'PEM file of certificate authorities trusted beside the built-in ones.', examples: ['./ca.pem'] }),
  insecure_tls: yesNo().optional().meta({ default: 'false', description: 'Do not check the certificate of the server. For a laboratory only.' }),
  proxy: httpUrl('a proxy', 'http://proxy.example.com:3128').optional().meta({ description: 'HTTP proxy for this connection.', examples: ['http://proxy.example.com:3128'] }),
  payload_signing: choice(['auto', 'signed', 'unsigned']).optional().meta({ default: 'auto', description: '`auto` signs bodies on plain HTTP and leaves them to TLS otherwise.' }),
  compression: choice(['off', 'auto']).optional().meta({ default: 'off', description: 'To and from a `brigade agent`: `auto` compresses bodies on the wire (zstd) where a sample shows that it helps; they are decoded and checked before they are stored. For thin links: on fast ones it costs more than it saves. No other store is spoken to differently.' }),
  checksum: choice(CHECKSUM_MODES).optional().meta({ default: 'auto', description: 'Checksum sent with every write; `auto` takes the best that the store keeps.' }),
  lanes: choice(LANE_MODES).optional().meta({ default: 'auto', description: 'Own HTTP/1.1: `auto` for objects and their parts, `always` for every request, `never` leaves everything to the general client, as a proxy does.' }),
  credentials: credentials.optional().meta({ default: 'default', description: 'Reference to the credentials; see [Credentials](#credentials). Without it: the AWS default chain.', examples: ['env:SOURCE', 'profile:archive'] }),
};

export const connection = z.strictObject(connectionKeys).meta({ id: 'connection', title: 'Connection', description: 'How to reach a store, by a name that locations share.' });

const placeKeys = {
  s3: scalar(checkBucket, { 'x-type': 'bucket name', type: 'string', minLength: 3 }).optional().meta({ description: 'Bucket of an S3-compatible store.', examples: ['media-archive'] }),
  prefix: scalar(checkPrefix, { 'x-type': 'text', type: 'string' }).optional()
    .meta({ 'x-default': 'the whole bucket', description: 'Only keys below this folder, with `s3`. `logs` means `logs/`: it does not take `logs-archive/` along.', examples: ['2024/'] }),
  path: text({ type: 'path' }).optional().meta({ description: 'Directory on this machine, relative to the folder of the migration file.', examples: ['/srv/export'] }),
  url: text({ type: 'URL' }).optional().meta({ description: 'The same in one word: `s3://bucket/prefix`, `file:///dir`, `synthetic://?count=1000&seed=1&size=4096`.', examples: ['s3://media-archive/2024/'] }),
  connection: text({ type: 'name' }).optional().meta({ description: 'Name of an entry under `connections`, instead of the settings below.', examples: ['archive'] }),
};

const shorthand = text({ type: 's3://bucket/prefix or a path' });

const STORAGE_CLASS = { type: 'storage class', most: 64, pattern: /^[A-Z][A-Z0-9_-]*$/, what: 'is not a storage class', fix: 'write it as the store does, such as STANDARD_IA' };
export const storageClass = () => text(STORAGE_CLASS);

const sourceMapping = z.strictObject({
  ...placeKeys, ...connectionKeys,
  listing: text({ type: 'path', pattern: /(?:\.(?:csv|jsonl)(?:\.gz)?|manifest\.json)$/i, what: 'is not a listing that can be read', fix: 'name a .csv or .jsonl file (also .gz), or the manifest.json of an S3 Inventory' })
    .optional().meta({ 'x-default': 'the store is listed', description: 'With `s3`: a file that names the objects, instead of asking the store. CSV with a first row of names, or JSON by line: `key` (whole), and if known `size`, `etag`, `last_modified`, `storage_class`; '
      + 'or the `manifest.json` of an S3 Inventory (CSV or Parquet), beside its files or, as `s3://bucket/…/manifest.json`, where S3 put it: its files are then fetched one by one to the temporary folder (`TMPDIR`). All are held against the sizes and MD5s of the manifest; rows of old versions and delete markers are left out. What is not said costs a HEAD for each object. Sizes and ETags may be old: an object that has changed is copied as it is now, one that is gone is skipped, a new one is not seen. The file must not change while a run is unfinished.', examples: ['./keys.csv', './inventory/2026-11-20T01-00Z/manifest.json', 's3://inventories/media-archive/all/2026-11-20T01-00Z/manifest.json'] }),
  listing_connection: text({ type: 'name' }).optional().meta({ 'x-default': 'that of the source', description: 'Name of an entry under `connections`: how to reach the bucket of a `listing` that is in one.', examples: ['archive'] }),
});
const destinationMapping = z.strictObject({
  ...placeKeys,
  ...connectionKeys,
  sse: choice(['none', 'AES256', 'aws:kms']).prefault('none').meta({ description: 'Encryption at rest asked for with every write; `none` leaves it to the bucket.' }),
  kms_key_id: text({ most: 2048, type: 'key id or ARN' }).optional().meta({ description: 'KMS key, with `sse: aws:kms`; without it the key of the bucket.', examples: ['alias/archive'] }),
  storage_class: storageClass().optional().meta({ description: 'Storage class for objects whose source says none, or one that this store does not know.', examples: ['STANDARD_IA'] }),
});

const LOCATION = 'One of `s3`, `path` or `url`, and how to reach it: inline settings or `connection`. In short form just the URL or path.';

export const source = z.union([shorthand, sourceMapping]).meta({ title: 'Source', 'x-type': 'URL, path, or mapping', description: `The store that is read, never written. ${LOCATION}`, examples: ['s3://media-archive/2024/'] });
export const destination = z.union([shorthand, destinationMapping]).meta({ title: 'Destination', 'x-type': 'URL, path, or mapping', description: `The store that is written. ${LOCATION}`, examples: ['/srv/import'] });

export type ConnectionInput = z.output<typeof connection>;
export type CredentialsInput = z.output<typeof credentials>;
export type LocationInput = z.output<typeof destinationMapping>;
