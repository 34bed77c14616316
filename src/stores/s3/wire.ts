/** The way to the wire: bulk bytes over lanes, everything else over undici, both out of one budget of connections. */
import { ConnectionBudget } from './connections.ts';
import { createLaneTransport } from './lanes/index.ts';
import type { HttpRequest, Transport, TransportOptions } from './transport.ts';
import { createUndiciTransport } from './undici.ts';

/** `lanesFrom`: bytes of a body, in either direction, from which a request goes over lanes; Infinity for none. Through a proxy there are none. */
export function createTransport(options: TransportOptions & { readonly lanesFrom: number }): Transport {
  const { lanesFrom, proxy, connections } = options;
  const budget = new ConnectionBudget(connections);
  const plain = createUndiciTransport(options, budget);
  if (lanesFrom === Infinity || proxy !== undefined) return plain;
  const lanes = createLaneTransport(options, budget, plain);
  const isBulk = ({ bodySize, answerSize = 0 }: HttpRequest): boolean => bodySize !== undefined && Math.max(bodySize, answerSize) >= lanesFrom;
  return {
    send: (request) => (isBulk(request) ? lanes : plain).send(request),
    async close() {
      await Promise.all([lanes.close(), plain.close()]);
    },
  };
}
