/**
 * Who asks the file system next: so many questions are open at once, and the earliest key comes first. Directories are opened ahead of their
 * turn only while few stand open and their names take little memory; one whose turn has come never waits for that.
 */
import type { Raw } from './names.ts';

/** Questions that have one place in the order of keys. */
export interface Questions {
  readonly raw: Raw;
  /** Asks one; `turns.done()` is called when it is answered. False: it was the last. */
  ask(): boolean;
}

/** A directory that will be opened. */
export interface Opening extends Questions {
  /** The walk waits for it. */
  readonly needed: boolean;
}

/** What may stand ready before its turn. */
export interface Room {
  readonly directories: number;
  /** Bytes of their names. */
  readonly bytes: number;
}

export class Turns {
  readonly #width: number;
  readonly #room: Room;
  /** Both in key order. */
  readonly #looks: Questions[] = [];
  readonly #openings: Opening[] = [];
  #asked = 0;
  /** Opened or being opened, and their turn has not come. */
  #open = 0;
  #bytes = 0;
  #idle: (() => void) | undefined;

  constructor(width: number, room: Room) {
    this.#width = width;
    this.#room = room;
  }

  look(questions: Questions): void {
    insert(this.#looks, [questions]);
    this.next();
  }

  open(openings: readonly Opening[]): void {
    insert(this.#openings, openings);
    this.next();
  }

  /** A question was answered. */
  done(): void {
    this.#asked--;
    this.next();
    if (this.#asked === 0) this.#idle?.();
  }

  /** One that was laid aside goes on, above the width if need be: its turn has come. */
  resume(): void {
    this.#asked++;
  }

  /** What stands open before its turn grew by this. */
  keep(directories: number, bytes: number): void {
    this.#open += directories;
    this.#bytes += bytes;
  }

  get isFull(): boolean {
    return this.#open >= this.#room.directories || this.namesAreMany;
  }

  get namesAreMany(): boolean {
    return this.#bytes >= this.#room.bytes;
  }

  next(): void {
    while (this.#asked < this.#width) {
      const opening = this.#nextOpening();
      const look = this.#looks[0];
      const isLook = look !== undefined && (opening === undefined || look.raw <= opening.raw);
      const questions = isLook ? look : opening;
      if (questions === undefined) return;
      this.#asked++;
      if (!questions.ask()) remove(isLook ? this.#looks : this.#openings, questions);
    }
  }

  /** Nothing more is asked; resolves when all is answered. */
  async end(): Promise<void> {
    this.#looks.length = 0;
    this.#openings.length = 0;
    if (this.#asked === 0) return;
    await new Promise<void>((resolve) => { this.#idle = resolve; });
  }

  #nextOpening(): Opening | undefined {
    const [first] = this.#openings;
    // The walk waits for the earliest of them, if for any.
    return first === undefined || (this.isFull && !first.needed) ? undefined : first;
  }
}

/** Neighbours stay neighbours: what lies below one directory has one place among the others. */
function insert<T extends Questions>(list: T[], added: readonly T[]): void {
  const first = added[0]?.raw ?? '';
  let [from, to] = [0, list.length];
  while (from < to) {
    const middle = (from + to) >>> 1;
    if ((list[middle] as T).raw <= first) from = middle + 1;
    else to = middle;
  }
  list.splice(from, 0, ...added);
}

function remove(list: Questions[], questions: Questions): void {
  const at = list[0] === questions ? 0 : list.indexOf(questions);
  if (at >= 0) list.splice(at, 1);
}
