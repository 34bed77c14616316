// kill -9 at random instants: of the coordinator, which is then started again, or of one of its executors.
import { setTimeout as sleep } from 'node:timers/promises';
import { seededRandom } from '../../src/telemetry/random.ts';
import { type Coordinator, kill, logTail, type Migration, startRun } from './product.ts';

export interface Pace {
  /** Time between two kills, uniform. */
  readonly leastMs: number;
  readonly mostMs: number;
}

export interface Kills {
  coordinator: number;
  executor: number;
  /** Of all: after bytes had moved since the kill before. */
  atWork: number;
  /** Milliseconds from one kill to the next, summed. */
  spanMs: number;
}

export const noKills = (): Kills => ({ coordinator: 0, executor: 0, atWork: 0, spanMs: 0 });
export const total = (kills: Kills): number => kills.coordinator + kills.executor;

/** More deaths than ten a minute under one coordinator mean to the product that something is wrong with the machine (crew.ts). */
const MOST_EXECUTORS_IN_A_ROW = 8;
/** One kill in four comes at any instant, also while a coordinator starts; the others wait until bytes move. */
const ANY_INSTANT = 0.25;
const UNTIL_AT_WORK_MS = 30_000;
const UNDISTURBED_MS = 240_000;

export class Killer {
  readonly #migration: Migration;
  readonly #random: ReturnType<typeof seededRandom>;
  readonly #pace: Pace;
  readonly #kills: Kills;
  readonly #moved: () => number;
  #movedBefore = 0;
  #inARow = 0;
  #lastKill = performance.now();

  /** `moved`: a number that grows while bytes move. */
  constructor(migration: Migration, { seed, pace, kills, moved }: { readonly seed: number; readonly pace: Pace; readonly kills: Kills; readonly moved: () => number }) {
    this.#migration = migration;
    this.#random = seededRandom(seed);
    this.#pace = pace;
    this.#kills = kills;
    this.#moved = moved;
  }

  /** Kills until the run is done or `most` kills are spent, then lets it end. Resolves with its exit code. */
  async run(most: number): Promise<number | null> {
    let coordinator = startRun(this.#migration);
    for (let spent = 0; spent < most;) {
      await this.#wait(coordinator);
      const ended = coordinator.state();
      if (ended !== undefined) return ended.code;
      const victim = this.#victim(coordinator);
      if (!kill(victim, 'SIGKILL')) continue;
      spent++;
      this.#count(victim === coordinator.pid);
      if (victim !== coordinator.pid) continue;
      const killed = await coordinator.ended;
      if (killed.signal !== 'SIGKILL') return killed.code; // it had ended by itself a moment before
      coordinator = startRun(this.#migration);
    }
    return this.#letEnd(coordinator);
  }

  async #wait(coordinator: Coordinator): Promise<void> {
    if (this.#random.next() >= ANY_INSTANT) {
      const deadline = performance.now() + UNTIL_AT_WORK_MS;
      while (!this.#atWork() && coordinator.state() === undefined && performance.now() < deadline) await sleep(20);
    }
    const { leastMs, mostMs } = this.#pace;
    await Promise.race([sleep(leastMs + this.#random.next() * (mostMs - leastMs)), coordinator.ended]);
  }

  #victim(coordinator: Coordinator): number {
    const executors = coordinator.executors();
    const takeCoordinator = this.#random.next() < 0.5 || this.#inARow >= MOST_EXECUTORS_IN_A_ROW;
    return takeCoordinator ? coordinator.pid : executors[Math.floor(this.#random.next() * executors.length)] ?? coordinator.pid;
  }

  #atWork(): boolean {
    return this.#moved() > this.#movedBefore;
  }

  #count(isCoordinator: boolean): void {
    if (this.#atWork()) this.#kills.atWork++;
    this.#movedBefore = this.#moved();
    const now = performance.now();
    this.#kills.spanMs += now - this.#lastKill;
    this.#lastKill = now;
    this.#inARow = isCoordinator ? 0 : this.#inARow + 1;
    if (isCoordinator) this.#kills.coordinator++;
    else this.#kills.executor++;
  }

  async #letEnd(coordinator: Coordinator): Promise<number | null> {
    const ended = await Promise.race([coordinator.ended, sleep(UNDISTURBED_MS, undefined, { ref: false })]);
    if (ended !== undefined) return ended.code;
    kill(coordinator.pid, 'SIGKILL');
    throw new Error(`left in peace, the run did not end within ${UNDISTURBED_MS / 1000} s\n${logTail(this.#migration)}`);
  }
}
