/**
 * One socket of a lane. Reads land where the exchange that it serves wants them (`onread`), without streams in between; between two
 * exchanges every byte that comes is a reason to close it.
 */
import net from 'node:net';
import tls from 'node:tls';
import { KiB } from '../../../core/units.ts';
import type { Closable } from '../connections.ts';
import type { Deadlines, Timed } from '../deadlines.ts';
import { MOST_HEAD } from './head.ts';

/** Holds a head and what came with it. */
export const SCRATCH = 2 * MOST_HEAD;
/** Longest rest between two exchanges. */
const IDLE_MS = 20_000;
/** A server that says when it closes idle connections is not raced for the last moment. */
const MARGIN_MS = 1_000;
/** TLS: what is encrypted in one go, so that it stays in the processor's cache on its way to the kernel. */
const TLS_WRITE = 256 * KiB;
/** A body that is copied behind its head, so that both are one write. */
const ONE_WRITE = 16 * KiB;

/** What a connection serves. */
export interface Served {
  /** Where the next bytes are to land; undefined: in the scratch buffer behind what is in use there. */
  room(): Uint8Array | undefined;
  /** Bytes landed in the room that was given last. False: no more for now. */
  landed(count: number): boolean;
  /** Bytes of the scratch buffer, from `0` to `filled`; how many of them are to stay. */
  scratched(scratch: Buffer, filled: number): number;
  /** Nothing more will come. */
  broken(error: unknown): void;
}

/** How far the sending of a request is. */
export interface Progress {
  /** The socket has all of it, and so will the kernel, as fast as the other side reads. */
  handed(): void;
  /** The kernel has all of it. With TLS this may be told after the answer has come. */
  sent(): void;
}

export interface Target {
  readonly host: string;
  readonly port: number;
  readonly secure: boolean;
  readonly connectMs: number;
  readonly deadlines: Deadlines;
  readonly outbox: Outbox;
  /** The session that the next connection resumes. */
  readonly memory: { session?: Buffer };
  /** Made once for all connections: it holds the certificate authorities. */
  readonly tls: { readonly secureContext?: tls.SecureContext; readonly rejectUnauthorized: boolean };
}

/** Where a head and a short body are put together: the same memory for all of a transport's requests, since the kernel nearly always takes them at once. */
export class Outbox {
  #buffer = Buffer.allocUnsafeSlow(MOST_HEAD * 2 + ONE_WRITE);

  pack(head: string, body: Uint8Array): Buffer {
    const length = head.length + body.length;
    if (length > this.#buffer.length) return Buffer.concat([Buffer.from(head, 'latin1'), body]);
    this.#buffer.write(head, 'latin1');
    this.#buffer.set(body, head.length);
    return this.#buffer.subarray(0, length);
  }

  renew(): void {
    this.#buffer = Buffer.allocUnsafeSlow(this.#buffer.length);
  }
}

const failure = (code: string): Error => Object.assign(new Error(code), { code });

export class LaneConnection implements Closable, Timed {
  readonly #socket: net.Socket;
  readonly #deadlines: Deadlines;
  readonly #outbox: Outbox;
  readonly #secure: boolean;
  readonly #scratch = Buffer.allocUnsafeSlow(SCRATCH);
  #kept = 0;
  /** Where in the scratch buffer the room begins. */
  #roomAt = 0;
  /** The room that the reads land in now is the scratch buffer's. */
  #inScratch = true;
  #served: Served | undefined;
  #ready: (() => void) | undefined;
  #failed: ((error: unknown) => void) | undefined;
  #onIdleClose: (() => void) | undefined;
  readonly #onClose: (connection: LaneConnection) => void;

  private constructor(target: Target, ready: () => void, failed: (error: unknown) => void, onClose: (connection: LaneConnection) => void) {
    this.#onClose = onClose;
    this.#secure = target.secure;
    this.#deadlines = target.deadlines;
    this.#outbox = target.outbox;
    this.#ready = ready;
    this.#failed = failed;
    const { host, port } = target;
    const common = { host, port, autoSelectFamily: true, onread: { buffer: () => this.#room(), callback: (count: number) => this.#landed(count) } };
    this.#socket = target.secure ? connectTls(target, common) : net.connect({ ...common, noDelay: true, keepAlive: true });
    this.#listen(target);
  }

  /** `onClose` is told when its socket is gone, however that came. @throws what net and tls throw, and UND_ERR_CONNECT_TIMEOUT */
  static open(target: Target, onClose: (connection: LaneConnection) => void): Promise<LaneConnection> {
    return new Promise((resolve, reject) => {
      const connection: LaneConnection = new LaneConnection(target, () => resolve(connection), reject, onClose);
    });
  }

  #listen({ secure, connectMs, memory }: Target): void {
    const socket = this.#socket;
    const late = setTimeout(() => { socket.destroy(failure('UND_ERR_CONNECT_TIMEOUT')); }, connectMs);
    socket.once(secure ? 'secureConnect' : 'connect', () => {
      clearTimeout(late);
      if (secure) socket.setNoDelay(true).setKeepAlive(true);
      this.#failed = undefined;
      this.#ready?.();
    });
    if (secure) socket.on('session', (session: Buffer) => { memory.session = session; });
    let why: unknown;
    socket.on('error', (error) => { why = error; });
    socket.on('end', () => {
      why ??= failure('UND_ERR_SOCKET');
      socket.destroy();
    });
    socket.on('close', () => {
      clearTimeout(late);
      this.#closed(why ?? failure('UND_ERR_SOCKET'));
    });
  }

  #closed(why: unknown): void {
    this.#deadlines.clear(this);
    const failed = this.#failed;
    this.#failed = this.#ready = undefined;
    failed?.(why);
    const served = this.#served;
    this.#served = undefined;
    served?.broken(why);
    this.#onIdleClose?.();
    this.#onIdleClose = undefined;
    this.#onClose(this);
  }

  #room(): Uint8Array {
    const room = this.#served?.room();
    this.#inScratch = room === undefined;
    this.#roomAt = this.#kept;
    return room ?? (this.#kept === 0 ? this.#scratch : this.#scratch.subarray(this.#kept));
  }

  #landed(count: number): boolean {
    const served = this.#served;
    if (served === undefined) {
      // Bytes that nobody asked for: an answer that would be taken for that of the next request.
      this.#socket.destroy(failure('HPE_UNEXPECTED'));
      return false;
    }
    if (!this.#inScratch) return served.landed(count);
    // Looked at again since the room was given, the bytes before it may be used up.
    if (this.#roomAt !== this.#kept) this.#scratch.copyWithin(this.#kept, this.#roomAt, this.#roomAt + count);
    this.#look(served, this.#kept + count);
    return true;
  }

  #look(served: Served, filled: number): void {
    const kept = served.scratched(this.#scratch, filled);
    this.#kept = this.#served === undefined ? 0 : kept;
  }

  /** Who is served may now make more of the bytes that it let stay. */
  lookAgain(): void {
    if (this.#served !== undefined && this.#kept > 0) this.#look(this.#served, this.#kept);
  }

  serve(served: Served): void {
    this.#deadlines.clear(this);
    this.#onIdleClose = undefined;
    this.#served = served;
    this.#socket.ref();
  }

  get readsIntoScratch(): boolean {
    return this.#inScratch;
  }

  get destroyed(): boolean {
    return this.#socket.destroyed;
  }

  sendHead(head: string): void {
    this.#socket.write(head, 'latin1');
  }

  /** A head and a body that is whole, in as few writes as serve. */
  send(head: string, body: Uint8Array, progress: Progress): void {
    const socket = this.#socket;
    if (body.length <= ONE_WRITE) {
      this.#sendSlice(this.#outbox.pack(head, body), progress.sent);
      // What the kernel did not take at once is still read from there.
      if (socket.writableLength > 0) this.#outbox.renew();
      progress.handed();
      return;
    }
    if (this.#secure) {
      socket.write(head, 'latin1');
      this.#sendSlices(body, 0, progress);
      return;
    }
    socket.cork();
    socket.write(head, 'latin1');
    this.#sendSlice(body, progress.sent);
    socket.uncork();
    progress.handed();
  }

  #sendSlices(body: Uint8Array, at: number, progress: Progress): void {
    const end = Math.min(at + TLS_WRITE, body.length);
    const last = end === body.length;
    this.#sendSlice(body.subarray(at, end), () => {
      if (last) progress.sent();
      else if (!this.#socket.destroyed) this.#sendSlices(body, end, progress);
    });
    if (last) progress.handed();
  }

  #sendSlice(bytes: Uint8Array, sent: () => void): void {
    this.#socket.write(bytes, (error) => { if (error === undefined || error === null) sent(); });
  }

  /** A piece of a body, and what goes before it; resolves when the kernel has it, so that its memory may change. Never rejects: `broken` is told. */
  write(before: Uint8Array | undefined, piece: Uint8Array): Promise<void> {
    const socket = this.#socket;
    return new Promise((resolve) => {
      // TLS would copy both into one buffer.
      if (before !== undefined && !this.#secure) socket.cork();
      if (before !== undefined) socket.write(before);
      socket.write(piece, () => { resolve(); });
      if (before !== undefined && !this.#secure) socket.uncork();
    });
  }

  /** Reads go on after landed() answered false. */
  resume(): void {
    if (!this.#socket.destroyed) this.#socket.resume();
  }

  /**
   * The exchange is over and nothing came behind its answer so far. Two turns of the event loop later, when what the server had sent by
   * then has been seen, `rested` is told: it may be destroyed by then.
   */
  rest(rested: () => void): void {
    this.free();
    this.#socket.resume();
    setImmediate(() => setImmediate(rested));
  }

  /** The exchange is over. */
  free(): void {
    this.#served = undefined;
    this.#kept = 0;
  }

  /** Idle from now on; `closed` is told once when it closes before it serves again. */
  idle(keepSeconds: number | undefined, closed: () => void): void {
    this.#onIdleClose = closed;
    const ms = keepSeconds === undefined ? IDLE_MS : Math.min(IDLE_MS, keepSeconds * 1000 - MARGIN_MS);
    this.#socket.unref();
    this.#deadlines.set(this, Math.max(0, ms));
  }

  /** Idle for too long. */
  late(): void {
    this.#socket.destroy();
  }

  /** At once, whatever it does; who is served is not told. */
  destroy(): void {
    this.#served = undefined;
    this.#socket.destroy();
  }

  close(): Promise<void> {
    this.#onIdleClose = undefined;
    if (this.#socket.closed) return Promise.resolve();
    return new Promise((resolve) => {
      this.#socket.once('close', () => { resolve(); });
      this.#socket.destroy();
    });
  }
}

function connectTls(target: Target, common: tls.ConnectionOptions): tls.TLSSocket {
  const { host, memory } = target;
  return tls.connect({
    ...common, ...target.tls, ALPNProtocols: ['http/1.1'],
    ...(net.isIP(host) === 0 ? { servername: host } : {}),
    ...(memory.session === undefined ? {} : { session: memory.session }),
  });
}
