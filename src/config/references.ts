/** References on the command line: to a secret (`--message-key`) or to a whole set of credentials (of a queue). Never the secret itself. */
import { Secret } from '../core/secret.ts';
import { awsReader } from './credential-aws.ts';
import { parseValueRef, parseWholeRef } from './credential-ref.ts';
import { readValue, readValueHere, showRef } from './credential-values.ts';
import type { Environment } from './expand.ts';
import type { CredentialRef, ValueRef } from './migration.ts';
import { configError, Problem } from './problem.ts';
import { absolute } from './resolve.ts';

export interface WrittenAt {
  /** The option, as errors name it: `--message-key`. */
  readonly argument: string;
  /** Where relative files start. */
  readonly cwd: string;
}

/** `env:NAME`, `file:PATH`, `aws-sm:NAME[#json-key]`, `aws-ssm:NAME`. Throws BrigadeError E_CONFIG, which never repeats the text: it may be the secret. */
export function secretFrom(text: string, { argument, cwd }: WrittenAt): ValueRef {
  return told(argument, () => absolute(parseValueRef(text), cwd));
}

/** `default`, `anonymous`, `profile:NAME`, `env:PREFIX`, or a document in one of those. Throws BrigadeError E_CONFIG likewise. */
export function credentialsFrom(text: string, { argument, cwd }: WrittenAt): CredentialRef {
  const ref = told(argument, () => parseWholeRef(text));
  return ref.kind === 'document' ? { kind: 'document', ref: absolute(ref.ref, cwd) } : ref;
}

function told<T>(argument: string, parse: () => T): T {
  try {
    return parse();
  } catch (thrown) {
    throw thrown instanceof Problem ? configError(argument, thrown.what, thrown.fix) : thrown;
  }
}

/** A secret that is read whenever it is asked for. */
export interface FreshText {
  /** Where it stands: `env:BRIGADE_KEY`. */
  readonly describe: string;
  /** As it stands there now, without the white space around it. Throws BrigadeError premise E_CREDENTIALS. */
  read(): Promise<Secret>;
  /** The same at once; present where it stands on this machine. */
  readHere?(): Secret;
}

export function secretText(ref: ValueRef, env: Environment): FreshText {
  const readers = { env, aws: awsReader(env) };
  const text = { describe: showRef(ref), read: async () => new Secret(await readValue(ref, readers) ?? '') };
  if (ref.from !== 'env' && ref.from !== 'file') return text;
  return { ...text, readHere: () => new Secret(readValueHere(ref, env) ?? '') };
}
