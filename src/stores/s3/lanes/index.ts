/**
 * Bulk bytes over our own HTTP/1.1: sockets without streams, heads read strictly, one connection per exchange. What is lawful but not
 * spoken here goes to `plain` on a fresh socket: a GET at once, a PUT by whoever repeats the request (docs/adr/006).
 */
import { BrigadeError, cancelled } from '../../../core/errors.ts';
import { Aborts } from '../../../core/aborts.ts';
import type { ConnectionBudget, Connections } from '../connections.ts';
import { networkError } from '../network.ts';
import { tlsOptions } from '../transport.ts';
import type { HttpRequest, HttpResponse, Transport, TransportOptions } from '../transport.ts';
import { LaneConnection, Outbox, type Target } from './connection.ts';
import { LaneExchange, Odd, type Around } from './exchange.ts';
import { Burst } from './burst.ts';
import { Deadlines } from '../deadlines.ts';
import { Crumbs, RingBuffers } from './inflow.ts';

/** So many odd answers of an origin in a row, and its requests no longer come here. */
const MOST_ODD = 2;

interface Origin {
  readonly connections: Connections<LaneConnection>;
  readonly target: Target;
  /** Answers in a row that are not spoken here. */
  odd: number;
}

export function createLaneTransport(options: TransportOptions, budget: ConnectionBudget, plain: Transport): Transport {
  return new Lanes(options, budget, plain);
}

class Lanes implements Transport {
  readonly #options: TransportOptions;
  readonly #budget: ConnectionBudget;
  readonly #plain: Transport;
  readonly #origins = new Map<string, Origin>();
  readonly #open = new Set<LaneConnection>();
  readonly #around: Around;
  readonly #outbox = new Outbox();
  #closed = false;

  constructor(options: TransportOptions, budget: ConnectionBudget, plain: Transport) {
    this.#options = options;
    this.#budget = budget;
    this.#plain = plain;
    this.#around = { timeouts: options.timeouts, aborts: new Aborts(), buffers: new RingBuffers(), crumbs: new Crumbs(), deadlines: new Deadlines(), burst: new Burst() };
  }

  send(request: HttpRequest): Promise<HttpResponse> {
    const origin = this.#originOf(request.origin);
    if (origin.odd >= MOST_ODD) return this.#plain.send(request);
    return new Promise((resolve, reject) => {
      const answered = (response: HttpResponse): void => {
        origin.odd = 0;
        resolve(response);
      };
      const failed = (thrown: Error): void => {
        if (!(thrown instanceof Odd)) reject(thrown);
        else if (request.body === undefined && thrown.lawful) this.#plain.send(request).then(resolve, reject);
        else reject(new BrigadeError({ code: 'E_PROTOCOL', kind: 'transient', location: request.origin, message: `the answer is not HTTP/1.1 as it is spoken here: ${thrown.message}`, cause: thrown }));
        if (thrown instanceof Odd) origin.odd++;
      };
      const exchange = new LaneExchange(request, this.#around, answered, failed);
      if (request.signal?.aborted === true) exchange.fail(cancelled());
      else origin.connections.take((connection) => { this.#serve(origin, exchange, connection); });
    });
  }

  async close(): Promise<void> {
    this.#closed = true;
    await Promise.all([...this.#open].map((connection) => connection.close()));
  }

  #serve(origin: Origin, exchange: LaneExchange, idle: LaneConnection | undefined): void {
    if (idle === undefined) void this.#connect(origin, exchange);
    else if (exchange.over) this.#toRest(origin, idle, undefined);
    else this.#begin(origin, exchange, idle);
  }

  async #connect(origin: Origin, exchange: LaneExchange): Promise<void> {
    if (exchange.over || this.#closed) {
      exchange.fail(this.#closedError());
      origin.connections.gone();
      return;
    }
    try {
      const connection = await LaneConnection.open(origin.target, (closed) => { this.#open.delete(closed); });
      this.#open.add(connection);
      if (this.#closed) await connection.close();
      this.#serve(origin, exchange, connection);
    } catch (thrown) {
      exchange.fail(thrown);
      origin.connections.gone();
    }
  }

  #begin(origin: Origin, exchange: LaneExchange, connection: LaneConnection): void {
    exchange.begin(connection, (keepSeconds) => {
      if (keepSeconds === 'closed') origin.connections.gone();
      else if (exchange.isBrief) this.#atOnce(origin, connection, keepSeconds);
      else this.#rest(origin, connection, keepSeconds);
    });
  }

  /** Two turns would cost a small request as much as all the rest of it; whatever is sent unasked meets the same checks as over undici. */
  #atOnce(origin: Origin, connection: LaneConnection, keepSeconds: number | undefined): void {
    connection.free();
    this.#toRest(origin, connection, keepSeconds);
  }

  #rest(origin: Origin, connection: LaneConnection, keepSeconds: number | undefined): void {
    const soon = origin.connections.comesBack();
    connection.rest(() => {
      soon.back();
      this.#toRest(origin, connection, keepSeconds);
    });
  }

  #toRest(origin: Origin, connection: LaneConnection, keepSeconds: number | undefined): void {
    if (connection.destroyed || this.#closed) {
      connection.destroy();
      origin.connections.gone();
      return;
    }
    connection.idle(keepSeconds, () => { origin.connections.drop(connection); });
    origin.connections.giveBack(connection);
  }

  #closedError(): BrigadeError {
    return networkError(Object.assign(new Error('closed'), { code: 'UND_ERR_DESTROYED' }));
  }

  #originOf(name: string): Origin {
    let origin = this.#origins.get(name);
    if (origin === undefined) this.#origins.set(name, origin = { connections: this.#budget.connectionsTo(name), target: this.#targetOf(name), odd: 0 });
    return origin;
  }

  #targetOf(origin: string): Target {
    const url = new URL(origin);
    const secure = url.protocol === 'https:';
    return {
      host: url.hostname.replace(/^\[(.*)\]$/, '$1'), port: Number(url.port === '' ? (secure ? 443 : 80) : url.port), secure,
      connectMs: this.#options.timeouts.connect, memory: {}, deadlines: this.#around.deadlines, outbox: this.#outbox,
      tls: secure ? tlsOptions(this.#options) : { rejectUnauthorized: true },
    };
  }
}
