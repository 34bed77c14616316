/** What lanes do that undici does not, and where they hand over to it. */
import assert from 'node:assert/strict';
import net from 'node:net';
import type { AddressInfo, Socket } from 'node:net';
import { test } from 'node:test';
import { DEFAULT_TIMEOUTS } from '../transport.ts';
import type { HttpRequest, ResponseBody } from '../transport.ts';
import { code, emptied, get, ok, withServer } from '../raw-server.test-kit.ts';
import { createTransport } from '../wire.ts';

const MiB = 2 ** 20;

function noise(size: number): Buffer {
  const bytes = Buffer.alloc(size);
  for (let i = 0, state = 1; i < size; i++) bytes[i] = (state = (state * 1_103_515_245 + 12_345) & 0x7fffffff) >>> 16;
  return bytes;
}

async function gather(body: ResponseBody): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of body) chunks.push(Buffer.from(chunk));
  return Buffer.concat(chunks);
}

const withLength = (socket: Socket, bytes: Buffer, more = ''): void => {
  socket.write(`HTTP/1.1 200 OK\r\n${more}content-length: ${bytes.length}\r\n\r\n`);
  socket.write(bytes);
};
const put = (origin: string, body: HttpRequest['body'], bodySize: number): HttpRequest => ({ origin, method: 'PUT', path: '/k', headers: [], body: body as Uint8Array, bodySize });

test('a part lands in the buffer that was brought, each chunk in its place and in order', async () => {
  const bytes = noise(3 * MiB + 17);
  await withServer((socket) => withLength(socket, bytes), async ({ origin, transport, sockets }) => {
    for (let i = 0; i < 3; i++) {
      const into = Buffer.alloc(bytes.length);
      const { body } = await transport.send({ ...get(origin), into, answerSize: into.length });
      let at = 0;
      for await (const chunk of body) {
        assert.equal(chunk.byteOffset - into.byteOffset, at);
        assert.equal(chunk.buffer, into.buffer);
        at += chunk.length;
      }
      assert.ok(into.equals(bytes));
    }
    assert.equal(sockets.size, 1, 'one connection served them all');
  });
});

test('a body that is left early never touches the brought buffer again, and its connection serves on only if it may', async () => {
  const bytes = noise(60_000);
  let go: (() => void) | undefined;
  await withServer((socket) => {
    socket.write(`HTTP/1.1 200 OK\r\ncontent-length: ${bytes.length}\r\n\r\n`);
    socket.write(bytes.subarray(0, 20_000));
    go = () => { socket.write(bytes.subarray(20_000)); };
  }, async ({ origin, transport, sockets }) => {
    for (const size of [bytes.length, 0]) {
      const into = Buffer.alloc(bytes.length);
      const { body } = await transport.send({ ...get(origin), ...(size === 0 ? {} : { into, answerSize: into.length }) });
      for await (const chunk of body) if (chunk.length > 0) break;
      into.fill(0);
      go?.();
      await new Promise((resolve) => setTimeout(resolve, 30));
      if (size === 0) assert.equal(sockets.size, 1);
      else await emptied(sockets);
      assert.ok(into.equals(Buffer.alloc(bytes.length)));
    }
  });
});

test('an answer of another length or status than expected leaves the brought buffer alone', async () => {
  const into = Buffer.alloc(100_000, 7);
  for (const answer of [(socket: Socket) => withLength(socket, noise(99_999)), (socket: Socket) => socket.write(`HTTP/1.1 404 No\r\ncontent-length: 100000\r\n\r\n${'x'.repeat(100_000)}`)]) {
    await withServer(answer, async ({ origin, transport }) => {
      const { body } = await transport.send({ ...get(origin), into, answerSize: into.length });
      assert.ok((await gather(body)).length >= 99_999);
      assert.ok(into.equals(Buffer.alloc(100_000, 7)));
    });
  }
});

test('a stream goes through a few buffers, whose chunks are good until the next is asked for, however the bytes come', async () => {
  const bytes = noise(5 * MiB + 3);
  const drip = async (socket: Socket): Promise<void> => {
    socket.write(`HTTP/1.1 200 OK\r\ncontent-length: ${bytes.length}\r\n\r\n`);
    for (let at = 0, step = 1; at < bytes.length; at += step, step = (step * 7) % 400_009) {
      socket.write(bytes.subarray(at, at + step));
      if (step % 3 === 0) await new Promise((resolve) => setTimeout(resolve, 1));
    }
  };
  await withServer((socket) => { void drip(socket); }, async ({ origin, transport }) => {
    const { body } = await transport.send(get(origin));
    assert.ok((await gather(body)).equals(bytes));
  });
});

test('a smuggled second answer, or any byte behind the first, ends the connection: it is never taken for the next answer', async () => {
  const bytes = noise(200_000);
  let asked = 0;
  await withServer((socket) => {
    asked++;
    withLength(socket, bytes);
    socket.write('HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nevil');
  }, async ({ origin, transport }) => {
    for (let i = 0; i < 5; i++) {
      const { body } = await transport.send(get(origin));
      const got = await gather(body).catch((error: unknown) => error);
      if (Buffer.isBuffer(got)) assert.ok(got.equals(bytes));
    }
    assert.equal(asked, 5);
  });
});

test('the same behind a short answer, whose connection does not rest', async () => {
  const right = 'HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\ngood';
  let asked = 0;
  await withServer((socket) => {
    asked++;
    socket.write(asked % 2 === 0 ? right : `${right}HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nevil`);
  }, async ({ origin, transport }) => {
    let served = 0;
    for (let i = 0; i < 20; i++) {
      const got = await transport.send({ ...get(origin), answerSize: 4 }).then(({ body }) => body.collect(100)).catch((error: unknown) => error);
      if (!Buffer.isBuffer(got)) continue;
      served++;
      assert.equal(got.toString(), 'good');
    }
    assert.ok(served >= 10);
    assert.equal(asked, 20);
  });
});

test('short requests of one turn go out together and each gets its own answer; one that is stopped before never goes', async () => {
  await withServer((socket, head) => ok(socket, head.split(' ')[1]), async ({ origin, transport, seen }) => {
    const ask = (i: number, signal?: AbortSignal): Promise<string> =>
      transport.send({ ...get(origin, `/${i}`), answerSize: 2, ...(signal === undefined ? {} : { signal }) }).then(async ({ body }) => Buffer.from(await body.whole?.() ?? []).toString());
    await Promise.all(Array.from({ length: 4 }, (_, i) => ask(i)));
    const stop = new AbortController();
    const all = Array.from({ length: 40 }, (_, i) => ask(10 + i));
    const stopped = ask(99, stop.signal);
    stop.abort();
    await assert.rejects(stopped, code('E_CANCELLED', 'cancelled'));
    assert.deepEqual(await Promise.all(all), Array.from({ length: 40 }, (_, i) => `/${10 + i}`));
    assert.ok(!seen.some((head) => head.startsWith('GET /99 ')));
  });
});

test('short bodies are put together with their heads in memory that is used again: each arrives as it was', async () => {
  const got: string[] = [];
  const server = net.createServer((socket) => {
    let text = '';
    socket.on('error', () => { /* the client may hang up */ }).on('data', (data) => {
      text += data.toString('latin1');
      for (let found = /^PUT [\s\S]*?content-length: (\d+)\r\n\r\n/.exec(text); found !== null && text.length >= found[0].length + Number(found[1]); found = /^PUT [\s\S]*?content-length: (\d+)\r\n\r\n/.exec(text)) {
        const end = found[0].length + Number(found[1]);
        got.push(text.slice(found[0].length, end));
        text = text.slice(end);
        ok(socket);
      }
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const transport = createTransport({ connections: 3, timeouts: DEFAULT_TIMEOUTS, lanes: 'auto' });
  const bodies = Array.from({ length: 60 }, (_, i) => Buffer.alloc(i * 300, i + 1));
  await Promise.all(bodies.map(async (body) => { (await transport.send(put(origin, body, body.length))).body.discard(); }));
  assert.deepEqual(new Set(got), new Set(bodies.map((body) => body.toString('latin1'))));
  assert.equal(got.length, bodies.length);
  assert.ok(transport.counts.lanes >= 59, 'an empty body goes the general way or this one');
  await transport.close();
  await new Promise((resolve) => server.close(resolve));
});

test('a connection that the server closes while it rests is not used again; one that it closes in answer to a request is a transient error', async () => {
  let closing = false;
  await withServer((socket) => { if (closing) socket.destroy(); else ok(socket, 'one'); }, async ({ origin, transport, sockets }) => {
    await gather((await transport.send(get(origin))).body);
    for (const socket of sockets) socket.end();
    await emptied(sockets);
    assert.equal((await gather((await transport.send(get(origin))).body)).toString(), 'one');
    closing = true;
    await assert.rejects(transport.send(get(origin)), code('E_NETWORK'));
    await emptied(sockets);
  });
});

test('a PUT of a whole part and of a stream arrive byte for byte, framed by their length', async () => {
  const bytes = noise(6 * MiB + 1);
  const got: Buffer[] = [];
  const server = net.createServer((socket) => {
    let all = Buffer.alloc(0);
    socket.on('error', () => { /* the client hangs up at the end */ }).on('data', (data) => {
      all = Buffer.concat([all, data]);
      const end = all.indexOf('\r\n\r\n') + 4;
      if (end < 4 || all.length < end + bytes.length) return;
      assert.match(all.toString('latin1', 0, end), /^PUT \/k HTTP\/1\.1\r\nhost: 127\.0\.0\.1:\d+\r\n[^]*content-length: 6291457\r\n/);
      got.push(Buffer.from(all.subarray(end)));
      all = Buffer.alloc(0);
      ok(socket);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const transport = createTransport({ connections: 2, timeouts: DEFAULT_TIMEOUTS, lanes: 'auto' });
  /** One buffer for all pieces, as a driver may do it. */
  async function* reused(): AsyncGenerator<Uint8Array> {
    const buffer = Buffer.alloc(300_000);
    for (let at = 0, step = 3; at < bytes.length; at += step, step = 1 + (step * 11) % 300_000) {
      step = Math.min(step, bytes.length - at);
      bytes.copy(buffer, 0, at, at + step);
      yield buffer.subarray(0, step);
    }
  }
  for (const body of [bytes, reused(), bytes]) {
    const answer = await transport.send(put(origin, body, bytes.length));
    assert.equal(answer.status, 200);
    answer.body.discard();
  }
  assert.ok(got.length === 3 && got.every((one) => one.equals(bytes)));
  await transport.close();
  await new Promise((resolve) => server.close(resolve));
});

test('an error that answers a PUT before its end is told, and ends the connection; a success before its end is no success', async () => {
  const body = Buffer.alloc(32 * MiB);
  for (const [answer, expected] of [['HTTP/1.1 403 No\r\ncontent-length: 2\r\n\r\nno', 403], ['HTTP/1.1 503 Slow\r\ntransfer-encoding: chunked\r\n\r\n2\r\nno\r\n0\r\n\r\n', 503], ['HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n', 'E_PROTOCOL']] as const) {
    await withServer((socket) => { socket.pause(); socket.write(answer); }, async ({ origin, transport, sockets }) => {
      const sent = transport.send(put(origin, body, body.length));
      if (typeof expected === 'string') await assert.rejects(sent, code(expected));
      else {
        const response = await sent;
        assert.equal(response.status, expected);
        assert.equal((await response.body.collect(10)).toString(), 'no');
      }
      for (const socket of sockets) socket.resume();
      await emptied(sockets);
    });
  }
});

test('interim answers are passed over, too many are not', async () => {
  for (const [count, good] of [[1, true], [8, true], [9, false]] as const) {
    await withServer((socket) => { socket.write('HTTP/1.1 103 Early\r\nx: y\r\n\r\n'.repeat(count)); ok(socket, 'body'); }, async ({ origin, transport, seen }) => {
      // What is refused here is no better elsewhere: the request is repeated by others, or not at all.
      if (good) assert.equal((await gather((await transport.send(get(origin))).body)).toString(), 'body');
      else await assert.rejects(transport.send(get(origin)), code('E_PROTOCOL'));
      assert.equal(seen.length, 1);
    });
  }
});

test('lawful but not spoken here: a GET goes to undici at once; after two in a row all requests do', async () => {
  const ways: ((socket: Socket) => unknown)[] = [
    (socket) => socket.write('HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\n\r\n'),
    (socket) => socket.end('HTTP/1.1 200 OK\r\n\r\nbody'),
    (socket) => socket.end('HTTP/1.0 200 OK\r\ncontent-length: 4\r\n\r\nbody'),
  ];
  for (const way of ways) {
    await withServer((socket) => way(socket), async ({ origin, transport, seen }) => {
      for (let i = 0; i < 4; i++) assert.equal((await gather((await transport.send(get(origin))).body)).toString(), 'body');
      assert.equal(seen.length, 6);
    });
  }
  await withServer((socket) => socket.end('HTTP/1.0 200 OK\r\n\r\n'), async ({ origin, transport }) => {
    const body = Buffer.from('content');
    for (let i = 0; i < 2; i++) await assert.rejects(transport.send(put(origin, body, body.length)), code('E_PROTOCOL'));
    assert.equal((await transport.send(put(origin, body, body.length))).status, 200);
  });
});

test('small and bulk requests stay within one budget of connections, and none is starved', async () => {
  const bytes = noise(MiB);
  const most = { now: 0, ever: 0 };
  await withServer((socket, head) => {
    most.ever = Math.max(most.ever, most.now);
    setTimeout(() => { if (head.startsWith('GET /bulk')) withLength(socket, bytes); else ok(socket, 'small'); }, 1);
  }, async ({ origin, transport, sockets }) => {
    const watch = setInterval(() => { most.now = sockets.size; most.ever = Math.max(most.ever, sockets.size); }, 1);
    const one = async (i: number): Promise<void> => {
      const bulk = i % 3 === 0;
      const { body } = await transport.send({ ...get(origin, bulk ? '/bulk' : '/small'), ...(bulk ? { answerSize: MiB } : {}) });
      assert.equal((await gather(body)).length, bulk ? MiB : 5);
    };
    await Promise.all(Array.from({ length: 60 }, (_, i) => one(i)));
    for (let i = 0; i < 12; i++) await one(i);
    clearInterval(watch);
    assert.ok(most.ever <= 4, `${most.ever} connections at once`);
  }, { make: (options) => createTransport({ ...options, lanes: 'auto' }) });
});

test('a request that is stopped while it waits for a connection leaves the next in line its turn', async () => {
  const held: Socket[] = [];
  await withServer((socket, head) => { if (head.startsWith('GET /hold')) held.push(socket); else ok(socket, 'x'); }, async ({ origin, transport }) => {
    const first = transport.send(get(origin, '/hold'));
    while (held.length === 0) await new Promise((resolve) => setTimeout(resolve, 5));
    const stop = new AbortController();
    const stopped = transport.send({ ...get(origin), signal: stop.signal });
    const next = transport.send(get(origin));
    stop.abort();
    await assert.rejects(stopped, code('E_CANCELLED', 'cancelled'));
    for (const socket of held) ok(socket, 'held');
    assert.equal((await gather((await first).body)).toString(), 'held');
    assert.equal((await gather((await next).body)).toString(), 'x');
  }, { connections: 1 });
});

test('a reader that takes its time is not silence of the server, and a paused body goes on', async () => {
  const bytes = noise(4 * MiB);
  await withServer((socket) => withLength(socket, bytes), async ({ origin, transport }) => {
    const { body } = await transport.send(get(origin));
    const chunks: Buffer[] = [];
    for await (const chunk of body) {
      chunks.push(Buffer.from(chunk));
      if (chunks.length === 1) await new Promise((resolve) => setTimeout(resolve, 3000));
    }
    assert.ok(Buffer.concat(chunks).equals(bytes));
  }, { timeouts: { ...DEFAULT_TIMEOUTS, idle: 2000 } });
});

test('what would break out of the head of a request never leaves', async () => {
  await withServer((socket) => ok(socket), async ({ origin, transport, seen }) => {
    for (const bad of [{ path: '/a b' }, { path: '/a\r\nx: y' }, { headers: ['x', 'a\r\nb: c'] }, { headers: ['x', 'a\0'] }]) await assert.rejects(transport.send({ ...get(origin), ...bad }), code('E_NETWORK'));
    assert.equal(seen.length, 0);
  });
});

test('an answer to HEAD tells a length and has no body', async () => {
  await withServer((socket) => socket.write('HTTP/1.1 200 OK\r\ncontent-length: 12345\r\n\r\n'), async ({ origin, transport, sockets }) => {
    for (let i = 0; i < 3; i++) {
      const { headers, body } = await transport.send({ ...get(origin), method: 'HEAD' });
      assert.equal(headers['content-length'], '12345');
      assert.equal((await body.collect(10)).length, 0);
    }
    assert.equal(sockets.size, 1);
  });
});
