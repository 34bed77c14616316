/** From a reference to the text it stands for. What was read is never put into a message. */
import { BrigadeError, oneLine } from '../core/errors.ts';
import { Secret } from '../core/secret.ts';
import type { Credentials } from '../ports/credentials.ts';
import type { AwsReader } from './credential-aws.ts';
import type { Environment } from './expand.ts';
import type { KeysRef, ValueRef } from './migration.ts';
import { readPrivateFile } from './private-file.ts';

export interface ValueReaders {
  readonly env: Environment;
  readonly aws: AwsReader;
}

/** Premise E_CREDENTIALS: nothing can be read or written until the operator acts. */
export function credentialError(message: string, hint: string, cause?: unknown): BrigadeError {
  return new BrigadeError({ code: 'E_CREDENTIALS', kind: 'premise', message: oneLine(message), hint, ...(cause === undefined ? {} : { cause }) });
}

export function showRef(ref: ValueRef): string {
  if (ref.from === 'file') return `file:${ref.path}`;
  return `${ref.from}:${ref.name}${ref.from === 'aws-sm' && ref.jsonKey !== undefined ? `#${ref.jsonKey}` : ''}`;
}

/** The value, trimmed; undefined only for an optional variable that is not set. */
export async function readValue(ref: ValueRef, readers: ValueReaders): Promise<string | undefined> {
  return checked(ref, await readRaw(ref, readers));
}

/** The same at once, of a variable or a file. */
export function readValueHere(ref: HereRef, env: Environment): string | undefined {
  return checked(ref, readHere(ref, env));
}

function checked(ref: ValueRef, text: string | undefined): string | undefined {
  const value = text?.trim();
  if (value === '' && !(ref.from === 'env' && ref.optional === true)) throw credentialError(`${showRef(ref)} is empty`, 'put the credential there');
  return value === '' ? undefined : value;
}

export type HereRef = ValueRef & { readonly from: 'env' | 'file' };

function readHere(ref: HereRef, env: Environment): string | undefined {
  if (ref.from === 'env') return readVariable(ref, env);
  return readPrivateFile(ref.path, (what, fix, cause) => credentialError(`file:${ref.path} ${what}`, fix, cause));
}

async function readRaw(ref: ValueRef, readers: ValueReaders): Promise<string | undefined> {
  switch (ref.from) {
    case 'env': case 'file': return readHere(ref, readers.env);
    case 'aws-ssm': return readers.aws.parameter(ref.name);
    case 'aws-sm': {
      const text = await readers.aws.secret(ref.name);
      return ref.jsonKey === undefined ? text : jsonKey(text, ref.jsonKey, showRef(ref));
    }
  }
}

function readVariable(ref: ValueRef & { from: 'env' }, env: Environment): string | undefined {
  const value = env[ref.name];
  if (value === undefined && ref.optional !== true) throw credentialError(`the variable ${ref.name} is not set`, `export ${ref.name}`);
  return value;
}

function jsonKey(text: string, key: string, shown: string): string {
  const value = jsonObject(text, shown)[key];
  if (typeof value !== 'string') throw credentialError(`${shown}: the secret has no text under that key`, 'check the key after the #');
  return value;
}

function jsonObject(text: string, shown: string): Readonly<Record<string, unknown>> {
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Record<string, unknown>;
  } catch {
    // The parser's message quotes the text, which is the secret: only ours is shown.
  }
  throw credentialError(`${shown} does not hold a JSON object`, 'store {"access_key_id": "…", "secret_access_key": "…"}');
}

/** A whole set in one JSON document, in our spelling, that of `aws sts` or that of the console. */
export function parseDocument(text: string, shown: string): Credentials {
  const document = jsonObject(text, shown);
  const folded = new Map(Object.entries(document).map(([key, value]) => [key.toLowerCase().replaceAll('_', '').replace(/^aws/, ''), value]));
  const pick = (key: string) => {
    const value = folded.get(key);
    return typeof value === 'string' && value !== '' ? value : undefined;
  };
  const id = pick('accesskeyid');
  const secret = pick('secretaccesskey');
  if (id === undefined || secret === undefined) throw credentialError(`${shown} lacks access_key_id or secret_access_key`, 'store {"access_key_id": "…", "secret_access_key": "…"}');
  const expires = Date.parse(pick('expiration') ?? '');
  return credentials(id, secret, pick('sessiontoken'), Number.isNaN(expires) ? undefined : expires);
}

export async function readKeys(ref: KeysRef, readers: ValueReaders): Promise<Credentials> {
  const id = await readValue(ref.accessKeyId, readers);
  const secret = await readValue(ref.secretAccessKey, readers);
  const token = ref.sessionToken === undefined ? undefined : await readValue(ref.sessionToken, readers);
  if (id === undefined || secret === undefined) throw credentialError(`${showRef(ref.accessKeyId)} is empty`, 'put the credential there');
  return credentials(id, secret, token, undefined);
}

export function credentials(id: string, secret: string, token: string | undefined, expiresAtMs: number | undefined): Credentials {
  return {
    accessKeyId: id,
    secretAccessKey: new Secret(secret),
    ...(token === undefined ? {} : { sessionToken: new Secret(token) }),
    ...(expiresAtMs === undefined ? {} : { expiresAtMs }),
  };
}
