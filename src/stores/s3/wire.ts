/** The way to the wire: bulk bytes over lanes, everything else over undici, both out of one budget of connections. */
import { ConnectionBudget } from './connections.ts';
import { createLaneTransport } from './lanes/index.ts';
import type { HttpRequest, Transport, TransportOptions } from './transport.ts';
import { createUndiciTransport } from './undici.ts';

export interface WireTransport extends Transport {
  /** Requests so far. */
  readonly counts: { readonly lanes: number; readonly general: number };
}

/** `lanesFrom`: bytes of a body, in either direction, from which a request goes over lanes; Infinity for none. Through a proxy there are none. */
export function createTransport(options: TransportOptions & { readonly lanesFrom: number }): WireTransport {
  const { lanesFrom, proxy, connections } = options;
  const budget = new ConnectionBudget(connections);
  const plain = createUndiciTransport(options, budget);
  const counts = { lanes: 0, general: 0 };
  const general = (request: HttpRequest): ReturnType<Transport['send']> => {
    counts.general++;
    return plain.send(request);
  };
  if (lanesFrom === Infinity || proxy !== undefined) return { counts, send: general, close: () => plain.close() };
  const lanes = createLaneTransport(options, budget, plain);
  const isBulk = ({ bodySize, answerSize = 0 }: HttpRequest): boolean => bodySize !== undefined && Math.max(bodySize, answerSize) >= lanesFrom;
  return {
    counts,
    send(request) {
      if (!isBulk(request)) return general(request);
      counts.lanes++;
      return lanes.send(request);
    },
    async close() {
      await Promise.all([lanes.close(), plain.close()]);
    },
  };
}
