/** The references that need AWS itself. Its packages are loaded only when one is used: most migrations never do. */
import { oneLine } from '../core/errors.ts';
import type { Credentials } from '../ports/credentials.ts';
import { credentialError, credentials } from './credential-values.ts';
import type { Environment } from './expand.ts';
import type { AssumeRoleRef } from './migration.ts';

export interface AwsReader {
  secret(name: string): Promise<string>;
  parameter(name: string): Promise<string>;
  profile(name: string): Promise<Credentials>;
  defaultChain(): Promise<Credentials>;
  assumeRole(ref: AssumeRoleRef, base: Credentials): Promise<Credentials>;
}

interface Identity {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  readonly sessionToken?: string;
  readonly expiration?: Date;
}

type AwsApi = 'STS' | 'SECRETS_MANAGER' | 'SSM';

/** Reads with the identity of this process (the default chain); endpoints as the AWS command line takes them: AWS_ENDPOINT_URL_STS … */
export function awsReader(env: Environment): AwsReader {
  const region = env['AWS_REGION'] ?? env['AWS_DEFAULT_REGION'] ?? 'us-east-1';
  const client = (api: AwsApi, arn = '') => {
    const endpoint = env[`AWS_ENDPOINT_URL_${api}`] ?? env['AWS_ENDPOINT_URL'];
    const named = /^arn:[\w-]+:(?:secretsmanager|ssm):([\w-]+):/.exec(arn)?.[1];
    return { region: named ?? region, maxAttempts: 3, ...(endpoint === undefined ? {} : { endpoint }) };
  };
  const own = async () => sdkIdentity(await chain(env));
  return {
    secret: (name) => told(`aws-sm:${name}`, 'check its name, the region and secretsmanager:GetSecretValue', async () => {
      const { SecretsManagerClient, GetSecretValueCommand } = await import('@aws-sdk/client-secrets-manager');
      const sm = new SecretsManagerClient({ ...client('SECRETS_MANAGER', name), credentials: own });
      try {
        const answer = await sm.send(new GetSecretValueCommand({ SecretId: name }));
        return answer.SecretString ?? Buffer.from(answer.SecretBinary ?? []).toString('utf8');
      } finally {
        sm.destroy();
      }
    }),
    parameter: (name) => told(`aws-ssm:${name}`, 'check its name, the region and ssm:GetParameter', async () => {
      const { SSMClient, GetParameterCommand } = await import('@aws-sdk/client-ssm');
      const ssm = new SSMClient({ ...client('SSM', name), credentials: own });
      try {
        const answer = await ssm.send(new GetParameterCommand({ Name: name, WithDecryption: true }));
        return answer.Parameter?.Value ?? '';
      } finally {
        ssm.destroy();
      }
    }),
    profile: (name) => told(`profile:${name}`, 'check ~/.aws/config and ~/.aws/credentials, or sign in again', async () => {
      const { fromIni } = await import('@aws-sdk/credential-providers');
      return fromIdentity(await fromIni({ profile: name, ignoreCache: true, ...profileFiles(env), clientConfig: client('STS') })());
    }),
    defaultChain: () => chain(env),
    assumeRole: (ref, base) => told(`assume_role ${ref.roleArn}`, 'check the trust policy of the role, the external id and sts:AssumeRole', async () => {
      const { fromTemporaryCredentials } = await import('@aws-sdk/credential-providers');
      const provide = fromTemporaryCredentials({
        masterCredentials: sdkIdentity(base),
        params: {
          RoleArn: ref.roleArn, RoleSessionName: ref.sessionName, DurationSeconds: Math.round(ref.durationMs / 1000),
          ...(ref.externalId === undefined ? {} : { ExternalId: ref.externalId }),
        },
        clientConfig: client('STS'),
      });
      return fromIdentity(await provide());
    }),
  };
}

/** Variables first, then whatever the AWS chain finds: files, single sign-on, web identity, container, instance. */
function chain(env: Environment): Promise<Credentials> {
  const id = env['AWS_ACCESS_KEY_ID'];
  const secret = env['AWS_SECRET_ACCESS_KEY'];
  if (id !== undefined && secret !== undefined && env['AWS_PROFILE'] === undefined) return Promise.resolve(credentials(id, secret, env['AWS_SESSION_TOKEN'], undefined));
  return told('the default chain', 'set credentials: to a reference such as profile:NAME or env:PREFIX, or export AWS_ACCESS_KEY_ID', async () => {
    const { fromNodeProviderChain } = await import('@aws-sdk/credential-providers');
    const profile = env['AWS_PROFILE'];
    return fromIdentity(await fromNodeProviderChain({ ignoreCache: true, ...profileFiles(env), ...(profile === undefined ? {} : { profile }) })());
  });
}

function profileFiles(env: Environment): { filepath?: string; configFilepath?: string } {
  const filepath = env['AWS_SHARED_CREDENTIALS_FILE'];
  const configFilepath = env['AWS_CONFIG_FILE'];
  return { ...(filepath === undefined ? {} : { filepath }), ...(configFilepath === undefined ? {} : { configFilepath }) };
}

async function told<T>(what: string, hint: string, read: () => Promise<T>): Promise<T> {
  try {
    return await read();
  } catch (thrown) {
    // Name and text of an AWS error say who was denied what; they never hold the secret.
    const reason = thrown instanceof Error ? `${thrown.name}: ${thrown.message}` : String(thrown);
    throw credentialError(`${what} gives no credentials: ${oneLine(reason, 240)}`, hint, thrown);
  }
}

function fromIdentity(identity: Identity): Credentials {
  return credentials(identity.accessKeyId, identity.secretAccessKey, identity.sessionToken, identity.expiration?.getTime());
}

function sdkIdentity(from: Credentials): Identity {
  return {
    accessKeyId: from.accessKeyId,
    secretAccessKey: from.secretAccessKey.reveal(),
    ...(from.sessionToken === undefined ? {} : { sessionToken: from.sessionToken.reveal() }),
    ...(from.expiresAtMs === undefined ? {} : { expiration: new Date(from.expiresAtMs) }),
  };
}
