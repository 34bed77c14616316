// npm run simulate -- [--seeds 500] [--from 1] [--processes N] [--bug NAME] [--verbose]
// npm run simulate -- --seed N [--lines] [--bug NAME]
//
// Whole fleets, each in one process from its seed (simulate.ts). Prints the seeds that violate an invariant, and what they violate; exits 1 if there are any.
// Over all of them at most one message in a hundred may have been sent again without need, but for seeds whose queue is purged.
// With a planted bug (bugs.ts) it is the other way round: it ends with the first seed that finds it, and exits 1 if none does.
import { fork } from 'node:child_process';
import { availableParallelism } from 'node:os';
import { parseArgs } from 'node:util';
import { BUGS, type BugName } from './bugs.ts';
import { simulate, type Simulated } from './simulate.ts';

// Errors are thrown by the thousand here, and nobody looks at where.
Error.stackTraceLimit = 1;

const STOPPED = 143;
const MOST_SPURIOUS = 0.01;
/** Of fewer messages a share says nothing. */
const MANY_MESSAGES = 300;

interface Asked {
  readonly from: number;
  readonly seeds: number;
  readonly step: number;
  readonly bug: BugName | undefined;
  readonly lines: boolean;
}

type Told = Omit<Simulated, 'lines' | 'notes'>;

class Sum {
  readonly failing: number[] = [];
  #seeds = 0;
  #happened = 0;
  #blows = 0;
  #landed = 0;
  #longestCalmMs = 0;
  #sent = 0;
  #spurious = 0;
  readonly #startedMs = performance.now();

  add(told: Told): void {
    this.#seeds++;
    this.#happened += told.happened;
    this.#blows += told.blows;
    this.#landed += told.landed;
    this.#longestCalmMs = Math.max(this.#longestCalmMs, told.calmMs);
    this.#sent += told.messages?.sent ?? 0;
    this.#spurious += told.messages?.spurious ?? 0;
    if (told.violations.length > 0) this.failing.push(told.seed);
  }

  /** Too many messages were sent again without need. */
  get isWasteful(): boolean {
    return this.#sent >= MANY_MESSAGES && this.#spurious > this.#sent * MOST_SPURIOUS;
  }

  toString(): string {
    const seconds = (performance.now() - this.#startedMs) / 1000;
    return `${this.#seeds} seeds, ${this.failing.length} failing, ${this.#happened} requests, ${this.#landed} writes, ${this.#blows} blows, at most ${Math.round(this.#longestCalmMs / 1000)} s from the last one to the end; ${this.#spurious} of ${this.#sent} messages sent again without need; ${(this.#seeds / seconds).toFixed(1)} seeds/s`;
  }
}

async function runHere({ from, seeds, step, bug, lines }: Asked, tell: (result: Simulated) => boolean): Promise<void> {
  for (let seed = from; seed < from + seeds; seed += step) if (!tell(await simulate(seed, { lines, ...(bug === undefined ? {} : { bug }) }))) return;
}

/** Each process takes every nth seed. @throws when one of them ends otherwise than by itself */
async function runApart(asked: Asked, processes: number, tell: (told: Told) => boolean): Promise<void> {
  const children = Array.from({ length: processes }, (_, i) => {
    const args = ['--from', String(asked.from + i), '--seeds', String(asked.seeds - i), '--step', String(processes), '--processes', '1', ...(asked.bug === undefined ? [] : ['--bug', asked.bug])];
    return fork(import.meta.filename, args, { stdio: ['ignore', 'ignore', 'inherit', 'ipc'] });
  });
  await Promise.all(children.map((child) => new Promise<void>((resolve, reject) => {
    child.on('message', (told) => { if (!tell(told as Told)) for (const one of children) one.kill(); });
    child.on('exit', (code, signal) => (code === 0 || code === 1 || code === STOPPED ? resolve() : reject(new Error(`a process of the simulation ended with ${signal ?? code}`))));
  })));
}

function show(told: Told, verbose: boolean, bug: BugName | undefined): void {
  const { seed, violations, hash, happened, simulatedMs, calmMs, blows } = told;
  if (verbose) console.log(`seed ${seed} ${hash}: ${happened} requests, ${blows} blows, ${Math.round(simulatedMs / 1000)} s, ${Math.round(calmMs / 1000)} s after the last one`);
  if (violations.length === 0) return;
  console.log(`seed ${seed} fails (npm run simulate -- --seed ${seed}${bug === undefined ? '' : ` --bug ${bug}`} --lines):`);
  for (const violation of violations) console.log(`  ${violation}`);
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      seeds: { type: 'string', default: '500' }, from: { type: 'string', default: '1' }, step: { type: 'string', default: '1' }, seed: { type: 'string' }, processes: { type: 'string', default: String(availableParallelism()) },
      bug: { type: 'string' }, lines: { type: 'boolean', default: false }, verbose: { type: 'boolean', default: false },
    },
  });
  if (values.bug !== undefined && !Object.hasOwn(BUGS, values.bug)) throw new Error(`known bugs: ${Object.keys(BUGS).join(', ')}`);
  const bug = values.bug as BugName | undefined;
  const one = values.seed === undefined ? {} : { from: Number(values.seed), seeds: 1 };
  const asked: Asked = { from: Number(values.from), seeds: Number(values.seeds), step: Number(values.step), bug, lines: values.lines, ...one };
  const sum = new Sum();
  const tell = (told: Told): boolean => {
    sum.add(told);
    process.send?.(told);
    show(told, values.verbose, bug);
    return bug === undefined || told.violations.length === 0;
  };
  const processes = Math.min(Number(values.processes), asked.seeds);
  if (processes > 1) await runApart(asked, processes, tell);
  else {
    await runHere(asked, (result) => {
      const { lines, notes, ...told } = result;
      for (const line of asked.lines ? [...lines, ...notes] : []) console.log(line);
      return tell(told);
    });
  }
  console.log(String(sum));
  const found = sum.failing.length > 0;
  const isWasteful = bug === undefined && values.step === '1' && sum.isWasteful;
  if (isWasteful) console.log(`more than ${MOST_SPURIOUS * 100} % of all messages were sent again without need`);
  process.exitCode = found === (bug !== undefined) && !isWasteful ? 0 : 1;
}

// By itself a signal would leave the ledgers of the simulation behind.
for (const signal of ['SIGTERM', 'SIGINT'] as const) process.once(signal, () => process.exit(STOPPED));
await main();
