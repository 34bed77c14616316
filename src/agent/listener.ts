/** The socket side of the endpoint: HTTP or HTTPS, its limits, and how it ends. */
import { createServer } from 'node:http';
import type { IncomingMessage, RequestListener, Server, ServerResponse } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import type { Server as TlsServer } from 'node:https';
import type { AddressInfo, Socket } from 'node:net';
import { Connections } from './connections.ts';
import type { Limits } from './context.ts';
import { s3Error } from './errors.ts';
import { expectsContinue } from './incoming.ts';
import { errorXml } from './refusal.ts';

/** PEM texts. */
export interface Tls {
  readonly key: string;
  /** The certificate and its chain. */
  readonly cert: string;
  /** Authorities one of which must have signed the certificate that each client then has to show. */
  readonly clientCa?: string;
}

export interface Listener {
  readonly port: number;
  readonly connections: Connections;
  /** New connections get the new certificate; open ones keep theirs. @throws Error of node:tls when the two do not fit */
  setTls(tls: Tls): void;
  /** Whether an inactive connection is our own doing: its handler works, and nothing is to be read or written. */
  working(socket: Socket, busy: boolean): void;
  /** Lets what is in flight finish for so long, then breaks what is left. */
  close(graceMs: number): Promise<void>;
}

const context = ({ key, cert, clientCa }: Tls) => ({ key, cert, ...(clientCa === undefined ? {} : { ca: clientCa }), minVersion: 'TLSv1.2' as const });

function createHttp(tls: Tls | undefined, limits: Limits, listener: RequestListener): Server {
  const settings = {
    maxHeaderSize: limits.maxHeaderBytes, requestTimeout: limits.requestTimeoutMs, headersTimeout: limits.headersTimeoutMs,
    connectionsCheckingInterval: Math.min(5_000, limits.headersTimeoutMs), keepAliveTimeout: limits.idleMs, keepAlive: true, keepAliveInitialDelay: 60_000,
  };
  if (tls === undefined) return createServer(settings, listener);
  const mutual = tls.clientCa === undefined ? {} : { requestCert: true, rejectUnauthorized: true };
  return createTlsServer({ ...settings, ...context(tls), ...mutual, handshakeTimeout: limits.headersTimeoutMs }, listener);
}

/** What the HTTP parser refuses, in S3's words: [code, message]. */
function refusalOf(code: string | undefined): readonly [string, string?] {
  if (code === 'HPE_HEADER_OVERFLOW') return ['RequestHeaderSectionTooLarge'];
  if (code === 'ERR_HTTP_REQUEST_TIMEOUT') return ['RequestTimeout'];
  return ['BadRequest', 'The request is not well-formed HTTP.'];
}

function answerBroken(error: NodeJS.ErrnoException, socket: Socket): void {
  if (!socket.writable || error.code === 'ECONNRESET') {
    socket.destroy();
    return;
  }
  const [code, message] = refusalOf(error.code);
  const refused = s3Error(code, message === undefined ? {} : { message });
  const body = errorXml(refused, '', '');
  const head = `HTTP/1.1 ${refused.status} ${code}\r\ncontent-type: application/xml\r\ncontent-length: ${Buffer.byteLength(body)}\r\nconnection: close\r\n\r\n`;
  socket.end(head + body, () => socket.destroy());
}

function listen(server: Server, host: string, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, host, () => {
      server.off('error', reject);
      resolve();
    });
  });
}

function closeServer(server: Server, graceMs: number): Promise<void> {
  return new Promise((resolve) => {
    const force = setTimeout(() => server.closeAllConnections(), graceMs);
    server.close(() => {
      clearTimeout(force);
      resolve();
    });
    if (graceMs <= 0) server.closeAllConnections();
  });
}

export interface ListenerOptions {
  readonly host: string;
  readonly port: number;
  readonly tls: Tls | undefined;
  readonly limits: Limits;
  readonly onRequest: RequestListener;
}

/** @throws Error of node:net when the address cannot be listened on, of node:tls when certificate and key do not fit */
export async function startListener({ host, port, tls, limits, onRequest }: ListenerOptions): Promise<Listener> {
  const server = createHttp(tls, limits, onRequest);
  const connections = new Connections(limits.maxConnections, limits.maxConnectionsPerClient);
  const busySockets = new WeakSet<Socket>();
  server.prependListener('connection', (socket: Socket) => connections.admit(socket));
  server.on('checkContinue', (incoming: IncomingMessage, response: ServerResponse) => {
    expectsContinue(incoming); // the handler decides whether the body is wanted
    onRequest(incoming, response);
  });
  server.on('clientError', (error: NodeJS.ErrnoException, socket) => answerBroken(error, socket as Socket));
  server.setTimeout(limits.idleMs, (socket) => {
    if (busySockets.has(socket)) socket.setTimeout(limits.idleMs);
    else socket.destroy();
  });
  await listen(server, host, port);
  return {
    port: (server.address() as AddressInfo).port, connections,
    setTls: (next) => (server as TlsServer).setSecureContext(context(next)),
    working: (socket, busy) => void (busy ? busySockets.add(socket) : busySockets.delete(socket)),
    close: (graceMs) => closeServer(server, graceMs),
  };
}
