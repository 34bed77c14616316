import { availableParallelism } from 'node:os';
import { parseDuration } from '../../config/units.ts';
import { type NoticeMode, watchForNotice } from '../../app/fleet/notice.ts';
import { parsePartition, type Partition } from '../../app/fleet/partitions.ts';
import type { WorkersOptions } from '../../app/fleet/workers.ts';
import { usageError } from '../../core/errors.ts';
import { EXIT } from '../../core/exit-code.ts';
import type { RunEvent } from '../../ports/events.ts';
import { Meter, type Sample } from '../../telemetry/meter.ts';
import { keyReferences, neededJournal } from '../fleet.ts';
import type { Invocation } from '../invocation.ts';
import { logging } from '../logging.ts';
import { isFleet } from '../open-fleet.ts';
import { productVersion } from '../product.ts';
import { stopOnSignals } from '../stopping.ts';

const DRAIN = '15s';

/** Works until SIGINT or SIGTERM, or until whoever started it over IPC is gone. */
export async function execute(invocation: Invocation): Promise<number> {
  const { io, options } = invocation;
  const seats = seatsOf(invocation);
  const drainMs = parseDuration(options.text('drain') ?? DRAIN);
  const processes = seats?.length ?? options.count('processes') ?? Math.max(1, availableParallelism());
  const queue = seats === undefined ? options.text('queue') ?? '' : `partitions:${seats[0]?.members}`;
  const places = { queue, journal: options.text('journal') ?? '', messageKeys: keyReferences(invocation), cwd: io.cwd, version: productVersion(), drainMs, processes, metrics: options.has('metrics'), acceptPlain: options.has('accept-plain-messages') };
  const stopping = stopOnSignals(io, { drainMs, say: (text) => io.err.line(text) });
  const notice = watchForNotice({ mode: (options.text('spot-notice') ?? 'auto') as NoticeMode, env: io.env, clock: io.clock, say: (text) => io.err.line(`warning: ${text}`) });
  const shown = await metricsOf(invocation);
  using log = logging(invocation, 'worker');
  const events = { emit: (event: RunEvent) => { tell(invocation, event); log.emit(event); }, each: log.each === true };
  const ready = (): void => io.out.line(`working for ${seats === undefined ? queue.replace(/\?.*/s, '') : `partition ${options.text('partition')}`} (${processes} ${processes === 1 ? 'process' : 'processes'})`);
  const signal = AbortSignal.any([stopping.signal, notice.signal, ...(process.connected ? [disconnected()] : [])]);
  try {
    await work(io, { places, processes, ...(seats === undefined ? {} : { seats }), events, clock: io.clock, ready, drainMs: () => notice.drainMs ?? drainMs }, signal, shown);
  } finally {
    await notice.end();
    await shown?.end();
  }
  stopping.end();
  log.ended(EXIT.clean);
  return EXIT.clean;
}

/** Apart: a module that is loaded late beside a `using` is not found by the compiled program. */
async function work({ env, clock, random }: Invocation['io'], options: WorkersOptions & Pick<Required<WorkersOptions>, 'ready' | 'drainMs'>, signal: AbortSignal, shown: WorkerMetrics | undefined): Promise<void> {
  const { places, processes, seats, events, ready, drainMs } = options;
  if (processes > 1) {
    const { workInProcesses } = await import('../../app/fleet/workers.ts');
    return workInProcesses({ ...options, ...(shown === undefined ? {} : { onMetrics: shown.hear }) }, signal);
  }
  const { workHere } = await import('../../app/fleet/worker.ts');
  const [partition] = seats ?? [];
  return workHere(partition === undefined ? places : { ...places, partition }, { env, clock, random, events }, signal, { ready, drainMs, ...(shown === undefined ? {} : { meter: shown.meter }) });
}

interface WorkerMetrics {
  /** Of this process, where it is the one that copies. */
  readonly meter: Meter;
  readonly hear: (samples: readonly Sample[]) => void;
  readonly end: () => Promise<void>;
}

async function metricsOf(invocation: Invocation): Promise<WorkerMetrics | undefined> {
  const address = invocation.options.text('metrics');
  if (address === undefined) return undefined;
  const { show } = await import('../metrics.ts');
  const meter = new Meter();
  let others: readonly Sample[] = [{ name: 'brigade_worker_processes', labels: {}, value: 1 }];
  return { meter, hear: (samples) => { others = samples; }, end: await show(invocation, address, () => [...meter.samples(), ...others]) };
}

/** The seats of a fleet without a broker; undefined: there is a queue. @throws usage E_USAGE, E_CONFIG */
function seatsOf(invocation: Invocation): readonly Partition[] | undefined {
  const { options } = invocation;
  const text = options.text('partition');
  if (text === undefined) {
    if (!options.has('queue')) throw usageError('E_USAGE', 'is missing', 'write --queue sqs:NAME or nats:NAME@nats://host:4222, as for the coordinator; or --partition K/N where that has --queue partitions:N', '--queue');
    isFleet(invocation, true);
    if (/^partitions\b/.test(options.text('queue') ?? '')) throw usageError('E_USAGE', 'of partitions a worker has one', 'write --partition K/N instead, such as --partition 1/4', '--queue');
    return undefined;
  }
  if (options.has('queue')) throw usageError('E_USAGE', 'stands beside --queue', 'keep one of them: with --partition there is no other queue', '--partition');
  if (options.has('processes')) throw usageError('E_USAGE', 'stands beside --partition', 'a partition is one process: write --partition 1-4/8 for four', '--processes');
  if (options.has('accept-plain-messages')) throw usageError('E_USAGE', 'stands beside --partition', 'plain messages come by SQS or NATS: give --queue instead', '--accept-plain-messages');
  neededJournal(invocation);
  return parsePartition(text);
}

function disconnected(): AbortSignal {
  const gone = new AbortController();
  process.once('disconnect', () => gone.abort());
  return gone.signal;
}

/** There is no screen here: what an operator must know is a line. */
function tell({ io }: Invocation, event: RunEvent): void {
  if (event.type === 'note' && event.level !== 'info') io.err.line(`${event.level === 'warn' ? 'warning' : 'error'}: ${event.text}`);
}
