/** Shows metrics to whoever asks: `GET /metrics`, nothing else. Plain HTTP, without a password: it says how much and how quickly, never what. */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { EXPOSITION_TYPE, expose } from './exposition.ts';
import type { Sample } from './meter.ts';

export interface MetricsEndpoint {
  /** `http://127.0.0.1:9464/metrics` */
  readonly url: string;
  close(): Promise<void>;
}

export interface MetricsEndpointOptions {
  readonly host: string;
  /** 0: any free one. */
  readonly port: number;
  /** As of now. */
  readonly read: () => readonly Sample[];
}

const PATH = '/metrics';
/** Who asks, asks at once and reads at once. */
const PATIENCE_MS = 10_000;
const MOST_CONNECTIONS = 64;

/** Rejects with the system's error where it cannot listen. */
export async function serveMetrics({ host, port, read }: MetricsEndpointOptions): Promise<MetricsEndpoint> {
  const server = createServer({ requestTimeout: PATIENCE_MS, headersTimeout: PATIENCE_MS, keepAliveTimeout: 5000, connectionsCheckingInterval: PATIENCE_MS }, (request, response) => answer(request, response, read));
  server.maxConnections = MOST_CONNECTIONS;
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, host, () => {
      server.off('error', reject);
      resolve();
    });
  });
  // Nobody's run goes on for it.
  server.unref();
  const { address, port: bound, family } = server.address() as AddressInfo;
  return {
    url: `http://${family === 'IPv6' ? `[${address}]` : address}:${bound}${PATH}`,
    close: () => new Promise((resolve) => {
      server.close(() => resolve());
      server.closeAllConnections();
    }),
  };
}

function answer({ method, url = '' }: IncomingMessage, response: ServerResponse, read: () => readonly Sample[]): void {
  const end = (status: number, text: string, headers: Readonly<Record<string, string>> = {}): void => {
    response.writeHead(status, { 'content-type': 'text/plain; charset=utf-8', 'content-length': String(Buffer.byteLength(text)), 'cache-control': 'no-store', ...headers });
    response.end(method === 'HEAD' ? undefined : text);
  };
  if (method !== 'GET' && method !== 'HEAD') return end(405, 'only GET\n', { allow: 'GET, HEAD' });
  if (url.replace(/\?.*$/s, '') !== PATH) return end(404, `the metrics are at ${PATH}\n`);
  try {
    end(200, expose(read()), { 'content-type': EXPOSITION_TYPE });
  } catch {
    // A ledger that is being replaced, or a disk that is full: whoever asks comes again, and the run itself tells what is wrong.
    end(500, 'the metrics cannot be read now\n');
  }
}
