/** The faults in force at one endpoint of the lab, by name. */
import type { FaultOrder } from '../../faults/catalogue.ts';
import { ruleOf } from '../../faults/catalogue.ts';
import type { FaultProxy } from '../../faults/proxy.ts';

export interface FaultInForce extends FaultOrder {
  /** Requests that matched, and those that were hit. */
  readonly seen: number;
  readonly hit: number;
  /** Milliseconds until it ends by itself; absent: it stays. */
  readonly leftMs?: number;
}

export class LiveFaults {
  readonly #proxy: FaultProxy;
  readonly #orders = new Map<string, { readonly order: FaultOrder; readonly before: { readonly seen: number; readonly fired: number } }>();

  constructor(proxy: FaultProxy) {
    this.#proxy = proxy;
  }

  /** One of the same name is replaced. @throws RangeError for an unknown kind */
  add(order: FaultOrder): void {
    const rule = ruleOf(order, this.#now());
    this.clear(order.name);
    this.#proxy.add(rule);
    this.#orders.set(order.name, { order, before: { ...this.#proxy.counter(order.name) } });
  }

  /** One, or all. Answers the names. */
  clear(name?: string): readonly string[] {
    const gone = this.list().map((one) => one.name).filter((one) => name === undefined || one === name);
    this.#proxy.setRules(this.#proxy.rules().filter((rule) => !gone.includes(rule.name)));
    for (const one of gone) this.#orders.delete(one);
    return gone;
  }

  list(): FaultInForce[] {
    const rules = this.#proxy.rules();
    return [...this.#orders.values()].flatMap(({ order, before }) => {
      const rule = rules.find((one) => one.name === order.name);
      if (rule === undefined) return [];
      const { seen, fired } = this.#proxy.counter(order.name);
      const left = rule.until === undefined ? {} : { leftMs: Math.max(0, Math.round(rule.until - this.#now())) };
      return [{ ...order, seen: seen - before.seen, hit: fired - before.fired, ...left }];
    });
  }

  /** The clock of the proxy's rules: it does not jump. */
  #now(): number {
    return performance.timeOrigin + performance.now();
  }
}
