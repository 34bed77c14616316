/** `--metrics ADDRESS` of one command: what it counts, and where that is shown. One of several processes hands its counts to the one that started it. */
import { accountSamples, showMetrics } from '../app/metrics.ts';
import { measure, type Published } from '../app/fleet/published.ts';
import type { Events } from '../ports/events.ts';
import { Meter, type Sample } from '../telemetry/meter.ts';
import type { Invocation } from './invocation.ts';
import { type MetricsMessage, TO_PARENT } from './metrics-message.ts';

export interface RunMetrics {
  readonly events: Events;
  /** Of the journal's store. */
  readonly journal: Events;
  readonly hear: (published: Published) => void;
  end(): Promise<void>;
}

const TELL_MS = 2000;

/** Undefined: nobody asked. @throws BrigadeError usage E_USAGE, E_LISTEN */
export async function runMetrics(invocation: Invocation, migration: string, ledger: string): Promise<RunMetrics | undefined> {
  const address = invocation.options.text('metrics');
  if (address === undefined) return undefined;
  const meter = new Meter();
  // Before its first stage the latest run of the ledger is another one.
  let begun = false;
  const read = (): readonly Sample[] => [...meter.samples(), ...(begun ? accountSamples(migration, ledger) : [])];
  const counting = meter.events({ migration });
  const end = address === TO_PARENT ? tellParent(read) : await show(invocation, address, read);
  return {
    events: { emit: (event) => { begun ||= event.type === 'stage'; counting.emit(event); } },
    journal: meter.events({ migration }, 'journal'),
    hear: (published) => measure(meter, migration, published),
    end,
  };
}

/** Says where, because a port may be any free one. */
export async function show({ io }: Invocation, address: string, read: () => readonly Sample[]): Promise<() => Promise<void>> {
  const { url, close } = await showMetrics(address, read);
  io.err.line(`metrics: ${url}`);
  return close;
}

function tellParent(read: () => readonly Sample[]): () => Promise<void> {
  const tell = (): void => {
    if (process.connected) process.send?.({ type: 'metrics', samples: read() } satisfies MetricsMessage, undefined, undefined, () => undefined);
  };
  const timer = setInterval(tell, TELL_MS);
  timer.unref();
  return async () => {
    clearInterval(timer);
    tell();
  };
}
