import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Store } from '../../ports/storage.ts';
import { createRig } from './rig.ts';
import { watched } from './watched.ts';

const SIZE = 400_000;

/** Reads of these keys bring `chunk` bytes a second. */
function trickling(paces: Readonly<Record<string, number>>) {
  const { clock, memory } = createRig();
  for (const key of Object.keys(paces)) memory.put(key, Buffer.alloc(SIZE));
  const read: Store['read'] = async (request) => {
    const whole = await memory.read(request);
    const pace = paces[request.key] ?? 1;
    const chunks = async function* () {
      for (let at = 0; at < SIZE; at += pace) {
        await clock.sleep(1000);
        yield new Uint8Array(Math.min(pace, SIZE - at));
      }
    };
    return { info: whole.info, chunks: chunks(), discard: () => undefined };
  };
  const store = watched(new Proxy(memory, { get: (target, name) => (name === 'read' ? read : Reflect.get(target, name)) }), { clock, idleMs: 30_000, leastBytesPerSecond: 16_384 });
  const sizeOf = async (key: string): Promise<number | string> => {
    let bytes = 0;
    try {
      for await (const chunk of (await store.read({ key, expectedSize: SIZE })).chunks) bytes += chunk.length;
      return bytes;
    } catch (error) {
      return (error as Error).message;
    }
  };
  return (...keys: string[]) => clock.run(Promise.all(keys.map(sizeOf)));
}

test('F002: a body that trickles is given up like a silent one; one above the least is not', async () => {
  const read = trickling({ slow: 5_000, fine: 20_000 });
  assert.deepEqual(await read('slow'), ['less than 16 KiB/s for 30 s']);
  assert.deepEqual(await read('fine'), [SIZE]);
});

test('on a thin link all are slow, and none is given up; one far behind the others is', async () => {
  const read = trickling({ a: 9_000, b: 9_500, c: 10_000, lame: 1_000 });
  assert.deepEqual(await read('a', 'b', 'c'), [SIZE, SIZE, SIZE]);
  assert.deepEqual(await read('a', 'lame', 'b'), [SIZE, 'less than 16 KiB/s for 30 s', SIZE]);
});
