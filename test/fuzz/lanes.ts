/**
 * `node test/fuzz/lanes.ts [--responses 150000] [--seconds N] [--seed 1] [--case N]`
 *
 * Answers that are cut at any byte, mutated, smuggled, stalled, dripping or of wrong length, over loopback into the lanes. Whatever comes:
 * exactly the right bytes or an error, within a bounded time, and no socket left. `--seconds` ends it earlier; `--case` plays one alone and tells it.
 */
import { pathToFileURL } from 'node:url';
import { parseArgs } from 'node:util';
import { BrigadeError } from '../../src/core/errors.ts';
import { ConnectionBudget } from '../../src/stores/s3/connections.ts';
import { createLaneTransport } from '../../src/stores/s3/lanes/index.ts';
import type { HttpResponse, Transport } from '../../src/stores/s3/transport.ts';
import { ANY, type Case, makeCase } from './answers.ts';
import { BrokenServer } from './broken-server.ts';

const CONNECTIONS = 48;
const TIMEOUTS = { connect: 5_000, headers: 120, idle: 120 };
/** For answers that come in earnest: a busy machine is no reason to refuse them. */
const PATIENT_MS = 10_000;
/** Longer than any timeout of the transport: who is not back by then hangs. */
const HANGS_MS = 20_000;

export interface Verdict {
  readonly answers: number;
  readonly handedOver: number;
  readonly outcomes: ReadonlyMap<string, number>;
  /** Empty when all is well. */
  readonly wrong: readonly string[];
}

class HandedOver extends Error {}
class Left extends Error {}

interface Whole { readonly status: number; readonly body: Buffer }
type Outcome = Whole | Error;

async function* pieces(content: Buffer): AsyncGenerator<Uint8Array> {
  for (let at = 0, step = 1; at < content.length; at += step, step = (step * 13 + 1) % 70_001) yield content.subarray(at, at + step);
}

async function play(transport: Transport, origin: string, number: number, one: Case): Promise<Outcome> {
  try {
    return await readAll(one.leaves, await transport.send({
      origin, path: `/${number}`, method: one.method, headers: [], answerSize: one.content.length, ...(one.good ? { headersTimeoutMs: PATIENT_MS } : {}),
      ...(one.method === 'GET' ? { bodySize: 0, ...(one.whole ? { into: Buffer.alloc(one.content.length) } : {}) } : { bodySize: one.content.length, body: one.whole ? one.content : pieces(one.content) }),
    }));
  } catch (thrown) {
    return thrown as Error;
  }
}

async function readAll(leaves: boolean, { status, body }: HttpResponse): Promise<Outcome> {
  const chunks: Buffer[] = [];
  for await (const chunk of body) {
    if (leaves) return new Left();
    chunks.push(Buffer.from(chunk));
  }
  return { status, body: Buffer.concat(chunks) };
}

function isFine(outcome: Error): boolean {
  return outcome instanceof HandedOver || outcome instanceof Left || (outcome instanceof BrigadeError && outcome.kind === 'transient');
}

/** What is wrong with this outcome, if anything. */
function judge(one: Case, outcome: Outcome, arrived: Buffer | undefined): string | undefined {
  if (outcome instanceof Error) {
    return isFine(outcome) ? undefined : `an error of the wrong kind: ${outcome.stack}`;
  }
  return wrongBody(one, outcome) ?? wrongAnswer(one, outcome, arrived);
}

function wrongBody({ acceptable }: Case, { status, body }: Whole): string | undefined {
  if (acceptable === undefined) return `taken for whole: ${status}, ${body.length} bytes`;
  return acceptable === ANY || acceptable.equals(body) ? undefined : `wrong bytes: ${body.length} instead of ${acceptable.length}`;
}

function wrongAnswer(one: Case, outcome: Whole, arrived: Buffer | undefined): string | undefined {
  if (one.method === 'PUT' && outcome.status < 300 && !(arrived?.equals(one.content) ?? false)) return 'the server holds other bytes than were sent';
  return one.name !== 'mutated head' && outcome.status !== one.status ? `status ${outcome.status} instead of ${one.status}` : undefined;
}

/** A transport, closed once it is given up and the last that went over it is over: a busy machine is no reason to cut that off. */
class Line {
  readonly transport: Transport;
  #inUse = 0;
  #givenUp = false;

  constructor() {
    const never: Transport = { send: () => Promise.reject(new HandedOver()), close: () => Promise.resolve() };
    this.transport = createLaneTransport({ connections: CONNECTIONS, timeouts: TIMEOUTS }, new ConnectionBudget(CONNECTIONS), never);
  }

  async use<T>(work: (transport: Transport) => Promise<T>): Promise<T> {
    this.#inUse++;
    try {
      return await work(this.transport);
    } finally {
      this.#inUse--;
      this.#closeIfDone();
    }
  }

  giveUp(): void {
    this.#givenUp = true;
    this.#closeIfDone();
  }

  #closeIfDone(): void {
    if (this.#givenUp && this.#inUse === 0) void this.transport.close();
  }
}

class Run {
  readonly #server: BrokenServer;
  readonly #seed: number;
  readonly outcomes = new Map<string, number>();
  readonly wrong: string[] = [];
  handedOver = 0;
  goodFailed = 0;
  #line = new Line();

  constructor(server: BrokenServer, seed: number) {
    this.#server = server;
    this.#seed = seed;
  }

  async one(number: number): Promise<void> {
    const made = makeCase((Math.imul(number, 0x9e3779b1) ^ Math.imul(this.#seed, 0x85ebca6b)) >>> 0);
    let hangs: NodeJS.Timeout | undefined;
    const late = new Promise<Outcome>((resolve) => { hangs = setTimeout(() => { resolve(new Error('it hangs')); }, HANGS_MS); });
    this.#server.cases.set(number, made);
    const outcome = await this.#line.use((transport) => Promise.race([play(transport, this.#server.origin, number, made), late]));
    clearTimeout(hangs);
    const problem = judge(made, outcome, made.method === 'PUT' && !(outcome instanceof Error) ? await this.#server.taken(number) : undefined);
    this.#server.forget(number);
    if (problem !== undefined) this.wrong.push(`case ${number}, ${made.method} ${made.name}: ${problem}`);
    this.#count(made, outcome);
  }

  #count(made: Case, outcome: Outcome): void {
    const what = outcome instanceof HandedOver ? 'handed over' : outcome instanceof Left ? 'left early' : outcome instanceof BrigadeError ? outcome.code : 'right';
    const name = `${made.method} ${made.name} → ${what}`;
    this.outcomes.set(name, (this.outcomes.get(name) ?? 0) + 1);
    if (made.good && outcome instanceof BrigadeError && outcome.code !== 'E_STALLED') this.goodFailed++;
    if (!(outcome instanceof HandedOver)) return;
    // It has given up this origin, as it should: the next ones are for a new one.
    this.handedOver++;
    this.#line.giveUp();
    this.#line = new Line();
  }

  async close(): Promise<void> {
    await this.#line.transport.close();
  }
}

/** Plays until so many answers were sent, or the time is over. */
export async function fuzzLanes(options: { readonly responses: number; readonly seed: number; readonly seconds?: number; readonly only?: number }): Promise<Verdict> {
  const end = performance.now() + (options.seconds ?? Infinity) * 1000;
  const server = await BrokenServer.start();
  const run = new Run(server, options.seed);
  let next = options.only ?? 1;
  const lane = async (): Promise<void> => {
    while (server.answers < options.responses && performance.now() < end && run.wrong.length < 20) await run.one(next++);
  };
  if (options.only !== undefined) await run.one(options.only);
  else await Promise.all(Array.from({ length: CONNECTIONS }, lane));
  await run.close();
  const left = await server.emptied();
  if (left > 0) run.wrong.push(`${left} sockets are left`);
  await server.stop();
  if (run.goodFailed > server.answers / 200) run.wrong.push(`${run.goodFailed} good answers were refused`);
  return { answers: server.answers, handedOver: run.handedOver, outcomes: run.outcomes, wrong: run.wrong };
}

async function main(): Promise<void> {
  const { values } = parseArgs({ options: { responses: { type: 'string', default: '150000' }, seed: { type: 'string', default: '1' }, seconds: { type: 'string', default: 'Infinity' }, case: { type: 'string' } } });
  const began = performance.now();
  const verdict = await fuzzLanes({ responses: Number(values.responses), seed: Number(values.seed), seconds: Number(values.seconds), ...(values.case === undefined ? {} : { only: Number(values.case) }) });
  for (const [name, count] of [...verdict.outcomes].sort(([a], [b]) => Buffer.compare(Buffer.from(a), Buffer.from(b)))) process.stdout.write(`${String(count).padStart(8)}  ${name}\n`);
  process.stdout.write(`\n${verdict.answers} answers in ${((performance.now() - began) / 1000).toFixed(1)} s, seed ${values.seed}: ${verdict.handedOver} handed over, ${verdict.wrong.length} wrong, hanging or leaking\n`);
  for (const line of verdict.wrong) process.stdout.write(`${line}\n`);
  if (verdict.wrong.length > 0) process.exitCode = 1;
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) await main();
