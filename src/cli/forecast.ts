/** What `plan` prints. */
import type { CodeCount, Forecast } from '../app/forecast-types.ts';
import { oneLine } from '../core/errors.ts';
import type { Count } from '../core/item.ts';
import { showKey } from '../core/key.ts';
import { showBytes, showCount, showDuration } from '../core/units.ts';
import type { Paint } from './colours.ts';
import type { Format } from './invocation.ts';
import { sum } from './summary.ts';
import { renderTable } from './table.ts';

export function showForecast(forecast: Forecast, format: Format, paint: Paint, next: readonly string[]): string {
  if (format === 'table') return renderForecast(forecast, paint, next);
  // JSON has no Infinity: the last size class has no `upTo`.
  const plain = { ...forecast, histogram: forecast.histogram.map(({ upTo, ...rest }) => (Number.isFinite(upTo) ? { upTo, ...rest } : rest)) };
  return `${JSON.stringify(plain, null, format === 'json' ? 2 : undefined)}\n`;
}

export function renderForecast(forecast: Forecast, paint: Paint, next: readonly string[] = []): string {
  const { migration, source, destination, warnings } = forecast;
  const sections = [
    `${paint('bold', migration)}  plan\n${oneLine(source)} → ${oneLine(destination)}`,
    actionsText(forecast), codesText('skipped', forecast.skipped), codesText(paint('red', 'cannot be held by the destination'), forecast.refused), codesText('worth knowing', forecast.awkward),
    histogramText(forecast), classesText(forecast), largestText(forecast), costText(forecast),
    warnings.length === 0 ? '' : warnings.map((line) => paint('yellow', `warning: ${oneLine(line)}`)).join('\n'),
    next.length === 0 ? '' : ['next', ...next.map((line) => `  ${line}`)].join('\n'),
  ];
  return `${sections.filter((text) => text !== '').join('\n\n')}\n`;
}

function actionsText({ listed, copy, compare, unchanged, skipped, refused, extra }: Forecast): string {
  const rows: readonly (readonly [string, Count, string])[] = [
    ['listed', listed, ''], ['to copy', copy, ''], ['to compare', compare, 'stand at both ends without a record'], ['unchanged', unchanged, ''], ['skipped', total(skipped), ''],
    ['refused', total(refused), ''], ['extra', extra, extra.objects > 0 ? 'only at the destination, will not be touched' : ''],
  ];
  return renderTable([{ title: '' }, { title: 'objects', right: true }, { title: 'bytes', right: true }, { title: '' }],
    rows.map(([name, { objects, bytes }, note]) => [name, showCount(objects), showBytes(bytes), objects > 0 ? note : '']));
}

function total(counts: readonly Count[]): Count {
  return counts.reduce<Count>((all, { objects, bytes }) => ({ objects: all.objects + objects, bytes: all.bytes + bytes }), { objects: 0, bytes: 0 });
}

const MOST_KEYS = 3;

function codesText(title: string, codes: readonly CodeCount[]): string {
  if (codes.length === 0) return '';
  const lines = codes.flatMap(({ code, objects, message, keys }) => [`  ${code}: ${showCount(objects)}  ${oneLine(message)}`, ...keys.slice(0, MOST_KEYS).map((key) => `    ${showKey(key)}`)]);
  return [title, ...lines].join('\n');
}

function histogramText({ histogram, listed }: Forecast): string {
  const classes = histogram.filter(({ objects }) => objects > 0);
  if (classes.length === 0) return '';
  const bars = classes.map(({ upTo, objects, bytes }) => [
    Number.isFinite(upTo) ? `≤ ${showBytes(upTo)}` : 'larger', showCount(objects), showBytes(bytes), '█'.repeat(Math.max(1, Math.round((objects / Math.max(1, listed.objects)) * 30))),
  ]);
  return renderTable([{ title: 'size', right: true }, { title: 'objects', right: true }, { title: 'bytes', right: true }, { title: '' }], bars);
}

function classesText({ storageClasses }: Forecast): string {
  if (storageClasses.length === 0) return '';
  return renderTable([{ title: 'storage class', most: 40 }, { title: 'objects', right: true }, { title: 'bytes', right: true }], storageClasses.map(({ name, objects, bytes }) => [oneLine(name), showCount(objects), showBytes(bytes)]));
}

function largestText({ largest }: Forecast): string {
  if (largest.length === 0) return '';
  return ['largest', ...largest.map(({ key, size }) => `  ${showBytes(size).padStart(10)}  ${showKey(key)}`)].join('\n');
}

function costText({ requests, duration }: Forecast): string {
  const side = (name: 'source' | 'destination'): string => Object.entries(requests[name]).filter(([, count]) => count > 0).map(([op, count]) => `${op} ${showCount(count)}`).join(', ');
  const all = sum(requests.source) + sum(requests.destination);
  const lines = all === 0 ? [] : [`requests    about ${showCount(all)}`];
  for (const name of ['source', 'destination'] as const) if (side(name) !== '') lines.push(`            ${name}: ${side(name)}`);
  if (duration !== undefined) lines.push(`duration    about ${showDuration(duration.ms)}, limited by ${oneLine(duration.limitedBy)}`);
  return lines.join('\n');
}
