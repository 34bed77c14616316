/** Throttling, time, credentials and the network: a failed premise pauses or waits, and costs no object an attempt. */
import assert from 'node:assert/strict';
import { createServer, request } from 'node:http';
import { connect, type AddressInfo } from 'node:net';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import type { RequestHook } from '../../src/agent/endpoint.ts';
import type { AccessKey } from '../../src/agent/sigv4.ts';
import { MiB } from '../../src/core/units.ts';
import { type Ended, fastClock, Lab } from './failures-lab.ts';

const allFirst = (ended: Ended): boolean => [...ended.rows.values()].every(({ attempts }) => attempts === 1);

describe('throttling', () => {
  test('F081: sixty seconds of 503 SlowDown: every object arrives in its first attempt, and the store is not stormed', async () => {
    const clock = fastClock();
    let began: number | undefined;
    let refused = 0;
    const hook: RequestHook = ({ operation, key }) => {
      if (!/^(GetObject|PutObject)$/.test(operation) || key.startsWith('.brigade')) return undefined;
      began ??= clock.monotonic();
      if (clock.monotonic() - began > 60_000) return undefined;
      refused++;
      return { code: 'SlowDown', headers: { 'retry-after': '1' } };
    };
    const lab = await Lab.open({ onRequest: hook });
    await lab.putMany(60);
    const ended = await lab.run({}, { onPause: 'auto' }, { clock });
    assert.deepEqual([ended.exit, ended.tally.copied.objects, ended.tally.failed.objects, allFirst(ended)], [0, 60, 0, true]);
    assert.ok(ended.events.some(({ type }) => type === 'throttled'), 'and that is told');
    assert.ok(refused < 60 * 16, `${refused} requests into the storm of 60 s`);
  });

  test('F081: codes of all sorts that ask for patience burn no attempt', async () => {
    const codes = ['SlowDown', 'RequestLimitExceeded', 'ThrottlingException', 'TooManyRequests', 'ServiceUnavailable'];
    const lab = await Lab.open({ onRequest: ({ operation, bucket, key }) => (operation === 'PutObject' && bucket === 'dest' && !key.startsWith('.') && codes.length > 0 ? { code: codes.pop() ?? '', status: 503 } : undefined) });
    await lab.putMany(10);
    const ended = await lab.run();
    assert.deepEqual([ended.exit, ended.tally.copied.objects, codes.length, allFirst(ended)], [0, 10, 0, true]);
  });
});

describe('credentials', () => {
  const session = (id: string): Required<Omit<AccessKey, 'readOnly' | 'buckets'>> => ({ id, secret: `secret-of-${id}`, sessionToken: `token-of-${id}`, expiresAt: Number.MAX_SAFE_INTEGER });
  const document = ({ id, secret, sessionToken }: ReturnType<typeof session>): string => JSON.stringify({ access_key_id: id, secret_access_key: secret, session_token: sessionToken });

  async function withSession(onRequest: (lab: Lab, keys: AccessKey[], renew: () => void) => RequestHook): Promise<{ readonly lab: Lab; readonly setup: { readonly source: string; readonly more: string } }> {
    const keys: AccessKey[] = [{ id: 'AKIAEXAMPLE', secret: 'right-secret' }, session('ASIAFIRST')];
    const holder: { hook?: RequestHook } = {};
    const lab = await Lab.open({ accessKeys: keys, onRequest: (info) => holder.hook?.(info) });
    const file = join(lab.dir, 'session.json');
    const renew = (): void => { keys.push(session('ASIASECOND')); writeFileSync(file, document(session('ASIASECOND')), { mode: 0o600 }); };
    writeFileSync(file, document(session('ASIAFIRST')), { mode: 0o600 });
    holder.hook = onRequest(lab, keys, renew);
    return { lab, setup: { source: `{ s3: from, endpoint: "${lab.proxy.url}", credentials: "file:${file}" }`, more: 'transfer: { server_side_copy: never, multipart_threshold: 1 MiB, part_size: 5 MiB, part_concurrency: 2 }' } };
  }

  test('F082: a token that expires in the middle of an object is renewed once for all, and the same part goes on', async () => {
    let reads = 0;
    const { lab, setup } = await withSession((_, keys, renew) => ({ operation, bucket }) => {
      if (operation !== 'GetObject' || bucket !== 'from' || ++reads !== 3) return undefined;
      const first = keys.find(({ id }) => id === 'ASIAFIRST');
      if (first !== undefined) first.expiresAt = Date.now() - 1000;
      renew();
      return { code: 'ExpiredToken', status: 400 };
    });
    await lab.put('big', Buffer.alloc(21 * MiB, 'abc'));
    await lab.putMany(40);
    const ended = await lab.run(setup);
    assert.deepEqual([ended.exit, ended.tally.copied.objects, allFirst(ended)], [0, 41, true]);
    assert.deepEqual(lab.bytes('dest', 'big'), lab.bytes('from', 'big'));
    assert.equal(lab.requests.filter(({ operation, bucket }) => operation === 'UploadPart' && bucket === 'dest').length, 5, 'no part was sent twice');
    assert.ok(lab.requests.some(({ accessKey }) => accessKey === 'ASIASECOND'));
  });

  test('F082: credentials that cannot be renewed pause the run in one line: exit 5, not one object failed; the next run goes on', async () => {
    let reads = 0;
    const { lab, setup } = await withSession((_, keys) => ({ operation, bucket }) => {
      if (operation !== 'GetObject' || bucket !== 'from' || ++reads < 20) return undefined;
      const first = keys.find(({ id }) => id === 'ASIAFIRST');
      return first !== undefined && reads < 1000 ? { code: 'ExpiredToken', status: 400 } : undefined;
    });
    await lab.putMany(100);
    const paused = await lab.run(setup);
    assert.deepEqual([paused.exit, paused.run.state, paused.pause?.code, paused.tally.failed.objects], [5, 'paused', 'E_CREDENTIALS', 0]);
    assert.ok(paused.tally.pending.objects > 0);
    reads = 1000;
    const done = await lab.run(setup);
    assert.deepEqual([done.exit, done.tally.copied.objects, done.tally.failed.objects, allFirst(done)], [0, 100, 0, true]);
  });
});

describe('time', () => {
  test('F083: a clock that is minutes off is corrected by the store\'s own and everything arrives; one that is hours off is refused before the run, exit 2', async () => {
    const minutes = await Lab.open({ clock: { now: () => Date.now() - 8 * 60_000 }, calm: false });
    await minutes.putMany(10);
    const { exit, err } = await minutes.command('run', minutes.write(), '--state', minutes.state, '--progress', 'plain');
    assert.deepEqual([exit, minutes.keys('dest').length], [0, 10]);
    assert.match(err, /clock/, 'with a warning');
    const hours = await Lab.open({ clock: { now: () => Date.now() + 3 * 3_600_000 }, calm: false });
    await hours.putMany(3);
    const refused = await hours.command('run', hours.write(), '--state', hours.state, '--progress', 'none');
    assert.deepEqual([refused.exit, hours.keys('dest')], [2, []]);
    assert.match(refused.err, /^brigade: .*clock is 3 h.*\n$/);
  });

  test('F083: a store whose clock jumps by hours during a run is signed for by its own clock', async () => {
    let off = 0;
    const lab = await Lab.open({ clock: { now: () => Date.now() + off }, onRequest: ({ operation, bucket, key }) => { if (operation === 'GetObject' && bucket === 'from' && key === 'k00003') off = 3 * 3_600_000; } });
    await lab.putMany(30);
    const ended = await lab.run();
    assert.deepEqual([ended.exit, ended.tally.copied.objects, allFirst(ended)], [0, 30, true]);
  });

  test('F084: the wall clock of this machine jumps by an hour, both ways, while a run goes on: nothing lost, nothing written twice', async () => {
    const fast = fastClock();
    let jump = 0;
    const lab = await Lab.open({ onRequest: ({ operation, bucket }) => { if (operation === 'PutObject' && bucket === 'dest') jump = jump > 0 ? -3_600_000 : 3_600_000; } });
    await lab.putMany(60);
    const ended = await lab.run({}, {}, { clock: { ...fast, now: () => Date.now() + jump } });
    assert.deepEqual([ended.exit, ended.tally.copied.objects], [0, 60]);
    const puts = lab.requests.filter(({ operation, bucket, key }) => operation === 'PutObject' && bucket === 'dest' && key.startsWith('k'));
    assert.equal(new Set(puts.map(({ key }) => key)).size, puts.length, 'each object was written once');
  });
});

describe('the network', () => {
  test('F085: the endpoint is away for a while: the run waits, says so, and goes on by itself; no object failed', async () => {
    let away = false;
    const lab = await Lab.open();
    await lab.putMany(150);
    let copied = 0;
    let back = (): void => undefined;
    const ended = await lab.run({}, { onPause: 'auto' }, {
      onEvent: (event) => {
        if (event.type === 'waiting') setTimeout(back, 500);
        if (event.type !== 'ended' || ++copied !== 20 || away) return;
        away = true;
        back = lab.proxy.add({ name: 'away', fault: { kind: 'reset' } });
        setTimeout(back, 60_000).unref();
      },
    });
    assert.deepEqual([ended.exit, ended.tally.copied.objects, ended.tally.failed.objects], [0, 150, 0]);
    assert.ok(ended.events.some((event) => event.type === 'waiting' && /NETWORK/.test(event.problem.code)), 'the console can say waiting: network');
    assert.ok([...ended.rows.values()].every(({ attempts }) => attempts <= 2), 'at most the try that met the end of the outage counts');
    assert.ok(lab.proxy.counter('away').fired > 0);
  });

  test('F085: with --on-pause exit the same ends paused, and the next run goes on', async () => {
    const lab = await Lab.open();
    await lab.putMany(60);
    let copied = 0;
    let back = (): void => undefined;
    const setup = { more: 'limits: { concurrency: 2 }' };
    const paused = await lab.run(setup, {}, { onEvent: (event) => { if (event.type === 'ended' && ++copied === 10) back = lab.proxy.add({ name: 'away', fault: { kind: 'reset' } }); } });
    assert.deepEqual([paused.exit, paused.run.state, paused.tally.failed.objects], [5, 'paused', 0]);
    back();
    const done = await lab.run(setup);
    assert.deepEqual([done.exit, done.tally.copied.objects], [0, 60]);
  });

  test('F087: the proxy of a connection is used for every request of it', async () => {
    const lab = await Lab.open();
    await lab.putMany(3);
    const tunnels: string[] = [];
    const proxy = createServer((incoming, response) => {
      const [, host = '', path = '/'] = /^http:\/\/([^/]*)(.*)$/s.exec(incoming.url ?? '') ?? []; // no URL: it would tidy the path
      tunnels.push(host);
      const onward = request({ host: '127.0.0.1', port: lab.proxy.port, method: incoming.method ?? 'GET', path, headers: incoming.headers }, (answer) => {
        response.writeHead(answer.statusCode ?? 502, answer.rawHeaders);
        answer.pipe(response);
      });
      incoming.pipe(onward);
    });
    proxy.on('connect', (asked, client) => {
      tunnels.push(asked.url ?? '');
      const upstream = connect(lab.proxy.port, '127.0.0.1', () => { client.write('HTTP/1.1 200 OK\r\n\r\n'); upstream.pipe(client); client.pipe(upstream); });
      for (const end of [upstream, client]) end.on('error', () => { upstream.destroy(); client.destroy(); });
    });
    await new Promise<void>((resolve) => proxy.listen(0, '127.0.0.1', resolve));
    try {
      const ended = await lab.run({ connection: `proxy: "http://127.0.0.1:${(proxy.address() as AddressInfo).port}"` });
      assert.deepEqual([ended.exit, ended.tally.copied.objects], [0, 3]);
      assert.ok(tunnels.length > 0);
      assert.deepEqual(tunnels.filter((target) => target !== `127.0.0.1:${lab.proxy.port}`), []);
      const doctor = await lab.command('doctor', lab.write({ connection: `proxy: "http://127.0.0.1:${(proxy.address() as AddressInfo).port}"` }), '--state', lab.state);
      assert.match(doctor.out, new RegExp(`127\\.0\\.0\\.1:${(proxy.address() as AddressInfo).port}`), 'doctor prints the route');
    } finally {
      proxy.closeAllConnections();
      proxy.close();
    }
  });
});
