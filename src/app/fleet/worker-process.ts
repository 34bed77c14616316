/** One of several workers of a machine: forked by its supervisor, told what to do over IPC. When the supervisor is gone, it leaves as if it had been asked to. */
import { asBrigadeError, errorFacts } from '../../core/errors.ts';
import { Meter } from '../../telemetry/meter.ts';
import { systemClock } from '../../telemetry/clock.ts';
import { systemRandom } from '../../telemetry/random.ts';
import { EventBatcher } from '../events.ts';
import type { FromWorker, ToWorker } from './workers.ts';
import { workHere } from './worker.ts';

const stop = new AbortController();
let drainMs: number | undefined;

function say(message: FromWorker): void {
  if (process.connected) process.send?.(message, undefined, undefined, () => undefined); // the supervisor may be gone by then
}

const TELL_MS = 2000;

async function work({ places, each }: Extract<ToWorker, { type: 'start' }>): Promise<void> {
  const events = new EventBatcher((some) => say({ type: 'events', events: some }));
  events.each = each;
  const meter = places.metrics === true ? new Meter() : undefined;
  const tell = (): void => { if (meter !== undefined) say({ type: 'metrics', samples: meter.samples() }); };
  const telling = setInterval(tell, TELL_MS);
  try {
    await workHere(places, { env: process.env, clock: systemClock(), random: systemRandom(), events }, stop.signal, { ready: () => say({ type: 'ready' }), drainMs: () => drainMs ?? places.drainMs, ...(meter === undefined ? {} : { meter }) });
  } catch (thrown) {
    say({ type: 'failed', error: errorFacts(asBrigadeError(thrown, 'worker')) });
    process.exitCode = 1;
  } finally {
    events.flush();
    clearInterval(telling);
    tell();
    if (process.connected) process.disconnect();
  }
}

process.on('message', (message: ToWorker) => {
  if (message.type === 'start') void work(message);
  else {
    drainMs = message.drainMs;
    stop.abort();
  }
});
process.once('disconnect', () => stop.abort());
// The terminal's Ctrl-C goes to the whole group; it is the supervisor that decides how to drain.
process.on('SIGINT', () => undefined);
process.on('SIGTERM', () => undefined);
