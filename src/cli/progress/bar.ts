/** Progress on a terminal: a few lines, redrawn in place. */
import { showBytes, showCount, showDuration } from '../../core/units.ts';
import type { Paint } from '../colours.ts';
import { fit } from './columns.ts';
import type { Snapshot } from './snapshot.ts';

const STAGES: Readonly<Record<Snapshot['stage'], string>> = {
  starting: 'starting', listing: 'listing and transferring', transferring: 'transferring', closing: 'closing listing', verifying: 'verifying', done: 'done',
};

export function stageName(stage: Snapshot['stage']): string {
  return STAGES[stage];
}

/** Lines of at most `columns` − 1, so that no terminal wraps them. */
export function renderBar(now: Snapshot, columns: number, paint: Paint): string[] {
  const most = Math.max(20, columns - 1);
  const put = (text: string): string => fit(text, most);
  const head = paint('bold', put(`${now.migration}  ${stageName(now.stage)}  ${showDuration(now.elapsedMs)}`));
  if (now.waiting !== undefined) return [head, paint('yellow', put(waitingText(now.waiting)))];
  const plus = now.listed || now.stage === 'starting' ? '' : '+';
  return [
    head,
    meter('objects', now.objects, `${showCount(now.objects.done)}/${showCount(now.objects.total)}${plus}  ${showRate(now.objectsPerSecond)} objects/s`, most, paint),
    now.stage === 'verifying' ? put(`${'read'.padEnd(LABEL)}${bytesText(now)}  ${showBytes(Math.round(now.bytesPerSecond))}/s`) : meter('bytes', now.bytes, `${bytesText(now)}  ${showBytes(Math.round(now.bytesPerSecond))}/s`, most, paint),
    put(etaText(now)),
    ...(now.limits === undefined ? [] : [put(`${'limits'.padEnd(LABEL)}${now.limits}`)]),
    ...troubleLines(now, put, paint),
    ...now.slowest.map(({ key, size, bytes, ms }) => {
      const facts = `  ${showBytes(bytes)} of ${showBytes(size)}, ${showDuration(ms)}`;
      return paint('dim', put(`  ${fit(key, Math.max(8, most - 2 - facts.length))}${facts}`));
    }),
  ];
}

/** One line for one of several migrations. */
export function renderLine(now: Snapshot, columns: number): string {
  return fit(`${now.migration}  ${shortText(now)}`, Math.max(20, columns - 1));
}

export function shortText(now: Snapshot): string {
  if (now.waiting !== undefined) return waitingText(now.waiting);
  const plus = now.listed || now.stage === 'starting' ? '' : '+';
  const objects = `${showCount(now.objects.done)}/${showCount(now.objects.total)}${plus} objects${percent(now.objects)}`;
  const bytes = now.stage === 'verifying' ? `${bytesText(now)} read` : `${bytesText(now)}${percent(now.bytes)}`;
  return `${stageName(now.stage)}: ${objects}, ${bytes}, ${showBytes(Math.round(now.bytesPerSecond))}/s, ${etaText(now)}${now.limits === undefined ? '' : `, limits: ${now.limits}`}${troubleText(now)}`;
}

/** How much there will be to read, nobody knows before: stores may vouch for some of it. */
function bytesText({ bytes, stage, listed }: Snapshot): string {
  if (stage === 'verifying') return showBytes(bytes.done);
  return `${showBytes(bytes.done)}/${showBytes(bytes.total)}${listed || stage === 'starting' ? '' : '+'}`;
}

function waitingText({ code, message, hint, ms }: NonNullable<Snapshot['waiting']>): string {
  return `waiting since ${showDuration(ms)}: ${message}${hint === undefined ? '' : `; ${hint}`} [${code}]`;
}

const LABEL = 8;

function meter(label: string, part: { readonly done: number; readonly total: number }, text: string, most: number, paint: Paint): string {
  const room = Math.min(30, most - LABEL - text.length - 9);
  const share = shareOf(part);
  const tail = fit(` ${(share * 100).toFixed(1).padStart(5)} %  ${text}`, most - LABEL - Math.max(0, room));
  if (room < 5) return `${label.padEnd(LABEL)}${tail}`;
  const full = Math.floor(share * room);
  return `${label.padEnd(LABEL)}${paint('cyan', '█'.repeat(full))}${paint('dim', '░'.repeat(room - full))}${tail}`;
}

/** Never 100 % before all is done. */
function shareOf({ done, total }: { readonly done: number; readonly total: number }): number {
  if (total === 0) return 0;
  return done >= total ? 1 : Math.min(0.999, done / total);
}

function percent(part: { readonly done: number; readonly total: number }): string {
  return part.total === 0 ? '' : ` (${(shareOf(part) * 100).toFixed(1)} %)`;
}

function etaText(now: Snapshot): string {
  if (now.stage !== 'listing' && now.stage !== 'transferring' && now.stage !== 'verifying') return 'ETA –';
  if (now.etaMs === undefined) return now.objects.total > 0 && now.objects.done >= now.objects.total && now.listed ? 'ETA 0 s' : 'ETA unknown';
  return now.listed ? `ETA ${showDuration(now.etaMs)}` : `ETA at least ${showDuration(now.etaMs)} (listing not finished: lower bound)`;
}

function troubleText({ retries, throttled, failed, skipped }: Snapshot): string {
  const counts = [['failed', failed], ['skipped', skipped], ['retries', retries], ['throttled', throttled]] as const;
  return counts.filter(([, count]) => count > 0).map(([name, count]) => `  ${name} ${showCount(count)}`).join('');
}

/** A line of its own, so that a failure is never what a narrow terminal cuts off. */
function troubleLines(now: Snapshot, put: (text: string) => string, paint: Paint): string[] {
  const text = put(troubleText(now).trimStart());
  if (text === '') return [];
  return [now.failed === 0 ? text : text.replace(/failed [\d,]+/, (failed) => paint('red', failed))];
}

export function showRate(perSecond: number): string {
  return perSecond >= 10 || perSecond === 0 ? showCount(perSecond) : perSecond.toFixed(1);
}
