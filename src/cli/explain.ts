/** `--explain`: what self-tuning chose in a run and why, for people. */
import type { Explanation, SideExplanation } from '../app/explain.ts';
import { oneLine } from '../core/errors.ts';
import type { AtOnce, HeldBy } from '../core/tuning.ts';
import { showBytes, showCount, showDuration } from '../core/units.ts';
import type { Paint } from './colours.ts';
import { countOf, sum } from './summary.ts';

const LABEL = 14;
const WIDTH = 100;

export function renderExplanation(run: string, { source, destination, listing, objects, sizes, copy, checksum }: Explanation, paint: Paint): string {
  const each = objects.processes > 1 ? `, in each of ${objects.processes} processes` : '';
  const lines = [
    paint('bold', `${run}  what was chosen, and why`),
    ...sideLines('source', source, paint), ...sideLines('destination', destination, paint),
    paint('bold', 'run'),
    row('listing', listingText(listing)),
    row('in flight', `up to ${countOf(objects.small, 'object')} of 64 MiB and less and ${showCount(objects.large)} larger, ${showCount(objects.parts)} parts of one at a time${each}${objects.chosen.length === 0 ? '' : ` (${objects.chosen.join(', ')})`}`),
    row('sizes', sizesText(sizes)),
    row('copy', `${copyText(copy)}: ${copy.why}`),
    row('checksum', checksumText(checksum)),
  ];
  return `${lines.join('\n')}\n`;
}

/** Wrapped at spaces; what follows stands below the text. */
function row(label: string, text: string): string {
  const lines = [''];
  for (const word of text.split(' ')) {
    const line = lines.at(-1) ?? '';
    if (line !== '' && LABEL + line.length + 1 + word.length > WIDTH) lines.push(word);
    else lines[lines.length - 1] = line === '' ? word : `${line} ${word}`;
  }
  return `  ${label.padEnd(LABEL - 2)}${lines.join(`\n${' '.repeat(LABEL)}`)}`;
}

function sideLines(name: string, side: SideExplanation, paint: Paint): string[] {
  const total = sum(side.requests);
  const head = `${paint('bold', name.padEnd(LABEL))}${oneLine(side.address)}  (${side.provider}${side.way === undefined ? '' : `, ${side.way.tls ? 'TLS' : 'plain HTTP'}`})`;
  if (total === 0) return [head, row('requests', 'none')];
  const lines = [row('requests', `${showCount(total)}: ${Object.entries(side.requests).sort(([, a], [, b]) => b - a).map(([op, count]) => `${op} ${showCount(count)}`).join(', ')}`)];
  lines.push(...atOnceLines(side.atOnce));
  lines.push(row('per second', paceText(side.atOnce)));
  if (side.way !== undefined) lines.push(row('way', wayText(side.way)));
  if (side.way !== undefined && side.way.compression !== 'off') lines.push(row('compression', side.way.compression === 'on' ? 'zstd on the wire, where it makes a body smaller' : 'asked for, but only a brigade agent speaks it: none'));
  if (side.hedges.sent > 0) lines.push(row('slow reads', `${showCount(side.hedges.sent)} asked for a second time, which was first ${countOf(side.hedges.won, 'time')}`));
  return [head, ...lines];
}

const HELD: Readonly<Record<HeldBy, (one: AtOnce) => string>> = {
  demand: () => 'more were never wanted',
  latency: ({ inflation }) => `more only wait: answers take ${inflation.toFixed(1)} times as long as when they were quickest`,
  refusals: () => 'the store refused more',
  ceiling: () => 'as many as there ever are',
  growing: () => 'still growing when the run ended',
};

/** The coordinator, then executors that came to the same end together. */
function atOnceLines(all: SideExplanation['atOnce']): string[] {
  const groups = new Map<string, SideExplanation['atOnce'][number][]>();
  for (const one of all) {
    const name = one.process === 'coordinator' ? one.process : one.heldBy;
    groups.set(name, [...(groups.get(name) ?? []), one]);
  }
  return [...groups.values()].map((group, i) => row(i === 0 ? 'at once' : '', `${all.length === 1 ? '' : `${group.length === 1 ? group[0]?.process ?? '' : `${group.length} executors, each`}: `}${atOnceText(group)}`));
}

function atOnceText(group: readonly AtOnce[]): string {
  const first = group[0] as AtOnce;
  const slowest = group.reduce((worst, one) => (one.inflation > worst.inflation ? one : worst), first);
  return `at most ${spanOf(group.map(({ most }) => most))} of ${spanOf(group.map(({ allowed }) => allowed))} allowed; ${HELD[first.heldBy](slowest)}`;
}

function spanOf(counts: readonly number[]): string {
  const [least, most] = [Math.min(...counts), Math.max(...counts)];
  return least === most ? showCount(most) : `${showCount(least)} to ${showCount(most)}`;
}

function paceText(processes: readonly AtOnce[]): string {
  const refusals = processes.reduce((all, one) => all + one.refusals, 0);
  if (refusals === 0) return 'as it answers: the store refused nothing';
  const paces = processes.flatMap(({ perSecond }) => (perSecond === undefined ? [] : [perSecond]));
  const last = Math.min(...processes.flatMap(({ lastRefusalMs }) => (lastRefusalMs === undefined ? [] : [lastRefusalMs])));
  const found = paces.length === 0 ? 'fewer at once' : `${showCount(Math.round(paces.reduce((all, one) => all + one, 0)))} found`;
  return `${found}, after ${countOf(refusals, 'refusal')} (429, 503), the last one ${showDuration(last)} before the end`;
}

function wayText({ mode, lanes, general, signedPayloads }: NonNullable<SideExplanation['way']>): string {
  const why = { auto: 'objects and their parts go over lanes', always: 'lanes: always', never: 'lanes: never', proxy: 'a proxy stands between, which lanes do not speak to' }[mode];
  return `${countOf(lanes, 'request')} over lanes, ${showCount(general)} over undici (checks before the run included): ${why}; payloads ${signedPayloads ? 'signed' : 'not signed'}`;
}

function listingText({ shards, atOnce, from, oneByOne }: Explanation['listing']): string {
  const source = from === 'file' ? ', the source from its file' : '';
  if (atOnce === undefined) return `${countOf(shards, 'shard')}, listed in an earlier sitting${source}`;
  return `${countOf(shards, 'shard')}, at most ${showCount(atOnce)} listed at once${source}${oneByOne === undefined ? '' : `: ${oneLine(oneByOne)}`}`;
}

function sizesText({ bufferUpTo, streamUpTo, partSize, partChosen, maxParts }: Explanation['sizes']): string {
  const whole = `up to ${showBytes(bufferUpTo)} held and sent at once`;
  const stream = streamUpTo > bufferUpTo ? `, ${streamUpTo === Infinity ? 'all above' : `up to ${showBytes(streamUpTo)}`} in one stream` : '';
  if (partSize === 0) return `${whole}${stream}`;
  const grown = maxParts === Infinity ? '' : `, larger ones above ${showBytes(partSize * maxParts)}`;
  return `${whole}${stream}, above in parts of ${showBytes(partSize)}${partChosen ? ' (transfer.part_size)' : ''}${grown}`;
}

function checksumText({ objects, why }: Explanation['checksum']): string {
  const used = Object.entries(objects).sort(([, a], [, b]) => b - a).map(([algorithm, count]) => `${algorithm} ${countOf(count, 'object')}`);
  return `${used.length === 0 ? 'no object came with one' : used.join(', ')}: ${why}`;
}

function copyText({ onServer, through }: Explanation['copy']): string {
  if (onServer > 0 && through > 0) return `${countOf(onServer, 'request')} copied by the store, ${showCount(through)} sent through this machine`;
  if (onServer > 0) return 'by the store itself';
  return through > 0 ? 'through this machine' : 'nothing was copied';
}
