/** The account of a run for people: what a run ends with, what `status` and `report` show. */
import type { Account, CodeGroup } from '../app/account.ts';
import { isUnfinished } from '../app/unfinished.ts';
import { oneLine } from '../core/errors.ts';
import { EVIDENCE, type Tally } from '../core/item.ts';
import { showKey } from '../core/key.ts';
import { showBytes, showCount, showDuration } from '../core/units.ts';
import type { Paint } from './colours.ts';
import { renderTable } from './table.ts';

const STATES = ['listed', 'copied', 'unchanged', 'skipped', 'failed', 'pending', 'extra'] as const;

export interface SummaryOptions {
  readonly paint: Paint;
  /** A command line to paste, with what is always needed: `brigade --state X WORDS`. */
  readonly command: (words: string) => string;
  /** Words that go on with an unfinished run: `run media.yml`. */
  readonly resume?: string;
  /** Addresses, where they are known. */
  readonly ends?: { readonly source: string; readonly destination: string };
}

export function renderSummary(account: Account, options: SummaryOptions): string {
  const sections = [headText(account, options), countsText(account.tally), factsText(account), reasonsText(account), failedText(account, options), findingsText(account), nextText(account, options)];
  return `${sections.filter((text) => text !== '').join('\n\n')}\n`;
}

function headText({ migration, run, tally }: Account, { paint, ends }: SummaryOptions): string {
  const state = run.state === 'finished' && tally.failed.objects === 0 ? paint('green', 'finished') : paint(run.state === 'finished' ? 'yellow' : 'bold', run.state);
  const resumed = run.resumes === 0 ? '' : `, resumed ${showCount(run.resumes)} ${run.resumes === 1 ? 'time' : 'times'}`;
  const stage = run.state === 'finished' ? '' : `, stage ${run.stage}`;
  const lines = [`${paint('bold', `${migration}@${run.number}`)}  ${run.kind} run ${state}${stage}  ${showDuration(run.activeMs)} at work${resumed}`];
  if (ends !== undefined) lines.push(`${oneLine(ends.source)} → ${oneLine(ends.destination)}`);
  if (run.pause !== undefined) lines.push(`${run.state === 'abandoned' ? 'given up' : 'paused'}: ${oneLine(run.pause.message)}${run.pause.hint === undefined ? '' : `; ${oneLine(run.pause.hint)}`} [${run.pause.code}]`);
  return lines.join('\n');
}

function countsText(tally: Tally): string {
  const rows = STATES.map((state) => [state, showCount(tally[state].objects), showBytes(tally[state].bytes), state === 'extra' && tally.extra.objects > 0 ? 'only at the destination, not touched' : '']);
  return renderTable([{ title: '' }, { title: 'objects', right: true }, { title: 'bytes', right: true }, { title: '' }], rows);
}

/** `3,000 listed = 2,990 copied + …`: what must be true of every run (truth 14). */
export function identityText(tally: Tally): string {
  const parts = (['copied', 'unchanged', 'skipped', 'failed', 'pending'] as const).map((state) => ({ state, objects: tally[state].objects }));
  const equal = parts.reduce((sum, { objects }) => sum + objects, 0) === tally.listed.objects;
  return `${showCount(tally.listed.objects)} listed ${equal ? '=' : '≠'} ${parts.map(({ state, objects }) => `${showCount(objects)} ${state}`).join(' + ')}`;
}

/** What became of a run that was cancelled. */
export function cancelledText({ copied, listed, pending }: Pick<Tally, 'copied' | 'listed' | 'pending'>): string {
  return `cancelled: ${showCount(copied.objects)} of ${showCount(listed.objects)} listed objects were copied and stay, ${showCount(pending.objects)} are left to the next run, which lists again`;
}

function factsText({ run, tally, totals, verify }: Account): string {
  const seconds = run.activeMs / 1000;
  const requests = sum(totals.requests);
  const retries = sum(totals.retries);
  const evidence = EVIDENCE.filter((name) => tally.evidence[name] > 0).map((name) => `${name} ${showCount(tally.evidence[name])}`);
  const lost = Object.entries(totals.lost).filter(([, count]) => count > 0).map(([name, count]) => `${name} ${showCount(count)}`);
  const facts = [
    ['account', identityText(tally)],
    ['evidence', evidence.length === 0 ? '' : evidence.join(', ')],
    ['verified', verify === undefined ? '' : `level ${verify.level}: ${showCount(verify.checked)} objects checked, ${showBytes(verify.bytesRead)} read, ${countOf(verify.findings, 'difference')}`],
    ['sent', seconds <= 0 || totals.bytesSent === 0 ? '' : `${showBytes(totals.bytesSent)}, ${showBytes(Math.round(totals.bytesSent / seconds))}/s; ${showCount(tally.copied.objects)} objects, ${(tally.copied.objects / seconds).toFixed(1)}/s`],
    ['requests', requests === 0 ? '' : requestsText(requests, retries, totals)],
    ['not carried', lost.join(', ')],
    ['unguarded', totals.unguarded === 0 ? '' : `${showCount(totals.unguarded)} writes: this store has no conditional writes, the check came just before`],
  ].filter(([, text]) => text !== '');
  return facts.map(([name = '', text = '']) => `${name.padEnd(12)}${text}`).join('\n');
}

function requestsText(requests: number, retries: number, { stalls, hedges }: Account['totals']): string {
  const facts = [[retries, 'of them again'], [stalls, 'stalled'], [hedges.sent, `slow reads asked for twice (${showCount(hedges.won)} won)`]] as const;
  return [showCount(requests), ...facts.flatMap(([count, what]) => (count === 0 ? [] : [`${showCount(count)} ${what}`]))].join(', ');
}

function reasonsText({ groups }: Account): string {
  const skipped = groups.filter(({ state }) => state === 'skipped');
  if (skipped.length === 0) return '';
  return ['skipped', ...skipped.map((group) => `  ${group.code}: ${countText(group)}${said(group)}`)].join('\n');
}

function failedText({ groups, failures, tally }: Account, { paint }: SummaryOptions): string {
  const failed = groups.filter(({ state }) => state === 'failed');
  if (failed.length === 0) return '';
  const lines = [paint('red', 'failed')];
  for (const group of failed) {
    lines.push(`  ${group.code}: ${countText(group)}${said(group)}`);
    if (group.hint !== undefined) lines.push(`    fix: ${oneLine(group.hint)}`);
    for (const { key } of failures.filter(({ problem }) => problem.code === group.code)) lines.push(`    ${showKey(key)}`);
  }
  if (tally.failed.objects > failures.length) lines.push(`  and ${showCount(tally.failed.objects - failures.length)} more`);
  return lines.join('\n');
}

function countText({ objects, bytes }: CodeGroup): string {
  return `${countOf(objects, 'object')}, ${showBytes(bytes)}`;
}

function said({ message }: CodeGroup): string {
  return message === '' ? '' : `  ${oneLine(message)}`;
}

function findingsText({ findings, verify }: Account): string {
  if (findings.length === 0 || verify === undefined) return '';
  const lines = findings.map(({ key, kind, message }) => `  ${kind}: ${showKey(key)}  ${oneLine(message)}`);
  if (verify.findings > findings.length) lines.push(`  and ${showCount(verify.findings - findings.length)} more`);
  return ['verify found', ...lines].join('\n');
}

/** What to type next; nothing where nothing is left to do. */
function nextText(account: Account, options: SummaryOptions): string {
  const { command, resume } = options;
  const { migration: name, run, tally, verify } = account;
  const next: string[] = [];
  if (isUnfinished(run)) next.push(`${command(resume ?? `retry ${name}`)}   (goes on where it was)`);
  if (run.state === 'finished' && tally.failed.objects > 0) next.push(...mendLines(account, options));
  if (run.state === 'finished' && verify === undefined && tally.copied.objects + tally.unchanged.objects > 0) next.push(command(`verify ${name}@${run.number}`));
  if (verify !== undefined && verify.findings > 0) next.push(`${command(`report ${name}@${run.number} -o json`)}   (all differences)`);
  return next.length === 0 ? '' : ['next', ...next.map((line) => `  ${line}`)].join('\n');
}

/** What a copy failed at is tried again; what the listing found waits for another listing. */
function mendLines({ migration: name, run, groups }: Account, { command, resume }: SummaryOptions): string[] {
  const failed = groups.filter(({ state }) => state === 'failed');
  const again = failed.filter(({ inPlan }) => inPlan !== true);
  const lines = again.length === 0 ? [] : [command(`retry ${name}${again.length === 1 ? ` --class ${again[0]?.code ?? ''}` : ''}`)];
  if (again.length < failed.length) lines.push(`${resume === undefined ? 'the same command again' : command(resume)}   (lists again)`);
  return [...lines, command(`report ${name}@${run.number} -o csv --output ${name}.csv`)];
}

export function countOf(count: number, word: string): string {
  return `${showCount(count)} ${word}${count === 1 ? '' : 's'}`;
}

export function sum(counts: Readonly<Record<string, number>>): number {
  return Object.values(counts).reduce((all, count) => all + count, 0);
}
