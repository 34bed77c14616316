/** How many connections there may be: in all, and from one client. */
import type { Socket } from 'node:net';

/** One client: an IPv4 address, or the /64 network of an IPv6 one, since a host has all of that to itself. */
export function clientOf(address: string): string {
  const mapped = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(address)?.[1];
  if (mapped !== undefined || !address.includes(':')) return mapped ?? address;
  const [head = '', tail = ''] = address.replace(/%.*$/, '').split('::');
  const groups = head === '' ? [] : head.split(':');
  const rest = tail === '' ? [] : tail.split(':');
  const zeros = address.includes('::') ? Array.from({ length: Math.max(0, 8 - groups.length - rest.length) }, () => '0') : [];
  return `${[...groups, ...zeros, ...rest].slice(0, 4).map((group) => parseInt(group, 16).toString(16)).join(':')}::/64`;
}

export class Connections {
  private readonly most: number;
  private readonly mostPerClient: number;
  private readonly clients = new Map<string, number>();
  private open = 0;
  /** Connections that were closed at once because there were too many. */
  refused = 0;

  constructor(most: number, mostPerClient: number) {
    this.most = most;
    this.mostPerClient = mostPerClient;
  }

  get count(): number {
    return this.open;
  }

  /** Takes the connection in, or ends it. */
  admit(socket: Socket): void {
    const client = clientOf(socket.remoteAddress ?? '');
    const own = this.clients.get(client) ?? 0;
    if (this.open >= this.most || own >= this.mostPerClient) {
      this.refused += 1;
      socket.destroy();
      return;
    }
    this.open += 1;
    this.clients.set(client, own + 1);
    socket.once('close', () => this.release(client));
  }

  private release(client: string): void {
    this.open -= 1;
    const left = (this.clients.get(client) ?? 1) - 1;
    if (left > 0) this.clients.set(client, left);
    else this.clients.delete(client);
  }
}
