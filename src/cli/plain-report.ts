/** `brigade report --plain`: the account of plain messages, in the forms that a report has. csv and ndjson are streamed: one row per key of a message. */
import { openJournals } from '../app/fleet/journal.ts';
import { plainMessages, type PlainTold } from '../app/fleet/plain-account.ts';
import { oneLine } from '../core/errors.ts';
import type { Outcome } from '../core/item.ts';
import { showKey } from '../core/key.ts';
import { showBytes } from '../core/units.ts';
import { csvLine } from './csv.ts';
import { neededJournal } from './fleet.ts';
import type { Invocation } from './invocation.ts';
import type { ReportFormat } from './report.ts';
import { countOf } from './summary.ts';
import { parseRun } from './targets.ts';

const STATES = ['copied', 'unchanged', 'skipped', 'failed', 'pending'] as const;
/** Of each code. */
const MOST_NAMED = 20;

interface Reason {
  readonly state: 'skipped' | 'failed';
  readonly code: string;
  objects: number;
  readonly first: readonly { readonly key: string; readonly message: string; readonly queued: string }[];
}

interface Account {
  messages: number;
  open: number;
  asked: number;
  bytesSent: number;
  damaged: number;
  readonly states: Record<(typeof STATES)[number], number>;
  readonly reasons: Map<string, Reason>;
}

/** @throws BrigadeError as the journal's place does */
export async function* renderPlainReport(invocation: Invocation, form: ReportFormat, signal: AbortSignal): AsyncGenerator<string> {
  const { io: { env, cwd, clock, random }, args } = invocation;
  const { name } = parseRun(args[0] ?? '');
  const journals = openJournals(neededJournal(invocation), { env, cwd, clock, random });
  try {
    const account: Account = { messages: 0, open: 0, asked: 0, bytesSent: 0, damaged: 0, states: { copied: 0, unchanged: 0, skipped: 0, failed: 0, pending: 0 }, reasons: new Map() };
    if (form === 'csv') yield csvLine(['message', 'key', 'size', 'state', 'code', 'error', 'evidence', 'algorithm', 'checksum', 'source_version', 'destination_version', 'attempts']);
    for await (const message of plainMessages(await journals.open(name, 'read'), signal)) {
      count(account, message);
      if (form === 'csv') yield message.outcomes.map((one) => csvRow(message, one)).join('');
      if (form === 'ndjson') yield message.outcomes.map((one) => `${JSON.stringify(row(message, one))}\n`).join('');
    }
    if (form === 'json') yield `${JSON.stringify(accountJson(name, account), null, 2)}\n`;
    if (form === 'text') yield `${[...lines(name, account)].join('\n')}\n`;
  } finally {
    await journals.close();
  }
}

function count(account: Account, { id, message = id, closed, outcomes, damages }: PlainTold): void {
  account.messages++;
  account.open += closed ? 0 : 1;
  account.damaged += damages.length;
  for (const { key, state, problem, bytesSent } of outcomes) {
    account.asked++;
    account.states[state]++;
    account.bytesSent += bytesSent;
    if (state !== 'failed' && state !== 'skipped') continue;
    const code = problem?.code ?? 'E_INTERNAL';
    const known = account.reasons.get(`${state} ${code}`) ?? { state, code, objects: 0, first: [] };
    const first = known.first.length < MOST_NAMED ? [...known.first, { key, message: problem?.message ?? '', queued: message }] : known.first;
    account.reasons.set(`${state} ${code}`, { ...known, objects: known.objects + 1, first });
  }
}

function* lines(name: string, { messages, open, asked, bytesSent, damaged, states, reasons }: Account): Generator<string> {
  yield `${name}: ${countOf(messages, 'plain message')}, ${open} of them not done`;
  yield `${asked} asked for = ${STATES.map((state) => `${states[state]} ${state}`).join(' + ')}; ${showBytes(bytesSent)} sent`;
  if (damaged > 0) yield `${countOf(damaged, 'report')} cannot be believed: what they said is not counted`;
  for (const { state, code, objects, first } of [...reasons.values()].sort((a, b) => b.objects - a.objects)) {
    yield `${state} ${code}: ${countOf(objects, 'object')}`;
    for (const { key, message, queued } of first) yield `  ${showKey(key)}: ${oneLine(message)} (message ${oneLine(queued, 100)})`;
    if (objects > first.length) yield `  and ${objects - first.length} more: -o csv has all of them`;
  }
}

function accountJson(migration: string, { reasons, states, ...sums }: Account): object {
  return { v: 1, migration, ...sums, ...states, reasons: [...reasons.values()] };
}

function row({ id, message = id, closed }: PlainTold, { key, size, state, problem, evidence, checksum, source, destination, attempts }: Outcome): object {
  return {
    message, done: closed, key, ...(size === undefined ? {} : { size }), state, ...(problem === undefined ? {} : { problem }), evidence, ...(checksum === undefined ? {} : { checksum }),
    ...(source === undefined ? {} : { source: source.token }), ...(destination === undefined ? {} : { destination }), attempts,
  };
}

function csvRow({ id, message = id }: PlainTold, { key, size, state, problem, evidence, checksum, source, destination, attempts }: Outcome): string {
  return csvLine([message, showKey(key).slice(1, -1), size, state, problem?.code, problem?.message, evidence, checksum?.algorithm, checksum?.hex, source?.token, destination, attempts]);
}
