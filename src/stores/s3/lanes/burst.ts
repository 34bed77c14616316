/** Short requests of one turn of the event loop go out together: a server that the first of them wakes is awake for the others. */
export class Burst {
  #waiting: (() => void)[] = [];

  add(send: () => void): void {
    if (this.#waiting.length === 0) setImmediate(() => { this.#go(); });
    this.#waiting.push(send);
  }

  #go(): void {
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const send of waiting) send();
  }
}
