// A server of raw bytes, and the transports that are tried on it.
import assert from 'node:assert/strict';
import net from 'node:net';
import type { AddressInfo, Socket } from 'node:net';
import { isKind } from '../../core/errors.ts';
import type { BrigadeError } from '../../core/errors.ts';
import { DEFAULT_TIMEOUTS } from './transport.ts';
import type { HttpRequest, Transport, TransportOptions } from './transport.ts';
import { createUndiciTransport } from './undici.ts';
import { createTransport } from './wire.ts';

export type Make = (options: TransportOptions) => Transport;

/** Everything over lanes, however small; what they do not speak goes to undici as it does in earnest. */
export const createLanes: Make = (options) => createTransport({ ...options, lanes: 'always' });

export const WAYS: Readonly<Record<string, Make>> = { undici: createUndiciTransport, lanes: createLanes };

export interface Raw {
  readonly origin: string;
  readonly transport: Transport;
  readonly seen: string[];
  readonly sockets: Set<Socket>;
}

/** A server that answers each request head with raw bytes, so that it can misbehave in any way. */
export async function withServer(answer: (socket: Socket, head: string) => void, run: (raw: Raw) => Promise<void>, options: Partial<TransportOptions> & { readonly make?: Make } = {}): Promise<void> {
  const seen: string[] = [];
  const sockets = new Set<Socket>();
  const server = net.createServer((socket) => {
    sockets.add(socket);
    socket.on('error', () => { /* the client may hang up at any time */ }).on('close', () => sockets.delete(socket));
    let text = '';
    socket.on('data', (data) => {
      text += data.toString('latin1');
      for (let end = text.indexOf('\r\n\r\n'); end >= 0; end = text.indexOf('\r\n\r\n')) {
        const head = text.slice(0, end);
        text = text.slice(end + 4);
        seen.push(head);
        answer(socket, head);
      }
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const { make = createLanes, ...rest } = options;
  const transport = make({ connections: 4, timeouts: DEFAULT_TIMEOUTS, ...rest });
  try {
    await run({ origin, transport, seen, sockets });
  } finally {
    await transport.close();
    for (const socket of sockets) socket.destroy();
    await new Promise((resolve) => server.close(resolve));
  }
}

export const get = (origin: string, path = '/'): HttpRequest => ({ origin, method: 'GET', path, headers: [], bodySize: 0 });
export const code = (expected: string, kind = 'transient') => (error: unknown) => {
  assert.equal((error as BrigadeError).code, expected, String(error));
  return isKind(error, kind as BrigadeError['kind']);
};
export const ok = (socket: Socket, body = ''): unknown => socket.write(`HTTP/1.1 200 OK\r\ncontent-length: ${body.length}\r\n\r\n${body}`);

/** The server sees the end a moment later. */
export async function emptied(sockets: ReadonlySet<Socket>): Promise<void> {
  for (let i = 0; i < 200 && sockets.size > 0; i++) await new Promise((resolve) => setTimeout(resolve, 10));
  assert.equal(sockets.size, 0);
}
