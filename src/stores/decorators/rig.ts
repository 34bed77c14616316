/** What the tests of the decorators stand on: a memory store, simulated time, seeded chance, and a record of what was told. */
import type { ErrorKind } from '../../core/errors.ts';
import { BrigadeError } from '../../core/errors.ts';
import { NO_ATTRIBUTES, type Pin } from '../../core/object.ts';
import type { RunEvent } from '../../ports/events.ts';
import type { Body, ObjectRead, Store, WriteRequest } from '../../ports/storage.ts';
// eslint-disable-next-line import-x/no-restricted-paths -- only tests come here; a store never reads a clock of its own
import { simulatedClock, type SimulationOptions } from '../../telemetry/clock.ts';
// eslint-disable-next-line import-x/no-restricted-paths -- as above
import { seededRandom } from '../../telemetry/random.ts';
import { createMemoryStore, type MemoryOptions } from '../memory/index.ts';
import { faulty, type Fault } from './faulty.ts';
import { createRetryBudget } from './retrying.ts';

export function createRig(faults: readonly Fault[] = [], options: MemoryOptions & SimulationOptions & { readonly seed?: number } = {}) {
  const clock = simulatedClock(options);
  const random = seededRandom(options.seed ?? 1);
  const told: RunEvent[] = [];
  const memory = createMemoryStore(options);
  return {
    clock,
    random,
    memory,
    store: faulty(memory, { faults, random, clock }),
    told,
    /** What every decorator of one side is given. */
    common: { side: 'source' as const, clock, random, events: { emit: (event: RunEvent) => void told.push(event) }, budget: createRetryBudget(clock) },
    types: (type: RunEvent['type']) => told.filter((event) => event.type === type).length,
  };
}

/** Bytes that differ everywhere a short cut could confuse them. */
export function bytesOf(size: number, seed = 1): Buffer {
  const bytes = Buffer.alloc(size);
  for (let i = 0; i < size; i++) bytes[i] = (i * 31 + (i >>> 8) * 17 + seed * 101) & 0xff;
  return bytes;
}

export function bodyOf(bytes: Buffer, inMemory = false): Body & { opened: number } {
  const body = {
    size: bytes.length,
    ...(inMemory ? { bytes } : {}),
    opened: 0,
    async *open() {
      body.opened++;
      for (let at = 0; at < bytes.length; at += 50_000) yield bytes.subarray(at, at + 50_000);
    },
  };
  return body;
}

export function writeOf(key: string, bytes: Buffer, more: Partial<WriteRequest> = {}): WriteRequest {
  return { key, body: bodyOf(bytes), attributes: NO_ATTRIBUTES, guard: { kind: 'none' }, ...more };
}

export async function readAll(store: Store, key: string, size: number, more: { readonly pin?: Pin; readonly range?: { offset: number; length: number } } = {}): Promise<Buffer> {
  return drain(await store.read({ key, expectedSize: size, ...more }));
}

export async function drain(read: ObjectRead): Promise<Buffer> {
  const pieces: Buffer[] = [];
  for await (const chunk of read.chunks) pieces.push(Buffer.from(chunk));
  return Buffer.concat(pieces);
}

/** For assert.rejects: an error of this kind and code. */
export function failing(kind: ErrorKind, code?: string) {
  return (thrown: unknown): boolean => thrown instanceof BrigadeError && thrown.kind === kind && (code === undefined || thrown.code === code);
}
