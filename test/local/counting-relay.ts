/** A relay on this machine that counts the bytes that go by, whatever they mean. */
import { once } from 'node:events';
import { connect, createServer, type AddressInfo } from 'node:net';

export interface CountingRelay {
  readonly url: string;
  /** Bytes from the client, and to it. May be set to zero. */
  sent: number;
  received: number;
  close(): void;
}

export async function startCountingRelay(target: string): Promise<CountingRelay> {
  const { hostname, port } = new URL(target);
  const server = createServer((client) => {
    const upstream = connect(Number(port), hostname);
    client.on('data', (bytes) => { relay.sent += bytes.length; });
    upstream.on('data', (bytes) => { relay.received += bytes.length; });
    client.pipe(upstream).pipe(client);
    for (const socket of [client, upstream]) socket.on('error', () => { client.destroy(); upstream.destroy(); });
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const relay: CountingRelay = { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, sent: 0, received: 0, close: () => { server.close(); } };
  return relay;
}
