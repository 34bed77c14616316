/** The way to the wire: bulk bytes over lanes, everything else over undici, both out of one budget of connections. */
import { MiB } from '../../core/units.ts';
import { ConnectionBudget } from './connections.ts';
import { createLaneTransport } from './lanes/index.ts';
import type { HttpRequest, Transport, TransportOptions } from './transport.ts';
import { createUndiciTransport } from './undici.ts';

/** From here on a body is bulk. */
export const BULK = 1 * MiB;

/** `lanes: false`: everything over undici. Through a proxy there are none. */
export function createTransport(options: TransportOptions & { readonly lanes: boolean }): Transport {
  const budget = new ConnectionBudget(options.connections);
  const plain = createUndiciTransport(options, budget);
  if (!options.lanes || options.proxy !== undefined) return plain;
  const lanes = createLaneTransport(options, budget, plain);
  return {
    send: (request) => (isBulk(request) ? lanes : plain).send(request),
    async close() {
      await Promise.all([lanes.close(), plain.close()]);
    },
  };
}

function isBulk({ bodySize, answerSize = 0 }: HttpRequest): boolean {
  return bodySize !== undefined && (bodySize >= BULK || answerSize >= BULK);
}
