/**
 * What a coordinator says of its fleet, for those who are not in its process: metrics, `brigade status`, autoscalers. It stands in a small file beside the
 * ledger that is written every few seconds; nothing depends on it.
 */
import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { workersWanted } from '../../core/drain.ts';
import { isKind } from '../../core/errors.ts';
import type { Signals } from '../../fleet/coordinator/signals.ts';
import type { Clock } from '../../ports/clock.ts';
import type { Meter } from '../../telemetry/meter.ts';
import { writeWhole } from '../whole-file.ts';

export interface Published extends Signals {
  /** Milliseconds since 1970, by the clock of the coordinator. */
  readonly atMs: number;
  readonly run: number;
  /** Tasks that are not done, for each worker. */
  readonly perWorker: number;
  readonly wanted: number;
  readonly targetMs?: number;
}

export interface PublishOptions {
  readonly ledger: string;
  readonly run: number;
  readonly clock: Clock;
  readonly targetMs?: number;
  readonly read: () => Signals;
  readonly hear?: (published: Published) => void;
}

const EVERY_MS = 5000;

/** Until it is told to stop; then once more. */
export function publish(options: PublishOptions): () => void {
  const stop = new AbortController();
  const walk = async (): Promise<void> => {
    for (;;) {
      publishOnce(options);
      await options.clock.sleep(EVERY_MS, stop.signal);
    }
  };
  walk().catch((thrown: unknown) => {
    if (!isKind(thrown, 'cancelled')) throw thrown;
  });
  return () => {
    stop.abort();
    publishOnce(options);
  };
}

function publishOnce({ ledger, run, clock, targetMs, read, hear }: PublishOptions): void {
  const signals = read();
  const target = targetMs === undefined ? {} : { targetMs };
  const wanted = workersWanted({ ...signals, drainMs: signals.drainMs, ...target });
  const published: Published = { atMs: clock.now(), run, ...signals, perWorker: signals.backlog / Math.max(1, signals.workers), wanted, ...target };
  hear?.(published);
  try {
    writeWhole(publishedPath(ledger), { v: 1, ...published }, 0o600);
  } catch (thrown) {
    // A full disk: the ledger beside it tells of that, and knows what to do.
    if ((thrown as NodeJS.ErrnoException).code === undefined) throw thrown;
  }
}

function publishedPath(ledger: string): string {
  return join(dirname(ledger), 'fleet.json');
}

/** What was said last of this run; undefined: nothing that can be read. */
export function readPublished(ledger: string, run: number): Published | undefined {
  try {
    const { v, ...published } = JSON.parse(readFileSync(publishedPath(ledger), 'utf8')) as Published & { readonly v: unknown };
    return v === 1 && published.run === run ? published : undefined;
  } catch (thrown) {
    if (thrown instanceof SyntaxError || (thrown as NodeJS.ErrnoException).code !== undefined) return undefined;
    throw thrown;
  }
}

/** As metrics. */
export function measure(meter: Meter, migration: string, now: Published): void {
  const labels = { migration };
  meter.set('brigade_epoch', labels, now.epoch);
  meter.set('brigade_backlog_tasks', labels, now.backlog);
  meter.set('brigade_outstanding_tasks', labels, now.outstanding);
  meter.set('brigade_busy_tasks', labels, now.busy);
  meter.set('brigade_workers_alive', labels, now.workers);
  meter.set('brigade_backlog_per_worker', labels, now.perWorker);
  meter.set('brigade_workers_wanted', labels, now.wanted);
  meter.set('brigade_paused', labels, now.paused ? 1 : 0);
  meter.set('brigade_messages_sent_total', labels, now.sent);
  meter.set('brigade_messages_resent_total', labels, now.resent);
  meter.set('brigade_messages_needless_total', labels, now.spurious);
  meter.set('brigade_needless_ratio', labels, now.sent === 0 ? 0 : now.spurious / now.sent);
  meter.drop('brigade_predicted_drain_seconds');
  if (now.drainMs !== undefined) meter.set('brigade_predicted_drain_seconds', labels, now.drainMs / 1000);
  if (now.targetMs !== undefined) meter.set('brigade_drain_target_seconds', labels, now.targetMs / 1000);
  meter.drop('brigade_trouble');
  if (now.trouble !== undefined) meter.set('brigade_trouble', { ...labels, code: now.trouble.code }, 1);
}
