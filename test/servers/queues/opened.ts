// Queues that a test file opened.
import type { MessageQueue } from '../../../src/ports/message-queue.ts';

/** Closed at the end, whatever becomes of its test: an open one would keep this process alive. */
export class Opened<Options> {
  readonly #open: (how: Options) => Promise<MessageQueue>;
  readonly #queues: MessageQueue[] = [];

  constructor(open: (how: Options) => Promise<MessageQueue>) {
    this.#open = open;
  }

  async open(how: Options): Promise<MessageQueue> {
    const queue = await this.#open(how);
    this.#queues.push(queue);
    return queue;
  }

  async closeAll(): Promise<void> {
    for (const queue of this.#queues.splice(0)) await queue.close();
  }
}
