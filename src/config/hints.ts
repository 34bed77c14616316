/** What to say about a key that is not in the schema. */
import * as z from 'zod';
import { nearestWord } from './nearest.ts';
import { Problem, showPath } from './problem.ts';
import { migration } from './schema/migration.ts';

/** Names kept for what is planned, so that no file of today changes its meaning tomorrow. */
export const RESERVED = ['acl', 'versions', 'archived', 'schedule', 'scenario', 'portions', 'cutover', 'delete', 'engine', 'environment'] as const;

const KEYS_FIX = 'write credentials: with access_key_id: and secret_access_key:, each as env:NAME, file:PATH, aws-sm:NAME#key or aws-ssm:NAME';

/** Words of other tools (S2.4 among them) → where the thing stands here. */
const ELSEWHERE: Readonly<Record<string, string>> = {
  access_key: KEYS_FIX, access_key_id: KEYS_FIX, accesskey: KEYS_FIX, accesskeyid: KEYS_FIX, aws_access_key_id: KEYS_FIX,
  secret_key: KEYS_FIX, secret: KEYS_FIX, secretkey: KEYS_FIX, secret_access_key: KEYS_FIX, secretaccesskey: KEYS_FIX, aws_secret_access_key: KEYS_FIX,
  session_token: KEYS_FIX, token: KEYS_FIX, password: KEYS_FIX,
  profile: 'write credentials: profile:NAME', role_arn: 'write credentials: with assume_role: and role_arn: below it',
  secure: 'write endpoint: http://… for a store without TLS, https://… for one with',
  use_ssl: 'write endpoint: http://… or https://…', ssl: 'write endpoint: http://… or https://…', tls: 'write endpoint: http://… or https://…',
  verify_ssl: 'write insecure_tls: true for a laboratory', no_verify_ssl: 'write insecure_tls: true for a laboratory',
  bucket: 'write s3: BUCKET', container: 'write s3: BUCKET', host: 'write endpoint: https://HOST', endpoint_url: 'write endpoint: URL',
  dir: 'write path: DIR', directory: 'write path: DIR', folder: 'write path: DIR', file: 'write path: DIR',
  options: 'write limits: (concurrency, bandwidth, requests), batch: or transfer: at the left margin', parallel: 'write limits: concurrency: N', parallelism: 'write limits: concurrency: N',
  workers: 'write executors: N', threads: 'write limits: concurrency: N', transfers: 'write limits: concurrency: N',
  rate_limit: 'write limits: bandwidth: 200 MiB/s or requests: 500/s', read_bps: 'write limits: bandwidth: 200 MiB/s', rps: 'write limits: requests: 500/s', bwlimit: 'write limits: bandwidth: 50 Mbit/s',
  run: 'write name: for the run\'s id and brigade run --state DIR for its state', run_id: 'write name: NAME', state_path: 'use brigade run --state DIR',
  status: 'use brigade status, or brigade run --progress', output: 'use brigade run -o table|json|ndjson', brief: 'use brigade run --progress plain',
  drain_timeout: 'the first Ctrl-C drains for 15 s by itself; remove it', from: 'write source:', to: 'write destination:', src: 'write source:', dst: 'write destination:', dest: 'write destination:', target: 'write destination:',
  tag: 'write transform: tags: set:', filter: 'write select: include: and exclude:', filters: 'write select: include: and exclude:', update: 'write on_conflict: skip-newer',
  chunk_size: 'write transfer: part_size: SIZE', upload_concurrency: 'write transfer: part_concurrency: N', batch_size: 'write batch: objects: N',
};

/** The problem of one unknown key. */
export function unknownKey(path: readonly PropertyKey[], key: string): Problem {
  if (path.length === 0 && (RESERVED as readonly string[]).includes(key)) return new Problem('is reserved and not yet supported', 'remove it', 'key');
  return new Problem('is not a known key', fixFor(path, key), 'key');
}

function fixFor(path: readonly PropertyKey[], key: string): string {
  const siblings = keysAt(path);
  const near = nearestWord(key, siblings);
  const folded = key.toLowerCase().replaceAll('-', '_');
  const moved = Object.hasOwn(ELSEWHERE, folded) ? ELSEWHERE[folded] : undefined;
  if (moved !== undefined && !sameButCase(near, folded)) return moved;
  if (near !== undefined) return `did you mean ${near}?`;
  const other = placesOf(folded).find((place) => place.length !== path.length || place.some((step, i) => step !== path[i]));
  if (other !== undefined) return `${folded} belongs ${other.length === 0 ? 'at the left margin' : `under ${showPath(other)}`}`;
  return `known here: ${siblings.join(', ')}`;
}

function sameButCase(near: string | undefined, key: string): boolean {
  return near !== undefined && near === key;
}

/** The keys that the schema knows at a path; none where the operator chooses them. */
export function keysAt(path: readonly PropertyKey[]): string[] {
  let schema: z.core.$ZodType = migration;
  for (const step of path) schema = child(unwrap(schema), step) ?? z.never();
  const here = unwrap(schema);
  return here instanceof z.ZodObject ? Object.keys(here.shape) : [];
}

function child(schema: z.core.$ZodType, step: PropertyKey): z.core.$ZodType | undefined {
  if (schema instanceof z.ZodObject) return schema.shape[String(step)] as z.core.$ZodType | undefined;
  if (schema instanceof z.ZodRecord) return schema.valueType;
  return schema instanceof z.ZodArray ? schema.element : undefined;
}

/** Through defaults and options to the mapping; of a union (short form, mapping) the mapping. */
function unwrap(schema: z.core.$ZodType): z.core.$ZodType {
  if (schema instanceof z.ZodOptional || schema instanceof z.ZodPrefault || schema instanceof z.ZodDefault) return unwrap(schema.unwrap());
  if (schema instanceof z.ZodUnion) return unwrap(schema.options.at(-1) ?? schema.options[0] as z.core.$ZodType);
  return schema;
}

function placesOf(key: string): string[][] {
  const sections = [[], ...Object.keys(migration.shape).map((name) => [name]), ['transform', 'tags'], ['transform', 'metadata']];
  return sections.filter((section) => keysAt(section).includes(key));
}
