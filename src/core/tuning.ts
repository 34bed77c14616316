/** What one process has found out about its two endpoints, as plain data: for `--explain`. */

/** What kept the number of requests at once where it is. */
export type HeldBy =
  /** Never were so many wanted as were allowed. */
  | 'demand'
  /** Answers take longer the more there are. */
  | 'latency'
  /** The store asked for patience. */
  | 'refusals'
  /** More are never allowed. */
  | 'ceiling'
  /** Nothing yet: it was still growing. */
  | 'growing';

export interface AtOnce {
  /** Requests at once that are allowed now, and the most there were. */
  readonly allowed: number;
  readonly most: number;
  readonly heldBy: HeldBy;
  /** How many times longer requests take than when they were quickest. */
  readonly inflation: number;
  /** Requests per second; absent while the store has refused none. */
  readonly perSecond?: number;
  /** Requests that the store refused (429, 503 SlowDown), and how long ago the last one was, milliseconds. */
  readonly refusals: number;
  readonly lastRefusalMs?: number;
}

/** Over which HTTP/1.1 an object store was spoken to. */
export interface Way {
  readonly mode: 'auto' | 'always' | 'never' | 'proxy';
  /** Requests over lanes, our own sockets, and over the general client. */
  readonly lanes: number;
  readonly general: number;
  readonly tls: boolean;
  readonly signedPayloads: boolean;
  /** `no peer`: wanted, but the store is not an endpoint that speaks it. */
  readonly compression: 'off' | 'no peer' | 'on';
}

export interface EndpointTuning {
  readonly atOnce: AtOnce;
  readonly hedges: { readonly sent: number; readonly won: number };
  /** Absent where there is no network in between. */
  readonly way?: Way;
}

export interface Tuning {
  readonly source: EndpointTuning;
  readonly destination: EndpointTuning;
}
