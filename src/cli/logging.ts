/** `--log-file`: everything that happens as JSON lines, for afterwards. */
import { resolve } from 'node:path';
import { usageError } from '../core/errors.ts';
import type { Events, RunEvent } from '../ports/events.ts';
import { createLog, fileSink, type Log, type LogSink } from '../telemetry/log.ts';
import type { Invocation } from './invocation.ts';

export interface RunLog extends Events, Disposable {
  ended(exit: number): void;
}

const SILENT: RunLog = { emit: () => undefined, ended: () => undefined, [Symbol.dispose]: () => undefined };

/** Throws E_LOG_FILE when the file cannot be opened. */
export function logging({ io, options }: Invocation, migration: string): RunLog {
  const file = options.text('log-file');
  if (file === undefined) return SILENT;
  const sink = open(resolve(io.cwd, file));
  const log = createLog({ sink, clock: io.clock, level: options.has('verbose') ? 'debug' : 'info' }).with({ migration });
  return { emit: (event) => record(log, event), each: options.has('verbose'), ended: (exit) => log.info('ended', { exit }), [Symbol.dispose]: () => sink.close() };
}

function open(path: string): LogSink {
  try {
    return fileSink(path);
  } catch (thrown) {
    throw usageError('E_LOG_FILE', `the log file cannot be opened (${(thrown as NodeJS.ErrnoException).code ?? 'unknown error'})`, 'name one in a folder that exists and can be written', path);
  }
}

type Frequent = 'listed' | 'bytes' | 'landed' | 'reported' | 'verified' | 'requests' | 'task' | 'lease';
const FREQUENT: ReadonlySet<string> = new Set<Frequent>(['listed', 'bytes', 'landed', 'reported', 'verified', 'requests', 'task', 'lease']);

/** What would fill a log and tell nothing that its other lines do not. */
function isFrequent(event: RunEvent): event is Extract<RunEvent, { type: Frequent }> {
  return FREQUENT.has(event.type);
}

function record(log: Log, event: RunEvent): void {
  if (isFrequent(event)) return;
  if (isTuning(event)) return recordTuning(log, event);
  switch (event.type) {
    case 'stage': log.info('stage', { stage: event.stage }); return;
    case 'note': log[event.level](event.text); return;
    case 'waiting': log.warn('waiting', { problem: event.problem, ms: event.sinceMs }); return;
    case 'limits': log.info('limits', { ...event.now }); return;
    case 'resumed': log.info('resumed'); return;
    case 'retry': log.warn('retry', { side: event.side, op: event.op, problem: event.problem, waitMs: event.waitMs }); return;
    case 'stalled': log.warn('stalled', { key: event.key }); return;
    case 'throttled': log.debug('throttled', { side: event.side }); return;
    case 'started': log.debug('started', { key: event.key, size: event.size }); return;
    case 'ended': recordEnd(log, event); return;
    case 'request': log.debug('request', { side: event.side, op: event.op, ms: event.ms, error: event.error }); return;
  }
}

type Tuning = 'hedged' | 'tuned' | 'sharded';

function isTuning(event: RunEvent): event is Extract<RunEvent, { type: Tuning }> {
  return event.type === 'hedged' || event.type === 'tuned' || event.type === 'sharded';
}

function recordTuning(log: Log, event: Extract<RunEvent, { type: Tuning }>): void {
  if (event.type === 'hedged') log.info('hedged', { side: event.side, key: event.key, won: event.won });
  else if (event.type === 'tuned') log.info('tuned', { process: event.process, ...event.tuning });
  else log.info('sharded', { atOnce: event.atOnce, shards: event.shards, divisible: event.divisible });
}

function recordEnd(log: Log, { outcome, size }: RunEvent & { type: 'ended' }): void {
  const { key, state, problem, attempts, evidence } = outcome;
  if (state === 'failed') log.error('failed', { key, size, problem, attempts });
  else if (problem !== undefined) log.warn(state, { key, size, problem, attempts });
  else log.debug(state, { key, size, evidence });
}
