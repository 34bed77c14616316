/**
 * The control port of an endpoint of the lab: who are you, put this fault in force, stop. On 127.0.0.1, and only for those who can read the
 * token in the lab's folder.
 */
import { timingSafeEqual } from 'node:crypto';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { FaultOrder } from '../../faults/catalogue.ts';
import type { EndName } from './folder.ts';
import type { FaultInForce, LiveFaults } from './live-faults.ts';

export interface EndStatus {
  readonly lab: string;
  readonly name: EndName;
  readonly pid: number;
  readonly requests: number;
  readonly faults: readonly FaultInForce[];
}

export interface ControlOptions {
  readonly token: string;
  readonly faults: LiveFaults;
  readonly status: () => Omit<EndStatus, 'faults'>;
  /** Called after the answer is on its way. */
  readonly stop: () => void;
}

const MOST_BYTES = 64 * 1024;

export interface Control {
  readonly port: number;
  close(): void;
}

export async function startControl(options: ControlOptions): Promise<Control> {
  const server = createServer({ requestTimeout: 5_000 }, (incoming, response) => {
    answer(options, incoming).then(({ status, body }) => send(response, status, body), (error: unknown) => send(response, 400, { error: error instanceof Error ? error.message : String(error) }));
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(0, '127.0.0.1', resolve);
  });
  return { port: (server.address() as AddressInfo).port, close: () => { server.close(); server.closeAllConnections(); } };
}

function send(response: ServerResponse, status: number, body: object): void {
  response.writeHead(status, { 'content-type': 'application/json', connection: 'close' });
  response.end(JSON.stringify(body));
}

interface Answer { readonly status: number; readonly body: object }

async function answer(options: ControlOptions, incoming: IncomingMessage): Promise<Answer> {
  if (!isSame(incoming.headers.authorization ?? '', `Bearer ${options.token}`)) return { status: 401, body: { error: 'the token is wrong' } };
  const url = new URL(incoming.url ?? '/', 'http://control');
  switch (`${incoming.method ?? ''} ${url.pathname}`) {
    case 'GET /status': return { status: 200, body: { ...options.status(), faults: options.faults.list() } satisfies EndStatus };
    case 'POST /faults': options.faults.add(JSON.parse(await textOf(incoming)) as FaultOrder); return { status: 200, body: {} };
    case 'DELETE /faults': return { status: 200, body: { cleared: options.faults.clear(url.searchParams.get('name') ?? undefined) } };
    case 'POST /stop': setImmediate(options.stop); return { status: 200, body: {} };
    default: return { status: 404, body: { error: 'there is no such question' } };
  }
}

function isSame(given: string, wanted: string): boolean {
  const [left, right] = [Buffer.from(given), Buffer.from(wanted)];
  return left.length === right.length && timingSafeEqual(left, right);
}

async function textOf(incoming: IncomingMessage): Promise<string> {
  const pieces: Buffer[] = [];
  let size = 0;
  for await (const piece of incoming as AsyncIterable<Buffer>) {
    size += piece.length;
    if (size > MOST_BYTES) throw new RangeError('the order is too long');
    pieces.push(piece);
  }
  return Buffer.concat(pieces).toString();
}
