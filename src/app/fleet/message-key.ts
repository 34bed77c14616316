/**
 * `--message-key REF`, once or twice: the keys by which coordinator and workers know each other's messages. The first seals and opens, the second only
 * opens. So a key is rotated without a pause: give the new one as second to all, then as first with the old one second, then drop the old one.
 */
import { type FreshText, secretFrom, secretText } from '../../config/index.ts';
import { configError } from '../../config/problem.ts';
import { asBrigadeError } from '../../core/errors.ts';
import { FLEET_CHECKS, type FleetBodies, type TaskCodec } from '../../fleet/task-message.ts';
import { messageCodec, type MessageKeys } from '../../fleet/messages.ts';
import type { Clock } from '../../ports/clock.ts';
import type { Events } from '../../ports/events.ts';
import type { Surroundings } from './reference.ts';

export interface FreshKeys {
  /** Where they stand: `env:BRIGADE_KEY, file:/run/old`. */
  readonly describe: string;
  /** As read last. */
  readonly current: MessageKeys;
  /** Seals and opens with what was read last. */
  readonly codec: TaskCodec;
  /**
   * Reads them again, at most once in 10 s: called by whoever finds a signature wrong, before the message is given up. Answers whether they changed.
   * Rejects as `messageKeys` does; the keys that were read before stay.
   */
  refresh(): Promise<boolean>;
  /** Reads them again every 15 minutes until the signal (D7); what cannot be read is told once as a warning, and tried again. */
  keepFresh(signal: AbortSignal, events: Events): Promise<void>;
}

const ARGUMENT = '--message-key';
const EVERY_MS = 15 * 60_000;
const PAUSE_MS = 10_000;

/** @throws usage E_CONFIG, E_MESSAGE_KEY (shorter than 32 bytes); premise E_CREDENTIALS */
export async function messageKeys(references: readonly string[], around: Surroundings & { readonly clock: Clock }): Promise<FreshKeys> {
  const [first, second, ...more] = references;
  if (first === undefined) throw configError(ARGUMENT, 'is missing: a worker does nothing on the word of a message that is not sealed', 'make a key with `openssl rand -hex 32` and write --message-key env:NAME, file:PATH, aws-sm:NAME or aws-ssm:NAME');
  if (more.length > 0) throw configError(ARGUMENT, `stands ${references.length} times`, 'give the key, and during a rotation one other');
  if (first === second) throw configError(ARGUMENT, 'names the same key twice', 'give the other one, or one alone');
  const at = { argument: ARGUMENT, cwd: around.cwd };
  const [current, other] = [first, second].map((text) => (text === undefined ? undefined : secretText(secretFrom(text, at), around.env)));
  const keys = new Keys(current as FreshText, other, around.clock);
  await keys.read();
  return keys;
}

class Keys implements FreshKeys {
  readonly describe: string;
  readonly codec: TaskCodec;
  readonly #texts: { readonly current: FreshText; readonly other: FreshText | undefined };
  readonly #clock: Clock;
  #keys: MessageKeys | undefined;
  #codec: TaskCodec | undefined;
  #readAt = Number.NEGATIVE_INFINITY;
  #reading: Promise<boolean> | undefined;

  constructor(current: FreshText, other: FreshText | undefined, clock: Clock) {
    this.#texts = { current, other };
    this.#clock = clock;
    this.describe = [current, ...(other === undefined ? [] : [other])].map(({ describe }) => describe).join(', ');
    this.codec = { seal: (envelope) => this.#known(this.#codec).seal(envelope), open: (text) => this.#known(this.#codec).open(text) };
  }

  get current(): MessageKeys {
    return this.#known(this.#keys);
  }

  async refresh(): Promise<boolean> {
    if (this.#reading === undefined && this.#clock.monotonic() - this.#readAt < PAUSE_MS) return false;
    // Once for all who ask meanwhile.
    this.#reading ??= this.read().finally(() => { this.#reading = undefined; });
    return this.#reading;
  }

  async keepFresh(signal: AbortSignal, events: Events): Promise<void> {
    let told = false;
    while (!signal.aborted) {
      await this.#clock.sleep(EVERY_MS, signal).catch(() => undefined); // the signal: the loop ends
      if (signal.aborted) return;
      try {
        await this.refresh();
        told = false;
      } catch (thrown) {
        const { message } = asBrigadeError(thrown);
        if (!told) events.emit({ type: 'note', level: 'warn', text: `the message keys cannot be read again, those of before stay: ${message}` });
        told = true;
      }
    }
  }

  /** Also the first time. */
  async read(): Promise<boolean> {
    this.#readAt = this.#clock.monotonic();
    const { current: one, other: two } = this.#texts;
    const [current, other] = await Promise.all([one.read(), two?.read()]);
    const before = this.#keys;
    if (before?.current.reveal() === current.reveal() && before.other?.reveal() === other?.reveal()) return false;
    const keys: MessageKeys = { current, ...(other === undefined ? {} : { other }) };
    this.#codec = messageCodec<FleetBodies>(keys, FLEET_CHECKS);
    this.#keys = keys;
    return true;
  }

  #known<T>(value: T | undefined): T {
    if (value === undefined) throw new TypeError('the keys were not read');
    return value;
  }
}
