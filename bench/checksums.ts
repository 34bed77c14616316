/**
 * `node bench/checksums.ts [--rounds 9]`
 *
 * CPU-seconds per GiB of every way to a checksum that is here, over pieces of 256 KiB as they come from the wire, all in each round.
 */
import { createHash, randomFillSync } from 'node:crypto';
import { createRequire } from 'node:module';
import { parseArgs } from 'node:util';
import { crc32 } from 'node:zlib';
import { createHasher, kernelHasher } from '../src/core/checksum.ts';
import { median, spread } from './figures.ts';

type Step = (bytes: Uint8Array, state: number) => number;
type Run = (pieces: number) => unknown;

const PIECE = randomFillSync(Buffer.alloc(256 * 1024));
const PIECES = 512;

const fold = (step: Step): Run => (pieces) => {
  let state = 0;
  for (let i = 0; i < pieces; i++) state = step(PIECE, state);
  return state;
};
const hashed = (make: () => { update(bytes: Uint8Array): unknown }): Run => (pieces) => {
  const hasher = make();
  for (let i = 0; i < pieces; i++) hasher.update(PIECE);
};

/** Optional packages, where they are installed (`npm install --no-save aws-crt` adds it to the table). */
function installed<T>(name: string, ways: (given: T) => Readonly<Record<string, Run>>): Readonly<Record<string, Run>> {
  try {
    return ways(createRequire(import.meta.url)(name) as T);
  } catch {
    return {}; // not here: its lines are left out
  }
}

const ways: Readonly<Record<string, Run>> = {
  'crc32 as used': hashed(() => createHasher('crc32')),
  'crc32c as used': hashed(() => createHasher('crc32c')),
  'crc64nvme as used': hashed(() => createHasher('crc64nvme')),
  'zlib crc32': fold((bytes, state) => crc32(bytes, state)),
  'WebAssembly crc32c': hashed(() => kernelHasher('crc32c')),
  'WebAssembly crc64nvme': hashed(() => kernelHasher('crc64nvme')),
  ...installed<{ crc32: Step; crc32c: Step }>('@node-rs/crc32', (given) => ({ '@node-rs/crc32 crc32': fold(given.crc32), '@node-rs/crc32 crc32c': fold(given.crc32c) })),
  ...installed<{ checksums: { crc32: Step; crc32c: Step; crc64nvme(bytes: Uint8Array, state?: DataView): DataView } }>('aws-crt', ({ checksums }) => ({
    'aws-crt crc32': fold(checksums.crc32), 'aws-crt crc32c': fold(checksums.crc32c),
    'aws-crt crc64nvme': (pieces) => { for (let i = 0, state: DataView | undefined; i < pieces; i++) state = checksums.crc64nvme(PIECE, state); },
  })),
  ...Object.fromEntries(['sha1', 'sha256', 'md5'].map((name) => [name, hashed(() => createHash(name))])),
};

const { values } = parseArgs({ options: { rounds: { type: 'string', default: '9' } } });
const found = new Map<string, number[]>();
for (let round = 0; round < Number(values.rounds); round++) {
  for (const [name, run] of Object.entries(ways)) {
    run(PIECES / 8);
    const before = process.cpuUsage();
    run(PIECES);
    const { user, system } = process.cpuUsage(before);
    found.set(name, [...found.get(name) ?? [], ((user + system) / 1e6) * (2 ** 30 / (PIECES * PIECE.length))]);
  }
}
process.stdout.write(`Node ${process.version}, ${values.rounds} rounds: median (lowest–highest)\n\n| checksum | CPU-s/GiB |\n|---|---|\n`);
for (const [name, costs] of [...found].sort(([, a], [, b]) => median(a) - median(b))) process.stdout.write(`| ${name} | ${spread(costs, 3)} |\n`);
