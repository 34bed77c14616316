/**
 * An HTTP relay before a store that keeps writes back in the middle: what a machine that is suspended has in the buffers of its network, and lets go
 * when it wakes.
 */
import { createServer, type IncomingMessage, request, type ServerResponse } from 'node:http';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';

export interface Hold {
  /** The first write of it is held: path of the URL, with the bucket; `part`: that part of an upload. */
  readonly path: string;
  readonly part?: number;
  /** `all`: the client could send everything, and half of it is kept here. `half`: the client itself was stopped half way. */
  readonly takes: 'all' | 'half';
}

export interface HeldWrites {
  readonly url: string;
  /** All of them came and are held. */
  readonly caught: boolean;
  /** How each held write was answered by the store, in the order of the holds; undefined: not, or not yet. */
  readonly answers: readonly (number | undefined)[];
  /** Other writes of a path that the store answered well. */
  written(path: string): number;
  release(): void;
  close(): Promise<void>;
}

/** `target`: URL of the store. The Host header passes as it is, so that signatures hold. */
export async function holdWrites(target: string, holds: readonly Hold[]): Promise<HeldWrites> {
  const { hostname, port } = new URL(target);
  const state = { caught: holds.map(() => false), answers: holds.map((): number | undefined => undefined), others: new Map<string, number>() };
  let release = (): void => undefined;
  const released = new Promise<void>((resolve) => { release = resolve; });

  const holdOf = ({ method, url = '/' }: IncomingMessage): number => {
    if (method !== 'PUT') return -1;
    const { pathname, searchParams } = new URL(url, target);
    return holds.findIndex(({ path, part }, i) => !state.caught[i] && pathname === path && (searchParams.get('partNumber') ?? undefined) === (part === undefined ? undefined : String(part)));
  };
  async function* half(incoming: IncomingMessage, which: number): AsyncGenerator<Buffer> {
    const passes = Number(incoming.headers['content-length']) / 2;
    const kept: Buffer[] = [];
    let seen = 0;
    for await (const chunk of incoming as AsyncIterable<Buffer>) {
      seen += chunk.length;
      if (seen <= passes) yield chunk;
      else kept.push(chunk);
      if (seen <= passes || state.caught[which] || holds[which]?.takes === 'all') continue;
      state.caught[which] = true;
      await released;
    }
    state.caught[which] = true;
    await released;
    yield* kept;
  }
  const forward = async (incoming: IncomingMessage, response: ServerResponse): Promise<void> => {
    const which = holdOf(incoming);
    const call = request({ host: hostname, port, method: incoming.method, path: incoming.url, headers: withoutHop(incoming.rawHeaders), setHost: false });
    const answered = once(call, 'response') as Promise<[IncomingMessage]>;
    // Only the answer counts: a store may answer before it has read everything.
    pipeline(which < 0 ? incoming : Readable.from(half(incoming, which), { objectMode: false }), call).catch(() => undefined);
    const [answer] = await answered;
    if (which >= 0) state.answers[which] = answer.statusCode;
    else if (incoming.method === 'PUT' && answer.statusCode === 200) {
      const path = new URL(incoming.url ?? '/', target).pathname;
      state.others.set(path, (state.others.get(path) ?? 0) + 1);
    }
    response.writeHead(answer.statusCode ?? 502, withoutHop(answer.rawHeaders));
    await pipeline(answer, response);
  };
  const server = createServer({ requestTimeout: 0 }, (incoming, response) => {
    // One end went away: so does the other.
    forward(incoming, response).catch(() => response.destroy());
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    get caught() { return state.caught.every(Boolean); },
    answers: state.answers, release,
    written: (path) => state.others.get(path) ?? 0,
    close: async () => {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };
}

/** What concerns one connection stays with it; the relay itself has answered 100-continue. */
function withoutHop(raw: readonly string[]): string[] {
  return raw.flatMap((name, i) => (i % 2 === 1 || /^(connection|keep-alive|expect|transfer-encoding)$/i.test(name) ? [] : [name, raw[i + 1] ?? '']));
}
