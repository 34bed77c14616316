// node test/chaos/fleet.ts [--kills 30] [--purges 3] [--changes 2] [--objects 20000] [--workers 3] [--large 64MiB] [--per-round 60] [--seed N]
//
// A fleet by the real command lines: workers and a coordinator over nats-server, the journal in a bucket of versitygw beside the destination. Whatever may
// happen to a fleet happens at random instants: kill -9 of workers and of the coordinator, purges of the queue, and other coordinators on "other machines"
// (state folders of their own) that take over. After each round the oracle (oracle.py, boto3) recomputes from raw storage what stands where, and
// `brigade ledger check` holds the ledger against the journal. Each round copies all objects; `--per-round` is how many blows it takes at most. Prints one line of figures; exits 1 on any violation, naming the seed.
import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { closeSync, existsSync, mkdirSync, mkdtempSync, openSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { readPublished } from '../../src/app/fleet/published.ts';
import { ledgerPath } from '../../src/app/state.ts';
import { parseSize } from '../../src/config/units.ts';
import { MiB } from '../../src/core/units.ts';
import { inspectLedger } from '../../src/ledger/sqlite/index.ts';
import { seededRandom } from '../../src/telemetry/random.ts';
import { startVersitygw, type Server } from '../servers/harness/index.ts';
import { type Engine, natsEngine } from './engine.ts';
import { bucketAt, makeBucket, type Place, reconcile, seedSource, type Verdict, violations } from './judge.ts';
import { claimOf, type Claim, kill, type Migration, writeMigration } from './product.ts';

export interface FleetOptions {
  readonly kills: number;
  readonly purges: number;
  /** Coordinators on other machines that take over. */
  readonly changes: number;
  readonly objects: number;
  readonly workers: number;
  /** Size of the one large object, bytes. */
  readonly large: number;
  readonly seed: number;
  readonly perRound: number;
  readonly log?: (line: string) => void;
}

export interface FleetResult {
  readonly done: Readonly<Record<Blow, number>>;
  readonly rounds: number;
  readonly objects: number;
  readonly extraVersions: number;
  /** Messages of all rounds, and those that were sent again without need. */
  readonly sent: number;
  readonly spurious: number;
  readonly seconds: number;
  readonly violations: readonly string[];
}

type Blow = 'worker' | 'coordinator' | 'purge' | 'change';

const bin = fileURLToPath(new URL('../../bin/brigade.cjs', import.meta.url));
const LEASE = '6s';
const BANDWIDTH = '32 MiB/s';
const PACE = { leastMs: 200, mostMs: 2500 };
/** Blows. More would leave a short run no time to end in. */
const PER_ROUND = 60;
/** In peace something must be done within this time, however busy the machine is: how long all of it takes says nothing. */
const STILL_MS = 300_000;
/** Of rounds in which the queue was not purged; of fewer messages a share says nothing. */
const MOST_SPURIOUS = 0.01;
const MANY_MESSAGES = 100;

interface Process {
  readonly pid: number;
  readonly ended: Promise<number | null>;
  readonly over: () => boolean;
}

export class Fleet {
  readonly dir: string;
  readonly #server: Server;
  readonly #engine: Engine;
  readonly #migration: Migration;
  readonly #env: NodeJS.ProcessEnv;
  #state = 0;
  #purged = false;
  /** Of coordinators that are gone. */
  #sent = { sent: 0, spurious: 0 };
  coordinator: Process;
  readonly workers: Process[];

  constructor(options: Pick<FleetOptions, 'workers'>, dir: string, ground: { readonly server: Server; readonly engine: Engine; readonly source: Place; readonly destination: Place }) {
    this.dir = dir;
    this.#server = ground.server;
    this.#engine = ground.engine;
    this.#migration = writeMigration({ dir, name: 'chaos', source: ground.source, destination: ground.destination, options: { limits: { bandwidth: BANDWIDTH }, batch: { objects: 100, span: 16 * MiB }, transfer: { multipart_threshold: 16 * MiB, part_size: 8 * MiB } } });
    this.#env = { ...this.#migration.env, ...ground.engine.env, BRIGADE_MESSAGE_KEY: randomBytes(32).toString('hex') };
    this.coordinator = this.#startCoordinator();
    this.workers = Array.from({ length: options.workers }, () => this.#startWorker());
  }

  get migration(): Migration {
    return { ...this.#migration, state: this.#stateDir() };
  }

  /** `--journal` of everybody. */
  get journal(): string {
    return `s3://journal/${this.dir.split('/').at(-1) ?? ''}/?endpoint=${this.#server.endpoint}&region=${this.#server.region}&credentials=env:CHAOS`;
  }

  get #places(): string[] {
    return ['--queue', this.#engine.queue(LEASE), '--journal', this.journal];
  }

  #stateDir(): string {
    return join(this.dir, `state-${this.#state}`);
  }

  #startCoordinator(): Process {
    return this.#start('coordinator', this.#migration.file, '--state', this.#stateDir(), '--standby', '--progress', 'none', ...this.#places);
  }

  #startWorker(): Process {
    return this.#start('worker', '--processes', '1', '--drain', '5s', ...this.#places);
  }

  #start(...args: string[]): Process {
    const log = openSync(this.#migration.log, 'a');
    const child = spawn(process.execPath, [bin, ...args], { env: this.#env, cwd: this.dir, stdio: ['ignore', log, log] });
    closeSync(log);
    let over = false;
    const ended = new Promise<number | null>((resolve) => { child.once('exit', (code) => { over = true; resolve(code); }); });
    return { pid: child.pid ?? 0, ended, over: () => over };
  }

  async killWorker(which: number): Promise<void> {
    const worker = this.workers[which] as Process;
    kill(worker.pid, 'SIGKILL');
    await worker.ended;
    this.workers[which] = this.#startWorker();
  }

  /** False when it had ended by itself. */
  async killCoordinator(): Promise<boolean> {
    if (this.coordinator.over()) return false;
    kill(this.coordinator.pid, 'SIGKILL');
    const code = await this.coordinator.ended;
    this.#sent = this.messages();
    rmSync(this.#figures(), { force: true });
    if (code !== null) return false;
    this.coordinator = this.#startCoordinator();
    return true;
  }

  /** Another machine, which knows nothing but the queue and the journal. */
  async change(): Promise<boolean> {
    if (this.coordinator.over()) return false;
    const before = this.coordinator;
    // What it says in the next two seconds is not counted.
    this.#sent = this.messages();
    this.#state++;
    this.coordinator = this.#startCoordinator();
    await sleep(2000);
    kill(before.pid, 'SIGKILL');
    const code = await before.ended;
    return code === null;
  }

  async purge(): Promise<void> {
    this.#purged = true;
    await this.#engine.purge();
  }

  /** The queue was told to forget everything: its counts say nothing of what was missing then. */
  get wasPurged(): boolean {
    return this.#purged;
  }

  /** Messages of all coordinators, and those that were sent again without need, as each of them said last. */
  messages(): { readonly sent: number; readonly spurious: number } {
    const now = readPublished(ledgerPath(this.#stateDir(), this.#migration.name), 1);
    return { sent: this.#sent.sent + (now?.sent ?? 0), spurious: this.#sent.spurious + (now?.spurious ?? 0) };
  }

  /** Where a coordinator says how it stands: the next one on this machine begins anew. */
  #figures(): string {
    return join(dirname(ledgerPath(this.#stateDir(), this.#migration.name)), 'fleet.json');
  }

  /** What `brigade ledger check` says. */
  async check(): Promise<string | undefined> {
    const checked = this.#start('ledger', 'check', 'chaos', '--state', this.#stateDir(), ...this.#places.slice(2));
    const code = await checked.ended;
    return code === 0 ? undefined : `ledger check ended with ${code}`;
  }

  /** Objects of which the ledger knows what became. */
  async done(): Promise<number> {
    const path = ledgerPath(this.#stateDir(), this.#migration.name);
    if (!existsSync(path)) return 0; // the coordinator of another machine has just begun
    const view = inspectLedger(path);
    try {
      const { listed, pending } = view.tally(1);
      return listed.objects - pending.objects;
    } finally {
      await view.close();
    }
  }

  logTail(): string {
    return existsSync(this.#migration.log) ? readFileSync(this.#migration.log).subarray(-4000).toString() : '';
  }

  async end(): Promise<void> {
    for (const { pid } of [this.coordinator, ...this.workers]) kill(pid, 'SIGKILL');
    await Promise.all([this.coordinator, ...this.workers].map(({ ended }) => ended));
    await this.purge();
  }
}

/** Deals blows until they are spent or the run is over, then lets it end in peace. */
async function play(fleet: Fleet, todo: Blow[], random: ReturnType<typeof seededRandom>, done: Record<Blow, number>, most: number): Promise<number | null> {
  for (let spent = 0; spent < most && todo.length > 0; spent++) {
    await Promise.race([sleep(PACE.leastMs + random.next() * (PACE.mostMs - PACE.leastMs)), fleet.coordinator.ended]);
    if (fleet.coordinator.over()) return fleet.coordinator.ended;
    const [blow] = todo.splice(Math.floor(random.next() * todo.length), 1) as [Blow];
    const dealt = await deal(fleet, blow, random);
    if (dealt) done[blow]++;
    else todo.push(blow);
  }
  for (let done = await fleet.done(); ;) {
    const code = await Promise.race([fleet.coordinator.ended, sleep(STILL_MS, 'late' as const, { ref: false })]);
    if (code !== 'late') return code;
    const before = done;
    done = await fleet.done();
    if (done <= before) throw new Error(`left in peace, the run got no further than ${done} objects within ${STILL_MS / 1000} s\n${fleet.logTail()}`);
  }
}

async function deal(fleet: Fleet, blow: Blow, random: ReturnType<typeof seededRandom>): Promise<boolean> {
  switch (blow) {
    case 'worker':
      await fleet.killWorker(Math.floor(random.next() * fleet.workers.length));
      return true;
    case 'coordinator': return fleet.killCoordinator();
    case 'change': return fleet.change();
    case 'purge':
      await fleet.purge();
      return true;
  }
}

function judge(verdict: Verdict, claim: Claim): string[] {
  const { tally } = claim;
  const found = violations(verdict);
  if (!claim.finished || tally.pending.objects > 0 || tally.failed.objects > 0) found.push(`the ledger says finished=${claim.finished}, ${tally.pending.objects} pending, ${tally.failed.objects} failed`);
  if (tally.listed.objects !== verdict.source.objects) found.push(`the ledger lists ${tally.listed.objects} of ${verdict.source.objects}`);
  if (verdict.versions.extra > 0) found.push(`${verdict.versions.extra} extra versions where writes are conditional: ${verdict.versions.first.slice(0, 5).join(', ')}`);
  if (verdict.versions.markers > 0) found.push(`${verdict.versions.markers} delete markers on destination keys`);
  return found;
}

function blowsOf({ kills, purges, changes }: FleetOptions): Blow[] {
  const killed = Array.from({ length: kills }, (_, i): Blow => (i % 4 === 3 ? 'coordinator' : 'worker'));
  return [...killed, ...Array.from({ length: purges }, (): Blow => 'purge'), ...Array.from({ length: changes }, (): Blow => 'change')];
}

/** Spends all blows over as many rounds as it takes; resolves with the figures and what went wrong. */
export async function fleetLoop(options: FleetOptions): Promise<FleetResult> {
  const started = performance.now();
  const dir = mkdtempSync(join(tmpdir(), 'brigade-fleet-'));
  const random = seededRandom(options.seed);
  const todo = blowsOf(options);
  const done = { worker: 0, coordinator: 0, purge: 0, change: 0 };
  const found: string[] = [];
  let [rounds, objects, extraVersions, sent, spurious] = [0, 0, 0, 0, 0];
  const source: Place = { kind: 'folder', path: join(dir, 'source') };
  const [server, engine] = await Promise.all([startVersitygw({ versioning: true }), natsEngine()]);
  try {
    await seedSource(source, { seed: options.seed, objects: options.objects, large: options.large });
    await makeBucket(bucketAt(server, 'journal'));
    for (; (rounds === 0 || todo.length > 0) && found.length === 0; rounds++) {
      const place = join(dir, `round-${rounds}`);
      mkdirSync(place);
      const destination = bucketAt(server, `destination-${rounds}`, true);
      await makeBucket(destination);
      const fleet = new Fleet(options, place, { server, engine, source, destination });
      try {
        const before = todo.length;
        const code = await play(fleet, todo, random, done, options.perRound);
        const wrong = code === 0 ? await judged(fleet, source, destination, dir) : { found: [`the run ended with ${code}\n${fleet.logTail()}`], objects: 0, extra: 0 };
        objects += wrong.objects;
        extraVersions += wrong.extra;
        const messages = fleet.messages();
        sent += messages.sent;
        spurious += messages.spurious;
        if (!fleet.wasPurged && messages.sent >= MANY_MESSAGES && messages.spurious > messages.sent * MOST_SPURIOUS) wrong.found.push(`${messages.spurious} of ${messages.sent} messages were sent again without need`);
        found.push(...wrong.found.map((line) => `round ${rounds}: ${line}`));
        options.log?.(`round ${rounds}: ${before - todo.length} blows, ${wrong.objects} objects, ${messages.spurious} of ${messages.sent} messages sent again without need${fleet.wasPurged ? ' (purged)' : ''}, ${wrong.found.length === 0 ? 'ok' : wrong.found.join('; ')}`);
      } catch (error) {
        found.push(`round ${rounds}: ${error instanceof Error ? error.message : String(error)}`);
      } finally {
        await fleet.end();
      }
    }
  } finally {
    await Promise.all([server.stop(), engine.stop()]);
    if (found.length === 0) rmSync(dir, { recursive: true, force: true });
    else options.log?.(`kept: ${dir}`);
  }
  return { done, rounds, objects, extraVersions, sent, spurious, seconds: (performance.now() - started) / 1000, violations: found };
}

/** What the oracle and the journal hold against a run that has ended well. */
export async function judged(fleet: Fleet, source: Place, destination: Place, dir: string): Promise<{ readonly found: string[]; readonly objects: number; readonly extra: number }> {
  const claim = await claimOf(fleet.migration);
  const verdict = await reconcile(source, destination, claim.states, dir);
  const differs = await fleet.check();
  return { found: [...judge(verdict, claim), ...(differs === undefined ? [] : [differs])], objects: verdict.source.objects, extra: verdict.versions.extra };
}

export function fleetSummary({ seed }: FleetOptions, { done, rounds, objects, extraVersions, sent, spurious, seconds, violations: found }: FleetResult): string {
  return `fleet seed ${seed}: ${done.worker + done.coordinator} kills (${done.worker} worker, ${done.coordinator} coordinator), ${done.purge} purges, ${done.change} coordinators on other machines, in ${rounds} rounds, ${objects} objects, ${found.length} violations, ${extraVersions} extra versions, ${spurious} of ${sent} messages sent again without need, ${seconds.toFixed(0)} s`;
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      kills: { type: 'string', default: '30' }, purges: { type: 'string', default: '3' }, changes: { type: 'string', default: '2' }, objects: { type: 'string', default: '20000' },
      workers: { type: 'string', default: '3' }, large: { type: 'string', default: '64MiB' }, 'per-round': { type: 'string', default: String(PER_ROUND) }, seed: { type: 'string', default: String(Date.now() % 1_000_000) },
    },
  });
  const options: FleetOptions = {
    kills: Number(values.kills), purges: Number(values.purges), changes: Number(values.changes), objects: Number(values.objects), workers: Number(values.workers),
    large: parseSize(values.large), seed: Number(values.seed), perRound: Number(values['per-round']), log: (line) => console.log(line),
  };
  const result = await fleetLoop(options);
  console.log(fleetSummary(options, result));
  for (const line of result.violations) console.log(`  ${line}`);
  if (result.violations.length > 0) process.exitCode = 1;
}

if (import.meta.main) await main();
