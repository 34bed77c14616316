/** A credential reference → a source of credentials that stay fresh for as long as the run takes. */
import type { Clock } from '../ports/clock.ts';
import type { Credentials, CredentialSource } from '../ports/credentials.ts';
import { awsReader, type AwsReader } from './credential-aws.ts';
import { RefreshingSource } from './credential-refresh.ts';
import { credentialError, parseDocument, readKeys, readValue, showRef, type ValueReaders } from './credential-values.ts';
import type { Environment } from './expand.ts';
import type { AssumeRoleRef, CredentialRef } from './migration.ts';

export interface CredentialDeps {
  readonly env: Environment;
  readonly clock: Clock;
}

/** Nothing is read before the first resolve(). */
export function credentialSource(ref: CredentialRef, deps: CredentialDeps): CredentialSource {
  if (ref.kind === 'anonymous') return ANONYMOUS;
  const readers: ValueReaders = { env: deps.env, aws: awsReader(deps.env) };
  return new RefreshingSource(describeCredentials(ref), fetcher(ref, deps, readers), deps.clock);
}

const ANONYMOUS: CredentialSource = { describe: 'anonymous', resolve: () => Promise.resolve(undefined), invalidate: () => undefined };

/** For messages and `doctor`: where the credentials come from. */
export function describeCredentials(ref: CredentialRef): string {
  switch (ref.kind) {
    case 'default': return 'the default chain';
    case 'anonymous': return 'anonymous';
    case 'profile': return `profile:${ref.name}`;
    case 'document': return showRef(ref.ref);
    case 'keys': return showRef(ref.accessKeyId);
    case 'assume-role': return `assume_role ${ref.roleArn}`;
  }
}

/** Whether a secret comes out of the environment: fine on a laptop, a warning in a fleet (D14). */
export function usesEnvironment(ref: CredentialRef): boolean {
  if (ref.kind === 'assume-role') return usesEnvironment(ref.base);
  if (ref.kind === 'document') return ref.ref.from === 'env';
  return ref.kind === 'keys' && [ref.accessKeyId, ref.secretAccessKey, ref.sessionToken].some((part) => part?.from === 'env');
}

type Fetcher = () => Promise<Credentials>;

function fetcher(ref: Exclude<CredentialRef, { kind: 'anonymous' }>, deps: CredentialDeps, readers: ValueReaders): Fetcher {
  switch (ref.kind) {
    case 'default': return () => readers.aws.defaultChain();
    case 'profile': return () => readers.aws.profile(ref.name);
    case 'keys': return () => readKeys(ref, readers);
    case 'document': return async () => parseDocument(await readValue(ref.ref, readers) ?? '', showRef(ref.ref));
    case 'assume-role': return roleFetcher(ref, deps, readers.aws);
  }
}

/** The base has a life of its own: if it is refused, it is fetched again before the role is asked for a second and last time. */
function roleFetcher(ref: AssumeRoleRef, deps: CredentialDeps, aws: AwsReader): Fetcher {
  const base = credentialSource(ref.base, deps);
  return async () => {
    const under = await base.resolve();
    if (under === undefined) throw credentialError('anonymous cannot assume a role', 'write base: default, profile:NAME or env:PREFIX');
    try {
      return await aws.assumeRole(ref, under);
    } catch (thrown) {
      base.invalidate(under);
      const again = await base.resolve();
      if (again === undefined || again === under) throw thrown;
      return aws.assumeRole(ref, again);
    }
  };
}
