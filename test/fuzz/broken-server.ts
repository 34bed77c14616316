/** The server of the fuzz run: takes requests apart by their own lengths and plays what the case of their path says. */
import net from 'node:net';
import type { AddressInfo, Socket } from 'node:net';
import type { Case, Play } from './answers.ts';

const HEAD = /^(GET|PUT) \/(\d+) HTTP\/1\.1\r\n/;
const LENGTH = /\r\ncontent-length: (\d+)\r\n/;

interface Request {
  readonly number: number;
  readonly length: number;
}

/** The requests of one connection; the next one may come right behind the body of one that was answered early. */
class Incoming {
  #chunks: Buffer[] = [];
  #size = 0;
  #request: Request | undefined;

  add(data: Buffer): void {
    this.#chunks.push(data);
    this.#size += data.length;
  }

  /** One head or one body, if it is whole. */
  step(begun: (head: string) => Request, whole: (number: number, body: Buffer) => void): boolean {
    if (this.#request === undefined) {
      const end = this.#all().indexOf('\r\n\r\n');
      if (end < 0) return false;
      this.#request = begun(this.#taken(end + 4).toString('latin1', 0, end + 2));
      return true;
    }
    const { number, length } = this.#request;
    if (this.#size < length) return false;
    this.#request = undefined;
    whole(number, this.#taken(length));
    return this.#size > 0;
  }

  #all(): Buffer {
    if (this.#chunks.length !== 1) this.#chunks = [Buffer.concat(this.#chunks)];
    return this.#chunks[0] as Buffer;
  }

  #taken(count: number): Buffer {
    const all = this.#all();
    this.#chunks = [all.subarray(count)];
    this.#size -= count;
    return all.subarray(0, count);
  }
}

export class BrokenServer {
  readonly cases = new Map<number, Case>();
  readonly #bodies = new Map<number, Buffer>();
  readonly #sockets = new Set<Socket>();
  readonly #server: net.Server;
  answers = 0;

  private constructor() {
    this.#server = net.createServer({ noDelay: true, allowHalfOpen: true }, (socket) => { this.#serve(socket); });
  }

  static async start(): Promise<BrokenServer> {
    const server = new BrokenServer();
    await new Promise<void>((resolve) => server.#server.listen(0, '127.0.0.1', resolve));
    return server;
  }

  get origin(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  /** The body that came with this request; where the answer was early it may still be on its way. */
  async taken(number: number): Promise<Buffer | undefined> {
    for (let i = 0; i < 100 && !this.#bodies.has(number); i++) await new Promise((resolve) => setTimeout(resolve, 5));
    return this.#bodies.get(number);
  }

  forget(number: number): void {
    this.cases.delete(number);
    this.#bodies.delete(number);
  }

  /** How many connections are left, some time after they should have gone. */
  async emptied(): Promise<number> {
    for (let i = 0; i < 100 && this.#sockets.size > 0; i++) await new Promise((resolve) => setTimeout(resolve, 20));
    return this.#sockets.size;
  }

  async stop(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  #serve(socket: Socket): void {
    this.#sockets.add(socket);
    const incoming = new Incoming();
    socket.on('error', () => { /* the client hangs up on broken answers */ });
    socket.on('close', () => this.#sockets.delete(socket));
    socket.on('end', () => { socket.destroy(); });
    socket.on('data', (data) => {
      incoming.add(data);
      while (incoming.step((head) => this.#begun(socket, head), (number, body) => { this.#whole(socket, number, body); }));
    });
  }

  #whole(socket: Socket, number: number, body: Buffer): void {
    const found = this.cases.get(number);
    if (found === undefined) return;
    this.#bodies.set(number, body);
    if (found.play.early !== true) void this.#play(socket, found.play);
  }

  #begun(socket: Socket, head: string): Request {
    const number = Number(HEAD.exec(head)?.[2]);
    const found = this.cases.get(number);
    if (found?.play.early === true) void this.#play(socket, found.play);
    return { number, length: Number(LENGTH.exec(head)?.[1] ?? 0) };
  }

  async #play(socket: Socket, { bytes, cuts, stop }: Play): Promise<void> {
    this.answers++;
    const end = stop?.at ?? bytes.length;
    let at = 0;
    for (const cut of [...cuts, end]) {
      if (socket.destroyed) return;
      const next = Math.min(cut, end);
      if (next > at) socket.write(bytes.subarray(at, next));
      at = Math.max(at, next);
      if (at < end) await new Promise((resolve) => setImmediate(resolve));
    }
    if (stop?.how === 'end') socket.end();
    else if (stop?.how === 'destroy') socket.destroySoon();
  }
}
