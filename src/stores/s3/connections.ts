/**
 * One budget of connections for each origin, whatever they are made of: those of undici and the lanes together never exceed it. An idle
 * connection of one kind is closed when one of the other kind has no room.
 */

/** A connection as the budget sees it. */
export interface Closable {
  /** Nobody uses it. Resolves when its socket is gone; never rejects. */
  close(): Promise<void>;
}

/** Gets an idle connection, or undefined: it may then open one. It holds the place until it gives it back or says that it is gone. */
export type Use<C> = (connection: C | undefined) => void;

interface Waiting {
  readonly kind: object;
  use(connection: Closable | undefined): void;
}

/** So many times may a younger one of the kind that became free go before the one that waits longest. */
const MOST_BYPASSES = 16;

class Places {
  readonly most: number;
  readonly kinds: Connections<Closable>[] = [];
  readonly waiting: Waiting[] = [];
  open = 0;
  #bypasses = 0;

  constructor(most: number) {
    this.most = most;
  }

  /** Who is next, when a connection of this kind is free: one that can use it as it is, before one for whom it must be closed. */
  next(kind: object): Waiting | undefined {
    const first = this.waiting[0];
    if (first === undefined || first.kind === kind || this.#bypasses >= MOST_BYPASSES) return this.#shift();
    const index = this.waiting.findIndex((one) => one.kind === kind);
    if (index < 0) return this.#shift();
    this.#bypasses++;
    return this.waiting.splice(index, 1)[0];
  }

  #shift(): Waiting | undefined {
    this.#bypasses = 0;
    return this.waiting.shift();
  }
}

/** The connections of one kind to one origin. */
export class Connections<C extends Closable> {
  /** The one that was used last is at the end. */
  readonly #idle: C[] = [];
  readonly #places: Places;
  /** Connections that will be given back, or be gone, in a moment. */
  #soon = 0;

  constructor(places: Places) {
    this.#places = places;
    places.kinds.push(this as unknown as Connections<Closable>);
  }

  take(use: Use<C>): void {
    const places = this.#places;
    const idle = this.#idle.pop();
    if (idle !== undefined) use(idle);
    else if (this.#soon > 0 && this.#soon > this.#waiting()) this.#wait(use);
    else if (places.open < places.most) {
      places.open++;
      use(undefined);
    } else if (!this.#takeFromOthers(use)) this.#wait(use);
  }

  /** A connection in use will come back in a moment: better to wait for it than to open another. `back` tells that it did. */
  comesBack(): { back(): void } {
    this.#soon++;
    return { back: () => { this.#soon--; } };
  }

  #wait(use: Use<C>): void {
    this.#places.waiting.push({ kind: this, use: use as Waiting['use'] });
  }

  #waiting(): number {
    return this.#places.waiting.reduce((sum, { kind }) => sum + (kind === this ? 1 : 0), 0);
  }

  /** It is free for the next one. */
  giveBack(connection: C): void {
    const next = this.#places.next(this);
    if (next === undefined) this.#idle.push(connection);
    else if (next.kind === this) next.use(connection);
    else void connection.close().then(() => next.use(undefined));
  }

  /** A connection in use is no more: its place is free. */
  gone(): void {
    const next = this.#places.next(this);
    if (next === undefined) this.#places.open--;
    else next.use(undefined);
  }

  /** An idle connection closed by itself; one in use is left to who uses it. Whether it was idle. */
  drop(connection: C): boolean {
    const index = this.#idle.indexOf(connection);
    if (index < 0) return false;
    this.#idle.splice(index, 1);
    this.gone();
    return true;
  }

  #takeFromOthers(use: Use<C>): boolean {
    for (const kind of this.#places.kinds) {
      const oldest = kind.#idle.shift();
      if (oldest === undefined) continue;
      void oldest.close().then(() => use(undefined));
      return true;
    }
    return false;
  }
}

export class ConnectionBudget {
  readonly #most: number;
  readonly #origins = new Map<string, Places>();

  /** `most`: for each origin. */
  constructor(most: number) {
    this.#most = most;
  }

  connectionsTo<C extends Closable>(origin: string): Connections<C> {
    let places = this.#origins.get(origin);
    if (places === undefined) this.#origins.set(origin, places = new Places(this.#most));
    return new Connections<C>(places);
  }
}
