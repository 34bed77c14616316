/** The goals P1–P9, and what the sections of a page reached of them. Nothing is measured here: samples in, table out. */
import { median, spread } from './figures.ts';
import type { Reached, Section } from './section.ts';

interface Aspect {
  readonly goal: string;
  readonly words: string;
  readonly most?: number;
  readonly least?: number;
  readonly unit: string;
  readonly digits: number;
}

const ratio = { unit: ' ×', digits: 2 };
const percent = { unit: ' %', digits: 1 };
const plain = { unit: '', digits: 0 };

/** What each goal asks for, in the order of the table. */
export const ASPECTS = {
  'tls-relay': { goal: 'P1', words: 'bulk over TLS with checksum: CPU of a C + OpenSSL relay', most: 1.25, ...ratio },
  'tls-rclone': { goal: 'P1', words: 'bulk over TLS with checksum: CPU of rclone multipart', most: 0.35, ...ratio },
  'http-relay': { goal: 'P2', words: 'bulk over plain HTTP, payload unsigned: CPU of a C relay', most: 1.7, ...ratio },
  'http-rclone': { goal: 'P2', words: 'bulk over plain HTTP, payload unsigned: CPU of rclone multipart', most: 0.2, ...ratio },
  'small-rate': { goal: 'P3', words: 'objects of 4 KiB per CPU-second, listing, ledger and check included', least: 10_000, ...plain },
  'small-rclone': { goal: 'P3', words: 'objects of 4 KiB per CPU-second, of tuned rclone\'s', least: 4, ...ratio },
  'small-s5cmd': { goal: 'P3', words: 'objects of 4 KiB per CPU-second, of s5cmd\'s', least: 3, ...ratio },
  'listing-driver': { goal: 'P4', words: 'keys listed per CPU-second, driver and scanner', least: 500_000, ...plain },
  'listing-rate': { goal: 'P4', words: 'keys listed per CPU-second, bisection', least: 500_000, ...plain },
  'listing-serial': { goal: 'P4', words: 'bisection of a skewed bucket of 10 M keys at 50 ms, as fast as serial', least: 30, unit: ' ×', digits: 1 },
  'listing-wasted': { goal: 'P4', words: 'LISTs wasted by bisection', most: 5, ...percent },
  'rss-many': { goal: 'P5', words: 'resident memory of a process at 10 M objects', most: 256, unit: ' MiB', digits: 0 },
  'rss-parts': { goal: 'P5', words: 'resident memory of a process, parts beyond 100 MiB', most: 256, unit: ' MiB', digits: 0 },
  'first-copy': { goal: 'P5', words: 'first copy after the start, at any size of bucket', most: 2, unit: ' s', digits: 2 },
  'requests': { goal: 'P6', words: 'requests per small object (`.brigade/` apart)', most: 2.02, unit: '', digits: 3 },
  'heads': { goal: 'P6', words: 'no HEADs: per object, those of the look at both ends before the run included', most: 0.01, unit: '', digits: 4 },
  'rerun': { goal: 'P6', words: 'a rerun with nothing to do: requests about objects besides LISTs', most: 0, ...plain },
  'workers-small': { goal: 'P7', words: '1 → 8 executors, efficiency at a store that is slow but never busy', least: 0.95, unit: '', digits: 2 },
  'workers-large': { goal: 'P7', words: 'one object of 20 GiB over 5 executors, efficiency', least: 0.9, unit: '', digits: 2 },
  'workers-fleet': { goal: 'P7', words: 'one object of 20 GiB over 5 workers of a fleet, efficiency', least: 0.9, unit: '', digits: 2 },
  'throttle-used': { goal: 'P8', words: 'of a hidden limit used, from 20 s after it changed', least: 90, ...percent },
  'throttle-refused': { goal: 'P8', words: 'of all requests refused (503)', most: 1, ...percent },
  'ledger-bytes': { goal: 'P9', words: 'ledger bytes per object beyond its compressed key, 1 M keys of 60 bytes', most: 100, unit: '', digits: 1 },
  'resume': { goal: 'P9', words: 'a killed run of 10 M objects: from its start to the next copy', most: 5, unit: ' s', digits: 2 },
  'kill': { goal: 'P9', words: 'kill -9: parts redone by each, per lane', most: 1, unit: '', digits: 2 },
} as const satisfies Readonly<Record<string, Aspect>>;

export type AspectId = keyof typeof ASPECTS;

/** How far beyond the limit, 1 being just at it; the larger the worse. */
function strain(aspect: Aspect, values: readonly number[]): number {
  const value = median(values);
  if (Number.isNaN(value)) return Infinity;
  return aspect.least === undefined ? value - (aspect.most ?? 0) : aspect.least - value;
}

interface Found { readonly reached: Reached; readonly section: Section }

/** The worst of all that was measured of one aspect. */
function worst(aspect: Aspect, id: string, sections: readonly Section[]): Found | undefined {
  const all = sections.flatMap((section) => section.reached.filter((one) => one.aspect === id && one.values.length > 0).map((reached) => ({ reached, section })));
  return all.sort((a, b) => strain(aspect, b.reached.values) - strain(aspect, a.reached.values))[0];
}

/** The anchor that GitHub makes of a heading. */
export function anchorOf(title: string): string {
  return title.toLowerCase().replace(/[^\p{L}\p{N}\s_-]/gu, '').replaceAll(' ', '-');
}

export interface Judged {
  readonly goal: string;
  readonly asked: string;
  readonly figure: string;
  /** Undefined: not run. */
  readonly holds?: boolean;
  readonly verdict: string;
  readonly from: string;
}

function judgeOne(id: string, aspect: Aspect, sections: readonly Section[]): Judged {
  const limit = aspect.least === undefined ? `≤ ${(aspect.most ?? 0).toLocaleString('en')}` : `≥ ${aspect.least.toLocaleString('en')}`;
  const asked = `${aspect.words}: ${limit}${aspect.unit}`;
  const found = worst(aspect, id, sections);
  if (found === undefined) return { goal: aspect.goal, asked, figure: 'not run', verdict: '–', from: '–' };
  const { reached: { values, of, only }, section: { title } } = found;
  const holds = strain(aspect, values) <= 0;
  return {
    goal: aspect.goal, asked, figure: `${spread(values, aspect.digits)}${aspect.unit}${of === undefined ? '' : `, ${of}`}`, holds,
    verdict: `${holds ? 'yes' : '**no**'}${only === undefined ? '' : `, at ${only}`}`, from: `[${title}](#${anchorOf(title)})`,
  };
}

/** Every aspect once, in order. */
export function judge(sections: readonly Section[]): readonly Judged[] {
  return Object.entries<Aspect>(ASPECTS).map(([id, aspect]) => judgeOne(id, aspect, sections));
}

/** The table of goals, markdown. A goal is reached by the median of its worst figure. */
export function goalTable(judged: readonly Judged[]): string {
  return ['| | goal | figure | reached | from |', '|---|---|---|---|---|', ...judged.map(({ goal, asked, figure, verdict, from }) => `| ${goal} | ${asked} | ${figure} | ${verdict} | ${from} |`)].join('\n');
}

/** For the list of where we lose. */
export function goalsMissed(judged: readonly Judged[]): string[] {
  return judged.filter(({ holds }) => holds === false).map(({ goal, asked, figure }) => `- ${goal} is missed: ${asked}; it is ${figure}.`);
}
