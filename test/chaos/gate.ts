// A TCP gate in front of a server: while it is shut, the server is unreachable, as in an outage.
import { connect, createServer, type Server, type Socket } from 'node:net';
import type { AddressInfo } from 'node:net';

export interface Gate {
  readonly url: string;
  /** Breaks all connections and refuses new ones. */
  shut(): Promise<void>;
  open(): Promise<void>;
  close(): Promise<void>;
}

const listen = (server: Server, port: number): Promise<number> => new Promise((resolve, reject) => {
  server.once('error', reject);
  server.listen(port, '127.0.0.1', () => resolve((server.address() as AddressInfo).port));
});

/** @throws Error of node:net when the port was taken by another process while the gate was shut. */
export async function startGate(target: string): Promise<Gate> {
  const { hostname, port: targetPort } = new URL(target);
  const sockets = new Set<Socket>();
  const keep = (socket: Socket): void => {
    sockets.add(socket);
    socket.on('error', () => socket.destroy()); // a broken connection is what this is for
    socket.on('close', () => sockets.delete(socket));
  };
  const begin = (): Server => createServer((near) => {
    const far = connect(Number(targetPort), hostname);
    keep(near);
    keep(far);
    near.pipe(far).pipe(near);
    near.on('close', () => far.destroy());
    far.on('close', () => near.destroy());
  });
  let server = begin();
  const port = await listen(server, 0);
  const shut = async (): Promise<void> => {
    const closed = new Promise<void>((resolve) => server.close(() => resolve()));
    for (const socket of sockets) socket.resetAndDestroy();
    await closed;
  };
  return {
    url: `http://127.0.0.1:${port}`, shut, close: shut,
    open: async () => {
      server = begin();
      await listen(server, port);
    },
  };
}
