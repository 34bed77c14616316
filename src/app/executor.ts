/** The process of one executor: forked by the coordinator, told what to do over IPC, gone when the coordinator is gone. */
import { asBrigadeError, errorFacts, isKind } from '../core/errors.ts';
import { lockExecutor } from '../ledger/sqlite/lock.ts'; // alone: executors open no ledger
import type { Rates } from '../core/timetable.ts';
import { connectCoordinator, type Order, type Wire } from '../queues/local/channel.ts';
import { systemClock } from '../telemetry/clock.ts';
import { systemRandom } from '../telemetry/random.ts';
import { copyTasks } from './copying.ts';
import type { ExecutorSpec } from './crew.ts';
import { EventBatcher } from './events.ts';
import { openStores, type OpenStores } from './stores.ts';

/** Beats within the silence that the coordinator puts up with. */
const BEATS = 12;

class Executor {
  readonly #clock = systemClock();
  readonly #random = systemRandom();
  readonly #connection = connectCoordinator<ExecutorSpec>(processWire(), (order) => void this.#obey(order));
  readonly #events = new EventBatcher((events) => this.#connection.report({ type: 'events', events }));
  #spec: ExecutorSpec | undefined;
  #stores: OpenStores | undefined;
  /** As last heard; it may come before the stores are open. */
  #share: number | undefined;
  #rates: Rates | undefined;
  #stop = new AbortController();
  #working: Promise<void> = Promise.resolve();

  async #obey(order: Order<ExecutorSpec>): Promise<void> {
    switch (order.type) {
      case 'start':
        this.#spec = order.spec;
        this.#events.each = order.spec.each === true;
        lockExecutor(order.spec.ledger);
        // A frozen data path must not look alive: the beat is a timer of the same thread on purpose.
        setInterval(() => this.#connection.report({ type: 'beat' }), order.spec.silenceMs / BEATS).unref();
        return this.#work();
      case 'go': return this.#work();
      case 'share':
        this.#share = order.share;
        return this.#stores?.setShare(order.share);
      case 'limits':
        this.#rates = order.rates;
        return this.#stores?.setRates(order.rates);
      case 'hold': return this.#hold();
      case 'stop':
        await this.#hold();
        await this.#stores?.close();
        process.disconnect();
    }
  }

  async #hold(): Promise<void> {
    this.#stop.abort();
    await this.#working;
    if (this.#stores !== undefined) this.#events.emit({ type: 'tuned', process: `executor ${process.pid}`, tuning: this.#stores.tuning() });
    this.#events.flush();
    this.#connection.report({ type: 'held' });
  }

  #work(): void {
    this.#stop = new AbortController();
    this.#working = this.#copy(this.#stop.signal).catch((thrown: unknown) => {
      const error = asBrigadeError(thrown, 'executor');
      if (!isKind(error, 'cancelled')) this.#connection.report({ type: 'trouble', error: errorFacts(error) });
    }).finally(() => this.#events.flush());
  }

  async #copy(signal: AbortSignal): Promise<void> {
    const { migration, share, facts } = this.#spec as ExecutorSpec;
    const shared = { events: this.#events, clock: this.#clock, random: this.#random };
    this.#stores ??= await openStores(migration, { ...shared, share, env: process.env, facts });
    if (this.#share !== undefined) this.#stores.setShare(this.#share);
    if (this.#rates !== undefined) this.#stores.setRates(this.#rates);
    const { source, destination } = this.#stores;
    await copyTasks({ ...shared, migration, share, source, destination, queue: this.#connection.queue, recorder: this.#connection.recorder }, signal);
  }
}

function processWire(): Wire {
  return {
    send: (message) => { if (process.connected) process.send?.(message, undefined, undefined, () => undefined); },
    onMessage: (listener) => { process.on('message', listener); },
    // Nobody to report to: whatever goes on now would be unrecorded. The ledger lock frees itself with the process.
    onClose: () => { process.once('disconnect', () => process.exit(0)); },
  };
}

// The terminal's Ctrl-C goes to the whole group; it is the coordinator that decides how to drain.
process.on('SIGINT', () => undefined);
process.on('SIGTERM', () => undefined);
new Executor();
