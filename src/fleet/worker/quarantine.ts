/**
 * What may kill this process is worked on with nothing else in its hands: then it is known what it died of, and nobody dies with it. One at a time; until it
 * is over nothing else is begun, and what was in work goes to other workers.
 */
import { cancelled } from '../../core/errors.ts';

export interface QuarantineMember {
  /** Gives back everything, at once. Resolves when nothing is in work. */
  clear(): Promise<void>;
  /** Work may begin again. */
  reopened(): void;
}

export class Quarantine {
  readonly #members = new Set<QuarantineMember>();
  #turn: Promise<void> = Promise.resolve();
  #closed = false;

  /** Only what is worked on alone may begin. */
  get closed(): boolean {
    return this.#closed;
  }

  join(member: QuarantineMember): void {
    this.#members.add(member);
  }

  leave(member: QuarantineMember): void {
    this.#members.delete(member);
  }

  /** Resolves when nothing else is in work; call what it answers when it is over. @throws cancelled on the signal */
  async enter(signal: AbortSignal): Promise<() => void> {
    const before = this.#turn;
    const mine = Promise.withResolvers<void>();
    this.#turn = before.then(() => mine.promise);
    await before;
    if (signal.aborted) {
      mine.resolve();
      throw cancelled('quarantine');
    }
    this.#closed = true;
    let over = false;
    const leave = (): void => {
      if (over) return;
      over = true;
      this.#closed = false;
      mine.resolve();
      for (const member of this.#members) member.reopened();
    };
    try {
      await Promise.all([...this.#members].map((member) => member.clear()));
    } catch (error) {
      leave();
      throw error;
    }
    return leave;
  }
}
