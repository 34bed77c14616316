/**
 * The notice that AWS gives a machine before it takes it back: two minutes for a spot instance, and whatever its hook allows for one that an Auto Scaling
 * group ends. It is asked for at the instance metadata service (IMDSv2, a token first), every five seconds.
 * https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/spot-instance-termination-notices.html
 * https://docs.aws.amazon.com/autoscaling/ec2/userguide/retrieving-target-lifecycle-state-through-imds.html
 */
import { readFileSync } from 'node:fs';
import type { Environment } from '../../config/index.ts';
import { usageError } from '../../core/errors.ts';
import { showDuration } from '../../core/units.ts';
import type { Clock } from '../../ports/clock.ts';

/** `auto`: on a machine of EC2 whose metadata service answers at the start. */
export type NoticeMode = 'auto' | 'on' | 'off';

export interface NoticeOptions {
  readonly mode: NoticeMode;
  readonly env: Environment;
  readonly clock: Clock;
  readonly say: (text: string) => void;
  /** For tests. */
  readonly isEc2?: () => boolean;
  /** Of one question; for tests. */
  readonly patienceMs?: number;
}

export interface Notice {
  /** Fires when the machine is to be given back. */
  readonly signal: AbortSignal;
  /** What may still be in work then, as long as that is known. */
  readonly drainMs: number | undefined;
  end(): Promise<void>;
}

const ENDPOINT = 'http://169.254.169.254';
const ENDPOINT_IPV6 = 'http://[fd00:ec2::254]';
const EVERY_MS = 5000;
const PATIENCE_MS = 1000;
const TOKEN_SECONDS = 21_600;
/** Kept for reports, for giving back, and for leaving. */
const RESERVE_MS = 20_000;
const SPOT = 'latest/meta-data/spot/instance-action';
const LIFECYCLE = 'latest/meta-data/autoscaling/target-lifecycle-state';
/** Also `Warmed:Stopped` and the like. */
const LEAVING = /(?:^|:)(?:Terminated|Stopped|Hibernated)$/;

/** Asks beside everything else: it delays nothing. @throws usage E_USAGE for an endpoint that is no address */
export function watchForNotice(options: NoticeOptions): Notice {
  const { env, mode, isEc2 = looksLikeEc2, patienceMs = PATIENCE_MS } = options;
  const stop = new AbortController();
  const given = new AbortController();
  const wanted = mode !== 'off' && (env['AWS_EC2_METADATA_DISABLED'] ?? '').toLowerCase() !== 'true' && (mode === 'on' || endpointOf(env) !== undefined || isEc2());
  let drainMs: number | undefined;
  const hear = ({ text, leftMs }: Heard): void => {
    if (leftMs !== undefined) drainMs = Math.max(0, leftMs - RESERVE_MS);
    options.say(`${text}: ${drainMs === undefined ? 'what is in flight may finish' : `what is in flight may finish within ${showDuration(drainMs)}`}, the rest goes to others`);
    given.abort();
  };
  const watching = wanted ? watch(options, new Metadata(endpointOf(env) ?? standardEndpoint(env), patienceMs), hear, stop.signal) : Promise.resolve();
  return {
    signal: given.signal,
    get drainMs() { return drainMs; },
    end: async () => {
      stop.abort();
      await watching;
    },
  };
}

interface Heard {
  readonly text: string;
  /** Absent: nobody says. */
  readonly leftMs?: number;
}

async function watch({ mode, clock, say }: NoticeOptions, metadata: Metadata, hear: (heard: Heard) => void, signal: AbortSignal): Promise<void> {
  for (let silent = false; !signal.aborted;) {
    const heard = await lookOnce(metadata, clock, signal).catch((thrown: unknown) => (thrown instanceof Silent ? thrown : Promise.reject(thrown as Error)));
    if (signal.aborted) return;
    if (heard instanceof Silent) {
      // Not there at the start: this is some other machine, or one that does not let us ask.
      if (mode === 'auto' && !metadata.everAnswered) return;
      if (!silent) say(`no notice can be heard before this machine is taken back: ${heard.message}`);
      silent = true;
    } else if (heard !== undefined) return hear(heard);
    else silent = false;
    await clock.sleep(EVERY_MS, signal).catch(() => undefined);
  }
}

async function lookOnce(metadata: Metadata, clock: Clock, signal: AbortSignal): Promise<Heard | undefined> {
  const spot = await metadata.get(SPOT, signal);
  if (spot !== undefined) return spotNotice(spot, clock);
  const state = await metadata.get(LIFECYCLE, signal);
  if (state === undefined || !LEAVING.test(state.text.trim())) return undefined;
  return { text: `the Auto Scaling group takes this machine back (${state.text.trim()})` };
}

/** By the clock of who gave the notice, where it says how late it is (F084). A notice that cannot be read is one all the same. */
function spotNotice({ text, dateMs }: Answer, clock: Clock): Heard {
  const { action = 'taken back', time } = fieldsOf(text);
  const atMs = Date.parse(time ?? '');
  if (Number.isNaN(atMs)) return { text: `this spot machine is ${action}` };
  return { text: `this spot machine is taken back at ${new Date(atMs).toISOString().slice(11, 19)}Z (${action})`, leftMs: atMs - (dateMs ?? clock.now()) };
}

function fieldsOf(text: string): { readonly action?: string; readonly time?: string } {
  try {
    const { action, time } = JSON.parse(text) as Record<string, unknown>;
    return { ...(typeof action === 'string' && /^\w{1,20}$/.test(action) ? { action } : {}), ...(typeof time === 'string' ? { time } : {}) };
  } catch {
    return {}; // There is a notice; what else it says is not needed to go.
  }
}

interface Answer {
  readonly text: string;
  readonly dateMs?: number;
}

/** It does not answer, or not as a metadata service does. */
class Silent extends Error {}

class Metadata {
  readonly #endpoint: string;
  readonly #patienceMs: number;
  #token: string | undefined;
  everAnswered = false;

  constructor(endpoint: string, patienceMs: number) {
    this.#endpoint = endpoint;
    this.#patienceMs = patienceMs;
  }

  /** Undefined: there is no such thing (404). @throws Silent */
  async get(path: string, signal: AbortSignal): Promise<Answer | undefined> {
    for (let turn = 1; ; turn++) {
      this.#token ??= await this.#newToken(signal);
      const response = await this.#ask(path, 'GET', { 'x-aws-ec2-metadata-token': this.#token }, signal);
      if (response.status === 401 && turn === 1) {
        this.#token = undefined; // its time is over
        continue;
      }
      this.everAnswered = true;
      if (response.status === 404) return undefined;
      if (!response.ok) throw new Silent(`${this.#endpoint} answered ${response.status}`);
      const dateMs = Date.parse(response.headers.get('date') ?? '');
      return { text: response.text, ...(Number.isNaN(dateMs) ? {} : { dateMs }) };
    }
  }

  async #newToken(signal: AbortSignal): Promise<string> {
    const { ok, status, text } = await this.#ask('latest/api/token', 'PUT', { 'x-aws-ec2-metadata-token-ttl-seconds': String(TOKEN_SECONDS) }, signal);
    if (!ok || !/^[\w+/=-]{1,512}$/.test(text)) throw new Silent(`${this.#endpoint} gives no token (${status})`);
    return text;
  }

  async #ask(path: string, method: string, headers: Readonly<Record<string, string>>, signal: AbortSignal): Promise<{ readonly ok: boolean; readonly status: number; readonly text: string; readonly headers: Headers }> {
    try {
      const response = await fetch(`${this.#endpoint}/${path}`, { method, headers, redirect: 'error', signal: AbortSignal.any([signal, AbortSignal.timeout(this.#patienceMs)]) });
      return { ok: response.ok, status: response.status, headers: response.headers, text: await response.text() };
    } catch (cause) {
      throw new Silent(`${this.#endpoint} does not answer`, { cause });
    }
  }
}

function endpointOf(env: Environment): string | undefined {
  const text = env['AWS_EC2_METADATA_SERVICE_ENDPOINT'] ?? '';
  if (text === '') return undefined;
  if (!/^https?:$/.test(URL.parse(text)?.protocol ?? '')) throw usageError('E_USAGE', 'AWS_EC2_METADATA_SERVICE_ENDPOINT is no address', 'write http://HOST or http://HOST:PORT, or unset it', text);
  return text.replace(/\/+$/, '');
}

function standardEndpoint(env: Environment): string {
  return (env['AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE'] ?? '').toLowerCase() === 'ipv6' ? ENDPOINT_IPV6 : ENDPOINT;
}

/** What the firmware says, so that on other machines nothing is asked of an address that is not there. */
function looksLikeEc2(): boolean {
  return ['/sys/class/dmi/id/sys_vendor', '/sys/class/dmi/id/board_vendor'].some((path) => {
    try {
      return readFileSync(path, 'utf8').startsWith('Amazon EC2');
    } catch {
      return false; // Not Linux, or not ours to see: --spot-notice on asks all the same.
    }
  });
}
