/**
 * Calls that look at the disk go to libuv's threads, since a disk may be slow; but the way there and back costs twenty times the call where
 * the kernel has the answer in memory: half of all that a GET of 4 KiB took. So small looks are made on the spot, under three conditions:
 * the directory is open already; it lies on a file system of this machine, so that no dead server can hold all requests for ever; and the
 * last looks did not have to wait. One that does wait costs the others a few milliseconds, after which all go to the threads for a while.
 * (The layouts' own databases are read on the spot, too, and wait for their disks.)
 */
import type { Dir, Jail } from '../../stores/filesystem/jail.ts';
import type { Raw } from '../../stores/filesystem/names.ts';
import { closeNow, openNow, readNow } from '../../stores/filesystem/syscalls.ts';
import { Mounts } from './mounts.ts';

/** Bytes that are read on the spot. */
export const SMALL = 64 << 10;
/** Longer than that was no look at memory, or the process had to let others run. */
const SLOW_MS = 1;
const REST_MS = 250;
/** Reads before that have nothing to do with a call: other parts of the process read, too, and now and then its own code. */
const FRESH_MS = 10;

/** What it asks of the machine. */
export interface Machine {
  readonly mounts: Pick<Mounts, 'local'>;
  /** Milliseconds of a clock that only goes forward. */
  readonly now: () => number;
  /** Grows with whatever this process has read from disks. */
  readonly diskReads: () => number;
}

const thisMachine = (): Machine => ({ mounts: new Mounts(), now: () => performance.now(), diskReads: () => process.resourceUsage().fsRead });

export class Direct {
  readonly #jail: Pick<Jail, 'now'>;
  readonly #machine: Machine;
  #diskReads = 0;
  #freshUntil = -Infinity;
  #restUntil = -Infinity;

  constructor(jail: Pick<Jail, 'now'>, machine: Machine = thisMachine()) {
    this.#jail = jail;
    this.#machine = machine;
  }

  /** What the call gives in this directory; undefined also where it must not be made on the spot, or fails: the threads will then tell. */
  try<T>(segments: readonly Raw[], call: (dir: Dir) => T | undefined): T | undefined {
    const started = this.#machine.now();
    if (started < this.#restUntil) return undefined;
    if (started >= this.#freshUntil) {
      this.#freshUntil = started + FRESH_MS;
      this.#diskReads = this.#machine.diskReads();
    }
    const dir = this.#jail.now(segments);
    if (dir === undefined || !this.#machine.mounts.local(dir.origin)) return undefined;
    try {
      return call(dir);
    } catch {
      return undefined; // made again by way of the threads, whose failure is told
    } finally {
      if (this.#machine.now() - started > SLOW_MS) this.#waited();
    }
  }

  /** The bytes of a small file, where all are there and `check` is content with the descriptor. */
  read(segments: readonly Raw[], name: Raw, flags: number, [start, end]: readonly [number, number], check: (fd: number) => boolean = () => true): [Buffer] | undefined {
    if (start >= end || end - start > SMALL) return undefined;
    return this.try(segments, (dir) => {
      const fd = openNow(dir.at(name), flags);
      try {
        const bytes = Buffer.allocUnsafe(end - start);
        return readNow(fd, bytes, start) === bytes.length && check(fd) ? [bytes] : undefined;
      } finally {
        closeNow(fd);
      }
    });
  }

  /** On a busy machine a call may take long without any disk: only where there were reads is it time to rest. */
  #waited(): void {
    if (this.#machine.diskReads() > this.#diskReads) this.#restUntil = this.#machine.now() + REST_MS;
  }
}
