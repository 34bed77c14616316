/** Walks that a page of a listing left behind, kept a while for the next page, so that no directory is read once per page. */
import type { Raw } from '../../stores/filesystem/names.ts';
import type { Walk } from './walk.ts';

const MOST = 16;
const IDLE_MS = 60_000;

interface Laid {
  readonly walk: Walk;
  readonly since: number;
}

export class Walks {
  readonly #laid = new Map<string, Laid[]>();
  readonly #now: () => number;
  #timer: NodeJS.Timeout | undefined;

  constructor(now: () => number) {
    this.#now = now;
  }

  /** A walk of the same listing that can go on at `from`, if there is one. */
  async take(listing: string, from: Raw): Promise<Walk | undefined> {
    const laid = this.#laid.get(listing) ?? [];
    const at = laid.findIndex(({ walk }) => walk.covers(from));
    if (at < 0) return undefined;
    const [{ walk }] = laid.splice(at, 1) as [Laid];
    if (await walk.resume(from)) return walk;
    await walk.close();
    return undefined;
  }

  async lay(listing: string, walk: Walk): Promise<void> {
    const laid = this.#laid.get(listing) ?? [];
    this.#laid.delete(listing);
    this.#laid.set(listing, [...laid, { walk, since: this.#now() }]);
    await this.#drop((_, left) => left > MOST);
    this.#timer ??= setTimeout(() => {
      this.#timer = undefined;
      void this.#drop(({ since }) => this.#now() - since >= IDLE_MS).catch(() => undefined); // closing what was only read loses nothing
    }, IDLE_MS).unref();
  }

  async close(): Promise<void> {
    clearTimeout(this.#timer);
    await this.#drop(() => true);
  }

  /** Closes those that `old` names, oldest first. */
  async #drop(old: (laid: Laid, left: number) => boolean): Promise<void> {
    let left = [...this.#laid.values()].reduce((sum, laid) => sum + laid.length, 0);
    for (const [listing, laid] of [...this.#laid]) {
      const kept: Laid[] = [];
      for (const one of laid) {
        if (!old(one, left)) kept.push(one);
        else {
          left--;
          await one.walk.close();
        }
      }
      if (kept.length === 0) this.#laid.delete(listing);
      else this.#laid.set(listing, kept);
    }
  }
}
