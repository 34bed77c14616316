/** The way to the wire: objects and their parts over lanes, everything else over undici, both out of one budget of connections. */
import { ConnectionBudget } from './connections.ts';
import { createLaneTransport } from './lanes/index.ts';
import type { HttpRequest, Transport, TransportOptions } from './transport.ts';
import { createUndiciTransport } from './undici.ts';

export interface WireTransport extends Transport {
  /** Requests so far. */
  readonly counts: { readonly lanes: number; readonly general: number };
}

/** What goes over lanes: all that can, what gains by it, nothing. */
export type LaneMode = 'always' | 'auto' | 'never';

/** Through a proxy nothing goes over lanes. */
export function createTransport(options: TransportOptions & { readonly lanes: LaneMode }): WireTransport {
  const { lanes: mode, proxy, connections } = options;
  const budget = new ConnectionBudget(connections);
  const plain = createUndiciTransport(options, budget);
  const counts = { lanes: 0, general: 0 };
  const general = (request: HttpRequest): ReturnType<Transport['send']> => {
    counts.general++;
    return plain.send(request);
  };
  if (mode === 'never' || proxy !== undefined) return { counts, send: general, close: () => plain.close() };
  const lanes = createLaneTransport(options, budget, plain);
  return {
    counts,
    send(request) {
      if (mode === 'always' ? request.bodySize === undefined : !isOfObject(request)) return general(request);
      counts.lanes++;
      return lanes.send(request);
    },
    async close() {
      await Promise.all([lanes.close(), plain.close()]);
    },
  };
}

/** Bodies of objects and parts tell their size before they begin; what else is asked for may be answered in chunks, or late and in drops. */
function isOfObject({ method, body, bodySize, answerSize }: HttpRequest): boolean {
  return body === undefined ? answerSize !== undefined : method === 'PUT' && bodySize !== undefined;
}
