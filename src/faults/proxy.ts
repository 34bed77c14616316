/** An HTTP/1.1 reverse proxy that goes wrong on purpose, in front of any S3 endpoint. The Host header passes untouched, so that
 * signatures made for the proxy's address verify at a target that, as S3 servers do, takes the host from the request. */
import { Agent, createServer, request as httpRequest } from 'node:http';
import type { IncomingMessage, RequestOptions, ServerResponse } from 'node:http';
import { Agent as TlsAgent, request as httpsRequest } from 'node:https';
import type { AddressInfo } from 'node:net';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { setTimeout as delay } from 'node:timers/promises';
import { classify } from './classify.ts';
import type { Fault } from './kinds.ts';
import { applyFault, cannedAnswer, flip } from './plans.ts';
import type { Answer } from './plans.ts';
import { chance } from './chance.ts';
import { Rulebook } from './rules.ts';
import type { Counter, Facts, Hit, Rule } from './rules.ts';
import { authorization } from './signing.ts';
import type { ProxyKey } from './signing.ts';

export interface ProxyOptions {
  /** URL of the endpoint behind. Certificates are not checked. */
  readonly target: string;
  readonly seed?: number;
  readonly rules?: readonly Rule[];
  /** Signs anew what a fault had to change under the client's signature ('ignore range'). */
  readonly key?: ProxyKey;
  /** Of 127.0.0.1; default any free one. */
  readonly port?: number;
}

export interface FaultProxy {
  readonly url: string;
  readonly port: number;
  /** Requests that reached the proxy. */
  readonly requests: () => number;
  /** The rules in force. */
  readonly rules: () => readonly Rule[];
  /** Puts other rules in force from the next request on. */
  setRules(rules: readonly Rule[]): void;
  /** Adds one rule; call the result to take it away. */
  add(rule: Rule): () => void;
  counter(name: string): Readonly<Counter>;
  close(): Promise<void>;
}

interface Running {
  readonly target: URL;
  readonly key: ProxyKey | undefined;
  readonly book: Rulebook;
  readonly agent: Agent;
}

/** Header pairs for the target: all but those of this hop and those a fault takes away. */
function forwardHeaders(incoming: IncomingMessage, dropped: ReadonlySet<string>): string[] {
  const kept: string[] = [];
  for (let i = 0; i + 1 < incoming.rawHeaders.length; i += 2) {
    const name = incoming.rawHeaders[i]!;
    if (!dropped.has(name.toLowerCase())) kept.push(name, incoming.rawHeaders[i + 1]!);
  }
  return kept;
}

const hopHeaders = ['connection', 'keep-alive', 'expect']; // the proxy itself has answered 100-continue

const lowerMap = (pairs: readonly string[]): Map<string, string> =>
  new Map(Array.from({ length: pairs.length / 2 }, (_, i) => [pairs[2 * i]!.toLowerCase(), pairs[2 * i + 1]!]));

/** Takes Range off a request; under a signature that covers it the request is signed anew. */
function dropRange(running: Running, incoming: IncomingMessage): string[] {
  const signed = /SignedHeaders=([^,]*)/.exec(incoming.headers.authorization ?? '')?.[1]?.split(';') ?? [];
  if (!signed.includes('range')) return forwardHeaders(incoming, new Set([...hopHeaders, 'range']));
  if (running.key === undefined) throw new Error("fault 'ignore range': the client signs Range, so the proxy needs a key");
  const headers = forwardHeaders(incoming, new Set([...hopHeaders, 'range', 'authorization']));
  return [...headers, 'authorization', authorization(running.key, incoming.method ?? 'GET', incoming.url ?? '/', lowerMap(headers))];
}

function requestBody(incoming: IncomingMessage, hit: Hit | undefined): AsyncIterable<Buffer> {
  const fault = hit?.rule.fault;
  if (hit === undefined || fault?.kind !== 'flip' || fault.on !== 'write') return incoming;
  const length = Number(incoming.headers['content-length'] ?? '0');
  return flip(incoming, fault.at ?? Math.floor(length * (0.25 + 0.5 * chance(`${hit.seed}\0place`))));
}

/** Asks the target; resolves with the head of its answer. */
function forward(running: Running, incoming: IncomingMessage, hit: Hit | undefined): Promise<IncomingMessage> {
  const { target, agent } = running;
  const headers = hit?.rule.fault.kind === 'ignore range' ? dropRange(running, incoming) : forwardHeaders(incoming, new Set(hopHeaders));
  const options: RequestOptions & { rejectUnauthorized: boolean } = {
    host: target.hostname, port: target.port, method: incoming.method ?? 'GET', path: incoming.url ?? '/', headers, setHost: false, agent, rejectUnauthorized: false,
  };
  return new Promise((resolve, reject) => {
    const call = (target.protocol === 'https:' ? httpsRequest : httpRequest)(options, resolve);
    call.on('error', reject);
    pipeline(Readable.from(requestBody(incoming, hit), { objectMode: false }), call).catch(reject);
  });
}

const answerOf = (received: IncomingMessage): Answer => {
  const head = lowerMap(received.rawHeaders);
  for (const name of ['connection', 'keep-alive']) head.delete(name);
  return { status: received.statusCode ?? 502, head, body: received, finish: 'end', closeDelimited: false };
};

function writeHead(answer: Answer, response: ServerResponse): void {
  if (answer.closeDelimited) {
    response.useChunkedEncodingByDefault = false;
    response.shouldKeepAlive = false;
  }
  response.sendDate = false;
  response.statusCode = answer.status;
  for (const [name, value] of answer.head) if (name !== 'transfer-encoding') response.setHeader(name, value);
  response.flushHeaders();
}

const written = (response: ServerResponse, piece: Buffer): Promise<void> =>
  new Promise((resolve, reject) => response.write(piece, (error) => (error ? reject(error) : resolve())));

async function sendAnswer(answer: Answer, incoming: IncomingMessage, response: ServerResponse): Promise<void> {
  const { socket } = incoming;
  writeHead(answer, response);
  for await (const piece of answer.body) await written(response, piece);
  if (answer.finish === 'end') response.end();
  else if (answer.finish === 'close') socket.destroySoon();
  else if (answer.finish === 'reset') socket.resetAndDestroy();
  // 'hang': the connection stays open and silent until somebody closes it
}

async function drain(incoming: IncomingMessage): Promise<void> {
  for await (const piece of incoming) void piece;
}

/** Whether the target must do the work although its answer is not used. */
const isPerformed = (fault: Fault): boolean => fault.kind === 'lost answer' || (fault.kind === 'error in 200' && fault.performed === true);

const resetsAtOnce = (fault: Fault): boolean => fault.kind === 'reset' && fault.after === undefined;
const resetsAfterwards = (fault: Fault): boolean => fault.kind === 'lost answer' && fault.status === undefined;

/** A request that no rule hit, or whose answer is the target's, changed. */
async function relay(running: Running, facts: Facts, hit: Hit | undefined, incoming: IncomingMessage, response: ServerResponse): Promise<void> {
  const answer = answerOf(await forward(running, incoming, hit));
  if (hit !== undefined) await applyFault(answer, hit.rule.fault, facts, hit.seed);
  await sendAnswer(answer, incoming, response);
}

async function serveHit(running: Running, facts: Facts, hit: Hit, incoming: IncomingMessage, response: ServerResponse): Promise<void> {
  const { fault } = hit.rule;
  const canned = cannedAnswer(fault, `${running.target.origin}${incoming.url ?? '/'}`, facts);
  if (isPerformed(fault)) await drain(await forward(running, incoming, hit));
  else if (canned !== undefined) await drain(incoming);
  if (resetsAtOnce(fault) || resetsAfterwards(fault)) incoming.socket.resetAndDestroy();
  else if (canned !== undefined) await sendAnswer(canned, incoming, response);
  else await relay(running, facts, hit, incoming, response);
}

async function serve(running: Running, incoming: IncomingMessage, response: ServerResponse): Promise<void> {
  const facts = classify(incoming);
  const hits = running.book.decide(facts);
  for (const hit of hits) if (hit.rule.fault.kind === 'latency') await delay(hit.rule.fault.ms);
  const hit = hits.find((h) => h.rule.fault.kind !== 'latency');
  if (hit === undefined) await relay(running, facts, undefined, incoming, response);
  else await serveHit(running, facts, hit, incoming, response);
}

/** What goes wrong without being asked for must not look like a fault of the rules: a 502 that says so, or a reset. */
function reportBroken(error: unknown, response: ServerResponse): void {
  if (response.headersSent || response.destroyed) {
    response.destroy();
    return;
  }
  response.writeHead(502, { 'content-type': 'text/plain', connection: 'close' });
  response.end(`fault proxy: ${error instanceof Error ? error.message : String(error)}`);
}

/** Starts a proxy on 127.0.0.1.
 * @throws Error of node:net when the port is taken */
export async function startFaultProxy(options: ProxyOptions): Promise<FaultProxy> {
  const target = new URL(options.target);
  const agent = target.protocol === 'https:' ? new TlsAgent({ keepAlive: true }) : new Agent({ keepAlive: true });
  const running: Running = { target, key: options.key, book: new Rulebook(options.seed ?? 1, options.rules ?? []), agent };
  let requests = 0;
  const server = createServer({ maxHeaderSize: 64 * 1024, requestTimeout: 0 }, (incoming, response) => {
    requests += 1;
    serve(running, incoming, response).catch((error: unknown) => reportBroken(error, response));
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(options.port ?? 0, '127.0.0.1', resolve);
  });
  const { port } = server.address() as AddressInfo;
  const { book } = running;
  return {
    url: `http://127.0.0.1:${port}`, port, requests: () => requests,
    rules: () => book.current,
    setRules: (rules) => book.replace(rules),
    add: (rule) => {
      book.replace([...book.current, rule]);
      return () => book.replace(book.current.filter((other) => other !== rule));
    },
    counter: (name) => book.counter(name),
    close: () => new Promise((resolve) => {
      agent.destroy();
      server.close(() => resolve());
      server.closeAllConnections();
    }),
  };
}
