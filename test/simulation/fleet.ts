/** The processes of a simulated fleet, who starts them again, and the blows that fall on them. */
import { join } from 'node:path';
import { BrigadeError, isKind } from '../../src/core/errors.ts';
import { killCoordinator, PAUSED, type RunningCoordinator, startCoordinator } from './coordinator.ts';
import { looksPlain } from '../../src/fleet/plain-message.ts';
import { sendPlain } from './plain.ts';
import { between, pick, type Blow, type Moment } from './scenario.ts';
import { type RunningWorker, startWorker } from './worker.ts';
import { codeOf, type World } from './world.ts';
import type { Place, SimulatedProcess } from './process.ts';

/** After these a coordinator is started again as it was, or on a ledger of its own: there is nothing wrong with it. */
const LEAVES: ReadonlySet<string> = new Set(['E_JOURNAL_FENCED', 'E_LOCKED_RUN', 'E_LEDGER_BEYOND', 'E_NETWORK']);
const RESTART_MS = 5000;
const LOOK_MS = 1000;
const MOST_WORKERS = 8;
const MOST_AHEAD_MS = 50_000;

export class Fleet {
  readonly #world: World;
  readonly #dir: string;
  readonly #workers: RunningWorker[] = [];
  readonly #coordinators: RunningCoordinator[] = [];
  #number = 0;
  #calm = false;
  #ending = false;

  constructor(world: World, dir: string) {
    this.#world = world;
    this.#dir = dir;
    world.poisoned = () => this.#later(between(world.random, 0, 5000), () => this.#join());
  }

  begin(): void {
    for (let i = 0; i < this.#world.scenario.workers; i++) this.#join();
    this.#lead(this.#newPath());
    for (const { atMs, keys } of this.#world.scenario.plain) this.#later(atMs, () => { void sendPlain(this.#world, keys); });
  }

  /** Another run, by the one who made the last one or by somebody on another machine. */
  again(): void {
    const { random, broker, scenario } = this.#world;
    this.#calm = false;
    broker.setFaults(scenario.messages);
    const before = this.#finisher();
    this.#world.run++;
    this.#lead(before === undefined || random.next() < 0.5 ? this.#newPath() : killCoordinator(before, this.#dir, `image-${++this.#number}`));
  }

  #lead(path: string): void {
    this.#coordinate(path);
    void this.#supervise();
  }

  async strike(blow: Blow): Promise<void> {
    this.#world.trace(`BLOW ${JSON.stringify(blow)}`);
    if (blow.kind === 'pause' || blow.kind === 'cancel') this.#byOperator(blow);
    else await this.#hit(blow);
  }

  async #hit(blow: Exclude<Blow, { kind: 'pause' | 'cancel' }>): Promise<void> {
    const world = this.#world;
    const { random, objects, broker } = world;
    switch (blow.kind) {
      case 'kill worker': return this.#ofWorkers(({ process }) => inMoment(process, blow, () => process.kill()));
      case 'stop worker': return this.#ofWorkers((worker) => worker.process.stop.abort());
      case 'stop coordinator': return this.#ofCoordinators(({ process }) => process.stop.abort());
      case 'join': return this.#join();
      case 'freeze worker': return this.#ofWorkers(({ process }) => inMoment(process, blow, () => this.#freeze(process, blow.forMs)));
      case 'freeze coordinator': return this.#ofCoordinators(({ process }) => inMoment(process, blow, () => this.#freeze(process, blow.forMs)));
      case 'kill coordinator': return this.#ofCoordinators((one) => inMoment(one.process, blow, () => this.#replaceKilled(one)));
      case 'another coordinator': return this.#another(blow);
      case 'purge': return broker.purge();
      case 'overwrite': return void objects.overwrite(random);
      case 'delete': return void await objects.delete(random);
      case 'jump': return this.#jump(pick(random, world.processes), blow.byMs);
      case 'cut': return this.#cut(blow);
      case 'outage':
        broker.setDown(true);
        return this.#later(blow.forMs, () => broker.setDown(false));
    }
  }

  /** From now on nothing goes wrong. */
  calm(): void {
    const { broker, processes } = this.#world;
    this.#world.trace('CALM');
    this.#calm = true;
    broker.setFaults({});
    broker.setDown(false);
    this.#pause(false);
    for (const process of processes) {
      process.spare();
      process.mend();
      process.thaw();
    }
    if (!this.#workers.some((worker) => alive(worker))) this.#join();
  }

  /** Whoever brought the run to its end; undefined: nobody did in that time. */
  async finished(mostMs: number): Promise<RunningCoordinator | undefined> {
    const { clock } = this.#world;
    for (const end = clock.monotonic() + mostMs; clock.monotonic() < end; await clock.sleep(LOOK_MS)) {
      const found = this.#finisher();
      if (found !== undefined) return found;
    }
    return undefined;
  }

  /** What is left goes its way; then everybody is asked to stop, and does. */
  async end(mostMs: number): Promise<void> {
    const { clock, broker } = this.#world;
    const left = (): number => broker.counts().waiting + broker.counts().inFlight + broker.counts().delayed;
    for (const end = clock.monotonic() + mostMs; left() > 0 && clock.monotonic() < end;) await clock.sleep(LOOK_MS);
    if (left() > 0) this.#world.violate(`I14: ${left()} messages were left in the queue ${mostMs / 60_000} minutes after the end of the run`);
    const tasks = broker.dead(Number.POSITIVE_INFINITY).filter(({ body }) => looksPlain(body) || this.#world.codec.open(body).kind === 'task').length;
    if (tasks > 0) this.#world.violate(`F098: ${tasks} messages were taken for poisoned`);
    this.#ending = true;
    for (const { process } of [...this.#workers, ...this.#coordinators]) process.stop.abort();
    for (const end = clock.monotonic() + mostMs; clock.monotonic() < end && this.#living() > 0;) await clock.sleep(LOOK_MS);
    if (this.#living() > 0) this.#world.violate(`I14: ${this.#living()} processes did not stop when they were asked to`);
  }

  /** What stays open in the hands of the dead. */
  async bury(): Promise<void> {
    for (const { index, process } of this.#coordinators) {
      process.kill();
      // Of a killed one the connection is whatever it was: it only has to go.
      await index?.close().catch(() => undefined);
    }
    for (const { process } of this.#workers) process.kill();
  }

  #living(): number {
    return this.#workers.filter(alive).length + this.#coordinators.filter(({ process, over }) => !process.dead && !over).length;
  }

  #finisher(): RunningCoordinator | undefined {
    return this.#coordinators.find(({ end, run }) => end?.state === 'finished' && run === this.#world.run);
  }

  /** As systemd would: what ended is started again, but for what was asked to end. */
  async #supervise(): Promise<void> {
    const { clock } = this.#world;
    const judged = new Set<RunningCoordinator>();
    while (this.#finisher() === undefined) {
      await clock.sleep(LOOK_MS);
      for (const one of this.#coordinators) {
        if (!one.over || judged.has(one)) continue;
        judged.add(one);
        this.#judgeEnd(one);
      }
      if (this.#finisher() !== undefined) return;
      if (!this.#coordinators.some(({ process, over }) => !process.dead && !over)) {
        await clock.sleep(RESTART_MS);
        this.#coordinate(this.#leftPath() ?? this.#newPath());
      }
      if (this.#calm && !this.#workers.some(alive)) this.#join();
    }
  }

  /** The ledger of one that ended by itself: on the same machine it is taken up, unless it was refused. */
  #leftPath(): string | undefined {
    const { failure, path, process } = this.#coordinators.at(-1) as RunningCoordinator;
    const refused = failure instanceof BrigadeError && failure.code === 'E_LEDGER_BEYOND';
    return failure === undefined || refused || process.dead || this.#world.random.next() < 0.4 ? undefined : path;
  }

  #judgeEnd({ process, failure, end }: RunningCoordinator): void {
    this.#world.trace(`END ${process.name} ${failure === undefined ? end?.state ?? '' : codeOf(failure)}`);
    if (failure === undefined && end?.state === 'paused') this.#world.violate(`coordinator ${process.name} paused: ${end?.pause?.code ?? ''}`);
    if (failure !== undefined && !mayEndWith(failure)) this.#world.violate(`coordinator ${process.name} ended with ${codeOf(failure)}`);
  }

  #join(): void {
    if (this.#ending || this.#workers.filter(alive).length >= MOST_WORKERS) return;
    this.#workers.push(startWorker(this.#world, `w${++this.#number}`));
  }

  #coordinate(path: string): void {
    if (this.#ending) return;
    const known = this.#world.random.next() < 0.5;
    this.#coordinators.push(startCoordinator(this.#world, {
      name: `c${++this.#number}`, path,
      isGone: (holder) => known && this.#coordinators.some(({ process, over }) => process.name === holder && (process.dead || over)),
    }));
  }

  #newPath(): string {
    return join(this.#dir, `ledger-${++this.#number}.db`);
  }

  #ofWorkers(strike: (worker: RunningWorker) => void): void {
    const living = this.#workers.filter(alive);
    if (living.length === 0) return;
    strike(pick(this.#world.random, living));
    if (!this.#workers.some(alive) || this.#world.random.next() < 0.6) this.#later(between(this.#world.random, 0, 20_000), () => this.#join());
  }

  #ofCoordinators(strike: (coordinator: RunningCoordinator) => void): void {
    const living = this.#coordinators.filter(({ process, over }) => !process.dead && !over);
    if (living.length > 0) strike(pick(this.#world.random, living));
  }

  /** Beside the one that leads; or in its place, where the run is to be given up: the next one finds one that it is not to go on with. */
  #another({ renews }: Extract<Blow, { kind: 'another coordinator' }>): void {
    if (renews !== true) return this.#coordinate(this.#newPath());
    this.#ofCoordinators((one) => {
      this.#world.run++;
      this.#replaceKilled(one);
    });
  }

  #byOperator(blow: Extract<Blow, { kind: 'pause' | 'cancel' }>): void {
    if (blow.kind === 'cancel') return this.#cancel();
    this.#pause(true);
    this.#later(blow.forMs, () => this.#pause(false));
  }

  #pause(paused: boolean): void {
    this.#world.paused = paused;
    for (const { crew } of this.#coordinators) crew?.limit(paused ? PAUSED : {});
  }

  /** The run of whoever is at work on it; it ends, and another one is begun. */
  #cancel(): void {
    const leading = this.#coordinators.filter(({ process, over, crew }) => !process.dead && !over && crew !== undefined).at(-1);
    if (leading === undefined) return;
    this.#world.run++;
    leading.cancel.abort();
  }

  /** On the same machine, or on another one that knows nothing. */
  #replaceKilled(coordinator: RunningCoordinator): void {
    const image = killCoordinator(coordinator, this.#dir, `image-${++this.#number}`);
    const path = this.#world.random.next() < 0.6 ? image : this.#newPath();
    this.#later(between(this.#world.random, 0, 10_000), () => this.#coordinate(path));
  }

  /** Uploads that nobody told of are known by when they were begun: a coordinator may be ahead of the store by less than a minute when a run begins (src/engine/sweeper.ts, SKEW_MS). */
  #jump(process: SimulatedProcess, byMs: number): void {
    process.jump(this.#coordinators.some((one) => one.process === process) ? Math.min(byMs, MOST_AHEAD_MS) : byMs);
  }

  #freeze(process: SimulatedProcess, forMs: number): void {
    process.freeze();
    this.#later(forMs, () => process.thaw());
  }

  #cut({ place, cut, forMs, who }: Blow & { readonly kind: 'cut' }): void {
    const strike = (process: SimulatedProcess, where: Place): void => {
      process.cut(where, cut);
      this.#later(forMs, () => process.mend(where));
    };
    if (who === 'worker') this.#ofWorkers(({ process }) => strike(process, place));
    else this.#ofCoordinators(({ process }) => strike(process, place));
  }

  #later(ms: number, work: () => void): void {
    void this.#world.clock.sleep(ms).then(work);
  }
}

/** Another one took over, or what it needs did not answer before it had begun: it is started again. */
function mayEndWith(failure: unknown): boolean {
  if (!(failure instanceof BrigadeError)) return false;
  return LEAVES.has(failure.code) || isKind(failure, 'transient', 'throttled', 'cancelled');
}

function inMoment(process: SimulatedProcess, { at, when = 'going' }: Moment, strike: () => void): void {
  if (at === undefined) strike();
  else process.snare({ at: new RegExp(`^${at}$`), when, strike });
}

function alive({ process, ended }: RunningWorker): boolean {
  return !process.dead && !ended;
}
