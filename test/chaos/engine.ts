// The queues that a fleet is tried over: how the command lines name each, and how everything in it is forgotten at once.
import { jetstreamManager } from '@nats-io/jetstream';
import { connect } from '@nats-io/transport-node';
import { startMoto, startNats } from '../servers/harness/index.ts';

const QUEUE = 'chaos';

export interface Engine {
  /** As `--queue` takes it. */
  readonly queue: (lease: string) => string;
  readonly env: Readonly<Record<string, string>>;
  /** Also where there is no queue yet. */
  purge(): Promise<void>;
  stop(): Promise<void>;
}

export async function natsEngine(): Promise<Engine> {
  const server = await startNats();
  return {
    queue: (lease) => `nats:${QUEUE}@${server.endpoint}?create=true&lease=${lease}`, env: {}, stop: () => server.stop(),
    purge: async () => {
      const connection = await connect({ servers: server.endpoint });
      try {
        await (await jetstreamManager(connection)).streams.purge(QUEUE).catch((error: unknown) => { if (!String(error).includes('not found')) throw error; });
      } finally {
        await connection.close();
      }
    },
  };
}

/** SQS as moto has it: it forgets everything when it ends, and is slow. */
export async function sqsEngine(): Promise<Engine> {
  const server = await startMoto();
  return {
    queue: (lease) => `sqs:${QUEUE}?endpoint=${server.endpoint}&region=us-east-1&create=true&lease=${lease}`, env: { AWS_ACCESS_KEY_ID: 'test', AWS_SECRET_ACCESS_KEY: 'test' }, stop: () => server.stop(),
    purge: async () => {
      const response = await fetch(server.endpoint, {
        method: 'POST', body: JSON.stringify({ QueueUrl: `${server.endpoint}/123456789012/${QUEUE}` }),
        headers: { 'content-type': 'application/x-amz-json-1.0', 'x-amz-target': 'AmazonSQS.PurgeQueue', authorization: 'AWS4-HMAC-SHA256 Credential=a/20260101/us-east-1/sqs/aws4_request' },
      });
      const text = await response.text();
      if (!response.ok && !text.includes('NonExistentQueue')) throw new Error(`the queue was not purged: ${text}`);
    },
  };
}
