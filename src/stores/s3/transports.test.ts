/** What every transport must do, tried on a server of raw bytes: undici, and lanes for everything. */
import assert from 'node:assert/strict';
import net from 'node:net';
import type { AddressInfo, Socket } from 'node:net';
import { test } from 'node:test';
import { code, emptied, get, ok, WAYS, withServer as serve } from './raw-server.test-kit.ts';
import type { Make, Raw } from './raw-server.test-kit.ts';
import { DEFAULT_TIMEOUTS } from './transport.ts';
import type { TransportOptions } from './transport.ts';
import { createUndiciTransport } from './undici.ts';

type Serve = (answer: (socket: Socket, head: string) => void, run: (raw: Raw) => Promise<void>, options?: Partial<TransportOptions>) => Promise<void>;

function over(make: Make): Serve {
  return (answer, run, options = {}) => serve(answer, run, { ...options, make });
}

function each(title: string, run: (withServer: Serve, make: Make) => Promise<void>): void {
  for (const [name, make] of Object.entries(WAYS)) test(`${title} (${name})`, () => run(over(make), make));
}

const withServer = over(createUndiciTransport);

each('F033, F035: the path goes out as given: `//`, `..`, `.` and encoded bytes', async (withServer) => {
  const paths = ['/b//a', '/b/a//b/', '/b/..', '/b/../../c', '/b/./x', '/b/%2E%2E/%2B%20?list-type=2&prefix=a%2F%2F', '//b/x'];
  await withServer((socket) => ok(socket), async ({ origin, transport, seen }) => {
    for (const path of paths) (await transport.send(get(origin, path))).body.discard();
    assert.deepEqual(seen.map((head) => head.split(' ')[1]), paths);
  });
});

each('F079: a redirect is an answer, never followed', async (withServer) => {
  await withServer((socket) => socket.write('HTTP/1.1 307 T\r\nlocation: http://127.0.0.1:1/x\r\ncontent-length: 0\r\n\r\n'), async ({ origin, transport, seen }) => {
    assert.equal((await transport.send(get(origin))).status, 307);
    assert.equal(seen.length, 1);
  });
});

each('F001: a body cut before its Content-Length is E_SHORT_READ', async (withServer) => {
  await withServer((socket) => socket.end('HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf'), async ({ origin, transport }) => {
    const { body } = await transport.send(get(origin));
    await assert.rejects(body.collect(1000), code('E_SHORT_READ'));
  });
});

each('F002: a body that stalls is E_STALLED and its socket is gone', async (withServer) => {
  const timeouts = { ...DEFAULT_TIMEOUTS, idle: 100 };
  await withServer((socket) => socket.write('HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf'), async ({ origin, transport, sockets }) => {
    const { body } = await transport.send(get(origin));
    await assert.rejects(body.collect(1000), code('E_STALLED'));
    await emptied(sockets);
  }, { timeouts });
});

each('one signal stops all exchanges that have it, and no other', async (withServer) => {
  await withServer((socket) => socket.write('HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf'), async ({ origin, transport }) => {
    const stop = new AbortController();
    const mine = await Promise.all([1, 2, 3].map(() => transport.send({ ...get(origin), signal: stop.signal })));
    const other = await transport.send({ ...get(origin), signal: new AbortController().signal });
    stop.abort();
    for (const { body } of mine) await assert.rejects(body.collect(1000), code('E_CANCELLED', 'cancelled'));
    const next = other.body as AsyncIterable<Uint8Array>;
    for await (const chunk of next) { assert.equal(Buffer.from(chunk).toString(), 'half'); break; }
  });
});

each('an answer that never comes is a transient network error', async (withServer) => {
  await withServer(() => { /* silence */ }, async ({ origin, transport }) => {
    await assert.rejects(transport.send(get(origin)), code('E_NETWORK'));
  }, { timeouts: { ...DEFAULT_TIMEOUTS, headers: 100 } });
});

each('F004: bodies that are discarded, abandoned or aborted leave no socket behind', async (withServer) => {
  const big = `HTTP/1.1 200 OK\r\ncontent-length: 1000000\r\n\r\n${'x'.repeat(200_000)}`;
  await withServer((socket) => socket.write(big), async ({ origin, transport, sockets }) => {
    for (let i = 0; i < 300; i++) {
      const stop = new AbortController();
      const { body } = await transport.send({ ...get(origin), signal: stop.signal });
      if (i % 3 === 0) body.discard();
      else if (i % 3 === 1) stop.abort();
      else for await (const chunk of body) if (chunk.length > 0) break;
    }
    await emptied(sockets);
  });
});

each('a small rest of a body is swallowed and its connection used again', async (withServer) => {
  await withServer((socket) => ok(socket, 'x'.repeat(1000)), async ({ origin, transport, sockets }) => {
    for (let i = 0; i < 20; i++) (await transport.send(get(origin))).body.discard();
    assert.equal(sockets.size, 1);
  }, { connections: 1 });
});

each('a reader that is slow stops the sender, and every byte arrives in order', async (withServer) => {
  const size = 8 * 1024 * 1024;
  const payload = Buffer.alloc(size, (() => { let n = 0; return String.fromCharCode(65 + (n++ % 26)); })());
  let flushed = false;
  await withServer((socket) => {
    socket.write(`HTTP/1.1 200 OK\r\ncontent-length: ${size}\r\n\r\n`);
    socket.write(payload, () => { flushed = true; });
  }, async ({ origin, transport }) => {
    const { body } = await transport.send(get(origin));
    await new Promise((resolve) => setTimeout(resolve, 100));
    assert.equal(flushed, false, 'the sender was not held back');
    assert.ok((await body.collect(size)).equals(payload));
  });
});

each('F118: endless headers and endless bodies are cut off', async (withServer) => {
  await withServer((socket, head) => {
    if (head.startsWith('GET /head')) socket.write(`HTTP/1.1 200 OK\r\n${'a: b\r\n'.repeat(100)}x: ${'y'.repeat(20_000)}\r\n\r\n`);
    else ok(socket, 'z'.repeat(5000));
  }, async ({ origin, transport }) => {
    await assert.rejects(transport.send(get(origin, '/head')), code('E_PROTOCOL'));
    const { body } = await transport.send(get(origin, '/body'));
    await assert.rejects(body.collect(4999), code('E_ANSWER_TOO_LARGE'));
  });
});

each('F012: a streamed body with another length than declared fails before the request is whole', async (withServer) => {
  async function* pieces(count: number): AsyncGenerator<Uint8Array> {
    for (let i = 0; i < count; i++) yield Buffer.from('12345');
  }
  await withServer(() => { /* waits for the rest */ }, async ({ origin, transport }) => {
    for (const count of [1, 3]) {
      const request = { ...get(origin), method: 'PUT', body: pieces(count), bodySize: 10 };
      await assert.rejects(transport.send(request), code('E_BODY_SIZE'));
    }
  });
});

each('refused, unresolved, not HTTP, aborted: each has its own code', async (withServer) => {
  await withServer((socket) => socket.end('SSH-2.0-OpenSSH\r\n'), async ({ origin, transport }) => {
    await assert.rejects(transport.send(get(origin)), code('E_PROTOCOL'));
    await assert.rejects(transport.send(get('http://127.0.0.1:1')), code('E_NETWORK'));
    const signal = AbortSignal.abort();
    await assert.rejects(transport.send({ ...get(origin), signal }), code('E_CANCELLED', 'cancelled'));
  });
});

each('an endpoint that does not speak TLS is a premise, not a flaky network', async (_, make) => {
  const server = net.createServer((socket) => socket.on('error', () => { /* the client hangs up */ }).resume().end('HTTP/1.1 400 Bad Request\r\n\r\n'));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const transport = make({ connections: 1, timeouts: DEFAULT_TIMEOUTS });
  await assert.rejects(transport.send(get(`https://127.0.0.1:${(server.address() as AddressInfo).port}`)), code('E_TLS', 'premise'));
  await transport.close();
  await new Promise((resolve) => server.close(resolve));
});

test('a small body that comes at once is handed out whole, in one piece or several, behind the head or with it', async () => {
  const head = 'HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n';
  const ways: ((socket: Socket) => void)[] = [
    (socket) => socket.write(`${head}0123456789`),
    (socket) => { socket.write(head); setImmediate(() => { socket.write('01234'); setImmediate(() => socket.write('56789')); }); },
    (socket) => { socket.write('HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\n0123\r\n'); setImmediate(() => socket.write('6\r\n456789\r\n0\r\n\r\n')); },
  ];
  for (const way of ways) {
    await withServer(way, async ({ origin, transport, sockets }) => {
      for (let i = 0; i < 3; i++) assert.equal(Buffer.from(await (await transport.send(get(origin))).body.whole?.() ?? []).toString(), '0123456789');
      assert.equal(sockets.size, 1, 'the connection serves again');
    }, { connections: 1 });
  }
  await withServer((socket) => ok(socket), async ({ origin, transport }) => {
    assert.equal((await (await transport.send(get(origin))).body.whole?.())?.length, 0);
  });
});

test('F001, F002: a body awaited whole that is cut, silent, large or aborted is met piece by piece, with its own error', async () => {
  const meet = async ({ origin, transport }: Raw, error: string): Promise<void> => {
    const { body } = await transport.send(get(origin));
    assert.equal((await body.whole?.())?.length, undefined);
    await assert.rejects(body.collect(2 ** 20), code(error));
  };
  const half = 'HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf';
  await withServer((socket) => { socket.write(half); setTimeout(() => socket.destroy(), 20); }, (raw) => meet(raw, 'E_SHORT_READ'));
  await withServer((socket) => socket.write(half), (raw) => meet(raw, 'E_STALLED'), { timeouts: { ...DEFAULT_TIMEOUTS, idle: 1500 } });
  await withServer((socket) => socket.write(half), async ({ origin, transport }) => {
    const stop = new AbortController();
    const { body } = await transport.send({ ...get(origin), signal: stop.signal });
    setTimeout(() => stop.abort(), 50);
    assert.equal((await body.whole?.())?.length, undefined);
    await assert.rejects(body.collect(2 ** 20), code('E_CANCELLED', 'cancelled'));
  });
  const endless = (socket: Socket): unknown => socket.write(`HTTP/1.1 200 OK\r\n\r\n${'x'.repeat(3 * 2 ** 20)}`);
  await withServer(endless, (raw) => meet(raw, 'E_ANSWER_TOO_LARGE'));
  await withServer((socket) => socket.write(half), async ({ origin, transport }) => {
    const { body } = await transport.send(get(origin));
    const awaited = body.whole?.();
    body.discard();
    assert.equal(await awaited, undefined);
  });
});

test('requests to a plain endpoint go through a proxy when one is given', async () => {
  await withServer((socket, head) => {
    if (head.startsWith('CONNECT')) socket.write('HTTP/1.1 200 OK\r\n\r\n');
    else ok(socket, head.split(' ')[1]);
  }, async ({ origin }) => {
    const proxied = createUndiciTransport({ connections: 2, timeouts: DEFAULT_TIMEOUTS, proxy: origin });
    const { body } = await proxied.send(get('http://store.invalid:9000', '/b//k?x=1'));
    assert.match((await body.collect(100)).toString(), /\/b\/\/k\?x=1$/);
    await proxied.close();
  });
});
