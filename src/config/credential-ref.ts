/** How a credential reference is written. Nothing here ever repeats the text it refuses: it may be the secret itself. */
import type { CredentialRef, ValueRef } from './migration.ts';
import { Problem } from './problem.ts';

export const WHOLE_FIX = 'write default, anonymous, env:PREFIX, file:PATH, profile:NAME, aws-sm:NAME or aws-ssm:NAME';
export const VALUE_FIX = 'write env:NAME, file:PATH, aws-sm:NAME#json-key or aws-ssm:NAME';
const VARIABLE_NAME = /^[A-Za-z_][A-Za-z0-9_]*$/;

/** `env:NAME`, `file:PATH`, `aws-sm:NAME[#json-key]`, `aws-ssm:NAME`: where one value stands. */
export function parseValueRef(text: string): ValueRef {
  const ref = valueRef(text);
  if (ref === undefined) throw new Problem('holds an inline value, not a reference', VALUE_FIX, 'key');
  return ref;
}

/** A whole set of credentials: a reference to a document, a profile, the default chain, or none. */
export function parseWholeRef(text: string): CredentialRef {
  if (text === 'default' || text === 'anonymous') return { kind: text };
  const [scheme, name] = split(text);
  if (scheme === 'profile') return { kind: 'profile', name: named(name, /^[^\s/\\][^\r\n]{0,127}$/, 'profile:NAME') };
  const ref = valueRef(text);
  if (ref === undefined) throw new Problem('holds an inline value, not a reference', WHOLE_FIX, 'key');
  if (ref.from === 'env') return environmentKeys(ref.name);
  if (ref.from === 'aws-sm' && ref.jsonKey !== undefined) {
    throw new Problem('names one JSON key of a secret where a whole set is expected', 'drop the #json-key, or write access_key_id and secret_access_key each', 'key');
  }
  return { kind: 'document', ref };
}

/** `env:P` as a whole set reads P_ACCESS_KEY_ID, P_SECRET_ACCESS_KEY and, if set, P_SESSION_TOKEN. */
export function environmentKeys(prefix: string): CredentialRef {
  return {
    kind: 'keys',
    accessKeyId: { from: 'env', name: `${prefix}_ACCESS_KEY_ID` },
    secretAccessKey: { from: 'env', name: `${prefix}_SECRET_ACCESS_KEY` },
    sessionToken: { from: 'env', name: `${prefix}_SESSION_TOKEN`, optional: true },
  };
}

function valueRef(text: string): ValueRef | undefined {
  const [scheme, name] = split(text);
  if (scheme === 'env') return { from: 'env', name: named(name, VARIABLE_NAME, 'env:NAME') };
  if (scheme === 'file') return { from: 'file', path: named(name.replace(/^\/\/(?=\/)/, ''), /^[^\r\n]{1,1024}$/, 'file:PATH') };
  if (scheme === 'aws-ssm') return { from: 'aws-ssm', name: named(name, /^[\w.\-/:]{1,1011}$/, 'aws-ssm:NAME') };
  return scheme === 'aws-sm' ? secretsManagerRef(name) : undefined;
}

function secretsManagerRef(text: string): ValueRef {
  const hash = text.lastIndexOf('#');
  const name = named(hash < 0 ? text : text.slice(0, hash), /^[\w/+=.@:-]{1,2048}$/, 'aws-sm:NAME');
  if (hash < 0) return { from: 'aws-sm', name };
  return { from: 'aws-sm', name, jsonKey: named(text.slice(hash + 1), /^[^\s#]{1,128}$/, 'aws-sm:NAME#json-key') };
}

function split(text: string): [scheme: string, name: string] {
  const colon = text.indexOf(':');
  return colon < 0 ? ['', text] : [text.slice(0, colon), text.slice(colon + 1)];
}

function named(name: string, pattern: RegExp, form: string): string {
  if (!pattern.test(name)) throw new Problem('is a reference without a usable name', `write ${form}`, 'key');
  return name;
}
