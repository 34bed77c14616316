/** Writes a stream of bytes into a new file: large writes whatever the pieces, and holes where it is all zeros (F056). */
import fs from 'node:fs';
import { promisify } from 'node:util';
import { isHole, runs } from '../../core/holes.ts';
import { ftruncate, writeAt } from '../../stores/filesystem/syscalls.ts';

const writev = promisify(fs.writev) as unknown as (fd: number, buffers: readonly Buffer[], position: number) => Promise<{ bytesWritten: number } | number>;

/** Bytes gathered for one system call. */
const LOT = 1 << 20;

/** One file being written from its start. While a lot is on its way to the kernel the next one gathers. */
export class FileWriter {
  readonly #fd: number;
  #lot: Buffer[] = [];
  #lotBytes = 0;
  /** Where the lot begins. */
  #start = 0;
  /** Bytes that are in the file, or on their way: behind it there is only a hole. */
  #written = 0;
  #writing: Promise<void> | undefined;

  constructor(fd: number) {
    this.#fd = fd;
  }

  /** Whether nothing was written: all of it is a hole. */
  get isHole(): boolean {
    return this.#written === 0 && this.#lotBytes === 0;
  }

  get size(): number {
    return this.#start + this.#lotBytes;
  }

  async add(bytes: Buffer): Promise<void> {
    for (const run of runs(bytes) as Iterable<Buffer>) {
      if (isHole(run)) {
        await this.#flush();
        this.#start += run.length;
        continue;
      }
      this.#lot.push(run);
      this.#lotBytes += run.length;
      if (this.#lotBytes >= LOT) await this.#flush();
    }
  }

  /** Everything is with the kernel when this resolves; the caller syncs. */
  async finish(): Promise<void> {
    await this.#flush();
    await this.#settled();
    if (this.#written < this.#start) await ftruncate(this.#fd, this.#start);
  }

  /** Waits for what is on its way, so that the descriptor can be closed; the failure itself was or will be told by add or finish. */
  async abandon(): Promise<void> {
    await this.#writing?.catch(() => undefined);
  }

  async #settled(): Promise<void> {
    const writing = this.#writing;
    this.#writing = undefined;
    await writing;
  }

  async #flush(): Promise<void> {
    if (this.#lotBytes === 0) return;
    await this.#settled();
    const writing = this.#writeLot(this.#lot, this.#lotBytes, this.#start);
    writing.catch(() => undefined); // told where it is awaited
    this.#writing = writing;
    this.#start += this.#lotBytes;
    this.#written = this.#start;
    this.#lot = [];
    this.#lotBytes = 0;
  }

  async #writeLot(lot: readonly Buffer[], bytes: number, at: number): Promise<void> {
    if (lot.length === 1) return writeAt(this.#fd, lot[0] as Buffer, at);
    const result = await writev(this.#fd, lot, at);
    const done = typeof result === 'number' ? result : result.bytesWritten;
    if (done < bytes) await writeAt(this.#fd, Buffer.concat(lot).subarray(done), at + done);
  }
}
