/** The SDK's client with our credentials, deadlines and errors. Loaded only when a queue is opened. */
import type { SQS } from '@aws-sdk/client-sqs';
import type { BrigadeError } from '../../core/errors.ts';
import type { Credentials, CredentialSource } from '../../ports/credentials.ts';
import { sqsError } from './errors.ts';

/** The longest poll takes 20 s; an answer that is not there 10 s later does not come. */
const REQUEST_MS = 30_000;
const CONNECT_MS = 5_000;

export interface SqsAccess {
  readonly region: string;
  /** Instead of the region's own: a VPC endpoint, a test server. */
  readonly endpoint?: string;
  readonly credentials: CredentialSource;
}

interface Options {
  readonly abortSignal?: AbortSignal;
}

export interface SqsClient {
  /** One request with the SDK's own retries (3, with jitter). @throws BrigadeError */
  call<T>(op: string, location: string, work: (sqs: SQS, options: Options) => Promise<T>, signal?: AbortSignal): Promise<T>;
  close(): void;
}

export async function createSqsClient({ region, endpoint, credentials }: SqsAccess): Promise<SqsClient> {
  const sdk = await import('@aws-sdk/client-sqs');
  let used: Credentials | undefined;
  const sqs = new sdk.SQS({
    region,
    maxAttempts: 3,
    requestHandler: { requestTimeout: REQUEST_MS, throwOnRequestTimeout: true, connectionTimeout: CONNECT_MS },
    ...(endpoint === undefined ? {} : { endpoint, useQueueUrlAsEndpoint: false }),
    credentials: async () => {
      used = await credentials.resolve();
      return sdkIdentity(used, credentials.describe);
    },
  });
  const call: SqsClient['call'] = async (op, location, work, signal) => {
    const options = signal === undefined ? {} : { abortSignal: signal };
    try {
      return await work(sqs, options);
    } catch (thrown) {
      const error = sqsError(thrown, op, location, signal);
      if (!refused(error) || used === undefined) throw error;
      // Rotated or expired in the meantime: once more with what the source has now (D7).
      const before = used;
      credentials.invalidate(before);
      if (await credentials.resolve(signal) === before) throw error;
      return work(sqs, options).catch((again: unknown) => {
        throw sqsError(again, op, location, signal);
      });
    }
  };
  return { call, close: () => sqs.destroy() };
}

const refused = (error: BrigadeError): boolean => error.code === 'E_CREDENTIALS';

/** With an end that has passed, so that the SDK asks our source before each request: the source alone knows when they change. */
function sdkIdentity(credentials: Credentials | undefined, describe: string): { accessKeyId: string; secretAccessKey: string; sessionToken?: string; expiration: Date } {
  if (credentials === undefined) throw Object.assign(new Error(`${describe}: SQS takes no anonymous requests`), { name: 'CredentialsProviderError' });
  const { accessKeyId, secretAccessKey, sessionToken } = credentials;
  const token = sessionToken === undefined ? {} : { sessionToken: sessionToken.reveal() };
  return { accessKeyId, secretAccessKey: secretAccessKey.reveal(), ...token, expiration: new Date(0) };
}
