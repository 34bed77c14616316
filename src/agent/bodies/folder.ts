/**
 * Bytes that have no name in the tree yet, or never get one: files with random names. New ones come into a folder of their own, synced
 * before anything refers to them; what is found there at the next start and is in no record is a leftover of a killed process.
 */
import { randomBytes } from 'node:crypto';
import { constants } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { BrigadeError } from '../../core/errors.ts';
import { holes } from '../../core/holes.ts';
import { errno } from '../../stores/filesystem/failures.ts';
import type { Dir, Jail } from '../../stores/filesystem/jail.ts';
import type { Raw } from '../../stores/filesystem/names.ts';
import { close, closeNow, fsync, lstat, open, rename, unlink } from '../../stores/filesystem/syscalls.ts';
import type { Body } from '../layout.ts';
import type { Piece } from '../metadata/encoding.ts';
import { Direct } from './direct.ts';
import { isSparse, readRange } from './read.ts';
import { FileWriter } from './write.ts';

const CREATE = constants.O_CREAT | constants.O_EXCL | constants.O_RDWR | constants.O_NOFOLLOW;
/** A pipe in place of the file must not block us, a link not lead away. */
const READ = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK | constants.O_NOCTTY;

/** Known at once; beyond that holes are read like anything else. */
const MOST_HOLES = 100_000;

export interface FolderOptions {
  readonly jail: Jail;
  /** Where new files come in. */
  readonly incoming: readonly Raw[];
  /** Where they go when they are kept; absent: they stay. */
  readonly home?: (id: string) => readonly Raw[];
  /** An empty body takes a file, too. */
  readonly emptyFiles?: boolean;
}

/** Bytes in files of a folder; nothing else makes these. */
export class FolderBody implements Body {
  readonly size: number;
  readonly pieces: readonly Piece[];
  readonly #folder: BodyFolder;

  constructor(folder: BodyFolder, pieces: readonly Piece[]) {
    this.#folder = folder;
    this.pieces = pieces;
    this.size = pieces.reduce((sum, piece) => sum + piece.size, 0);
  }

  read(start: number, end: number, lent = false): AsyncIterable<Buffer> | Iterable<Buffer> {
    return this.#folder.readNow(this.pieces, start, end) ?? this.#folder.read(this.pieces, start, end, lent);
  }

  /** Whether a piece of the range is. */
  async isSparse(start: number, end: number): Promise<boolean> {
    for (const { id } of piecesIn(this.pieces, start, end)) if (await this.#folder.isSparse(id)) return true;
    return false;
  }

  /** Frees bytes that nothing refers to; others are freed by the change that lets go of them. */
  async discard(): Promise<void> {
    for (const { id } of this.pieces) if (this.#folder.isFresh(id)) await this.#folder.remove(id);
  }
}

export class BodyFolder {
  readonly #options: FolderOptions;
  readonly #direct: Direct;
  /** Written, and in no record yet. */
  readonly #fresh = new Set<string>();
  /** Files that were written here and hold nothing but a hole: they need not be read. Which holes others have, only reading them tells. */
  readonly #holes = new Set<string>();
  /** Ids that a reader will come to, with the number of readers. */
  readonly #read = new Map<string, number>();

  constructor(options: FolderOptions) {
    this.#options = options;
    this.#direct = new Direct(options.jail);
  }

  bodyOf(pieces: readonly Piece[]): FolderBody {
    return new FolderBody(this, pieces);
  }

  /** A body of ours as it is; the bytes of any other are written first. */
  async own(body: Body): Promise<FolderBody> {
    return body instanceof FolderBody ? body : this.write(body.read(0, body.size) as AsyncIterable<Buffer>);
  }

  isFresh(id: string): boolean {
    return this.#fresh.has(id);
  }

  isRead(id: string): boolean {
    return this.#read.has(id);
  }

  /** They are in a record now. */
  keep(pieces: readonly Piece[]): void {
    for (const { id } of pieces) this.#fresh.delete(id);
  }

  /** Stores the bytes; synced when it resolves. */
  async write(source: AsyncIterable<Buffer>): Promise<FolderBody> {
    const id = randomBytes(16).toString('hex');
    const dir = await this.acquireIncoming();
    let file: { readonly fd: number; readonly writer: FileWriter } | undefined;
    try {
      for await (const bytes of source) {
        if (bytes.length === 0) continue;
        file ??= await this.#create(dir, id);
        await file.writer.add(bytes);
      }
      if (this.#options.emptyFiles === true) file ??= await this.#create(dir, id);
      if (file === undefined) return this.bodyOf([]);
      await file.writer.finish();
      if (file.writer.isHole && this.#holes.size < MOST_HOLES) this.#holes.add(id);
      await fsync(file.fd);
      await dir.sync();
      return this.bodyOf([{ id, size: file.writer.size }]);
    } catch (error) {
      if (file !== undefined) await this.remove(id);
      throw error;
    } finally {
      await file?.writer.abandon();
      if (file !== undefined) await close(file.fd);
      await this.#options.jail.release(dir);
    }
  }

  /** A small body that is one file at home; undefined: read() will tell. */
  readNow(pieces: readonly Piece[], start: number, end: number): [Buffer] | undefined {
    const [piece] = pieces;
    const { home, incoming } = this.#options;
    if (piece === undefined || pieces.length > 1 || end > piece.size) return undefined;
    return this.#direct.read(home?.(piece.id) ?? incoming, piece.id, READ, [start, end]);
  }

  async *read(pieces: readonly Piece[], start: number, end: number, lent = false): AsyncGenerator<Buffer> {
    this.#hold(pieces, 1);
    try {
      for (const { id, from, to } of piecesIn(pieces, start, end)) yield* this.#holes.has(id) ? holes(to - from) : this.#readPiece(id, from, to, lent);
    } finally {
      this.#hold(pieces, -1);
    }
  }

  /** Moves a kept file home, where it may be already. */
  async settle(id: string): Promise<void> {
    const { home, jail } = this.#options;
    if (home === undefined) return;
    const [from, to] = await Promise.all([this.acquireIncoming(), jail.acquire(home(id), true, 'settle')]);
    try {
      await rename(from.at(id), to.at(id));
    } catch (error) {
      if (errno(error) !== 'ENOENT') throw error;
    } finally {
      await Promise.all([jail.release(from), jail.release(to)]);
    }
  }

  /** The folders that these went home to, synced. */
  async syncHomes(ids: readonly string[]): Promise<void> {
    const { home, jail } = this.#options;
    if (home === undefined) return;
    const places = new Map(ids.map((id) => [home(id).join('/'), home(id)]));
    for (const place of places.values()) {
      const dir = await jail.acquire(place, true, 'sync');
      try {
        await dir.sync();
      } finally {
        await jail.release(dir);
      }
    }
  }

  /** Removes a file wherever it is; one that is gone is no error. */
  async remove(id: string): Promise<void> {
    this.#fresh.delete(id);
    await this.#wherever(id, unlink);
    this.#holes.delete(id);
  }

  /** Its size, or undefined where it is missing or no regular file. */
  async sizeOf(id: string): Promise<number | undefined> {
    const stats = await this.#wherever(id, lstat);
    return stats?.isFile() === true ? Number(stats.size) : undefined;
  }

  async isSparse(id: string): Promise<boolean> {
    const stats = await this.#wherever(id, lstat);
    return stats !== undefined && isSparse(stats);
  }

  /** Names of all files that came in and did not go home. */
  async arrivals(): Promise<string[]> {
    const { jail, incoming } = this.#options;
    let dir: Dir;
    try {
      dir = await jail.acquire(incoming, false, 'open');
    } catch (error) {
      if (error instanceof BrigadeError && error.kind === 'gone') return [];
      throw error;
    }
    try {
      return await readdir(dir.at('.'), { encoding: 'latin1' }) as string[];
    } finally {
      await jail.release(dir);
    }
  }

  acquireIncoming(): Promise<Dir> {
    return this.#options.jail.acquire(this.#options.incoming, true, 'write');
  }

  async #create(dir: Dir, id: string): Promise<{ fd: number; writer: FileWriter }> {
    const fd = await open(dir.at(id), CREATE, 0o666);
    this.#fresh.add(id);
    return { fd, writer: new FileWriter(fd) };
  }

  #hold(pieces: readonly Piece[], change: 1 | -1): void {
    for (const { id } of pieces) {
      const readers = (this.#read.get(id) ?? 0) + change;
      if (readers === 0) this.#read.delete(id);
      else this.#read.set(id, readers);
    }
  }

  async *#readPiece(id: string, start: number, end: number, lent: boolean): AsyncGenerator<Buffer> {
    const fd = await this.#wherever(id, (path) => open(path, READ));
    if (fd === undefined) throw new Error(`the file of a body is missing: ${id}`);
    try {
      yield* readRange(fd, start, end, lent);
    } finally {
      closeNow(fd);
    }
  }

  /** Home first; then where it came in; then home again, for it may have moved in between. */
  async #wherever<T>(id: string, call: (path: string | Buffer) => Promise<T>): Promise<T | undefined> {
    const { home, incoming } = this.#options;
    const places = home === undefined ? [incoming] : [home(id), incoming, home(id)];
    for (const place of places) {
      const found = await this.#at(place, id, call);
      if (found !== undefined) return found.value;
    }
    return undefined;
  }

  async #at<T>(place: readonly Raw[], id: string, call: (path: string | Buffer) => Promise<T>): Promise<{ value: T } | undefined> {
    let dir: Dir | undefined;
    try {
      dir = await this.#options.jail.acquire(place, false, 'open');
      return { value: await call(dir.at(id)) };
    } catch (error) {
      if (errno(error) === 'ENOENT' || (error instanceof BrigadeError && error.kind === 'gone')) return undefined;
      throw error;
    } finally {
      if (dir !== undefined) await this.#options.jail.release(dir);
    }
  }
}

/** Where a range lies in its pieces. */
function* piecesIn(pieces: readonly Piece[], start: number, end: number): Generator<{ readonly id: string; readonly from: number; readonly to: number }> {
  let at = 0;
  for (const { id, size } of pieces) {
    const [from, to] = [Math.max(0, start - at), Math.min(size, end - at)];
    at += size;
    if (from < to) yield { id, from, to };
  }
}
