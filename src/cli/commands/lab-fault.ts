import { END_NAMES, type EndName, type LabFolder } from '../../app/lab/folder.ts';
import { addFault, clearFaults, mustBeUp } from '../../app/lab/processes.ts';
import { nearestWord } from '../../config/nearest.ts';
import { parseDuration } from '../../config/units.ts';
import { usageError } from '../../core/errors.ts';
import { showCount, showDuration } from '../../core/units.ts';
import { type FaultOrder, NAMED_FAULTS, type NamedFault, namedFault } from '../../faults/catalogue.ts';
import { OPERATIONS } from '../../faults/classify.ts';
import { format, type Invocation } from '../invocation.ts';
import { labCommand, theLab } from '../lab.ts';
import { renderTable } from '../table.ts';
import type { FaultAt } from './lab-status.ts';

type Action = (invocation: Invocation) => Promise<void>;

const ACTIONS: Readonly<Record<string, Action>> = { add, list, clear, kinds: () => Promise.resolve() };

export async function execute(invocation: Invocation): Promise<number> {
  const [word = ''] = invocation.args;
  const action = Object.hasOwn(ACTIONS, word) ? ACTIONS[word] : undefined;
  if (action === undefined) throw unknown(word, Object.keys(ACTIONS), 'an action', 'ACTION');
  if (word === 'kinds') showKinds(invocation);
  else await action(invocation);
  return 0;
}

function unknown(word: string, known: readonly string[], what: string, where: string): Error {
  const near = nearestWord(word, known);
  return usageError('E_USAGE', `${JSON.stringify(word.slice(0, 60))} is not ${what}`, near === undefined ? `known: ${known.join(', ')}` : `did you mean ${near}`, where);
}

function endsOf({ options }: Invocation): readonly EndName[] {
  const at = options.text('at') ?? 'both';
  return END_NAMES.filter((name) => at === 'both' || at === name);
}

async function add(invocation: Invocation): Promise<void> {
  const order = orderOf(invocation);
  const ends = endsOf(invocation);
  const lab = theLab(invocation);
  for (const name of ends) await mustBeUp(lab, name);
  for (const name of ends) await addFault(lab, name, order);
  const { io } = invocation;
  io.out.line(`${order.name} is in force at the ${ends.join(' and the ')}${order.forMs === undefined ? '' : ` for ${showDuration(order.forMs)}`}: ${namedFault(order.kind)?.summary ?? ''}`);
  io.out.line(`take it away: ${labCommand(invocation, `fault clear ${order.name}`)}`);
}

/** @throws usage error E_USAGE */
function orderOf({ args, options }: Invocation): FaultOrder {
  const [, kind] = args;
  if (kind === undefined) throw usageError('E_USAGE', 'KIND is missing', 'see brigade lab fault kinds', 'lab fault add');
  const named = namedFault(kind);
  if (named === undefined) throw unknown(kind, NAMED_FAULTS.map(({ name }) => name), 'a kind of fault', 'KIND');
  const operations = options.list('operation');
  for (const operation of operations ?? []) if (!OPERATIONS.includes(operation)) throw unknown(operation, [...new Set(OPERATIONS)], 'an operation of S3', '--operation');
  const name = options.text('name') ?? kind;
  if (!/^[\w.-]{1,64}$/.test(name)) throw usageError('E_USAGE', `${JSON.stringify(name.slice(0, 60))} is not a name`, 'write letters, digits, dots and hyphens', '--name');
  const bucket = options.text('bucket');
  const prefix = options.text('prefix');
  const seed = options.count('seed');
  const forText = options.text('for');
  return {
    name, kind, ...(bucket === undefined ? {} : { bucket }), ...(prefix === undefined ? {} : { prefix }), ...(operations === undefined ? {} : { operations }),
    ...probabilityOf(options.text('probability')), ...(seed === undefined ? {} : { seed }), ...amountOf(named, options.count('amount')),
    ...(forText === undefined ? {} : { forMs: parseDuration(forText) }),
  };
}

function probabilityOf(text: string | undefined): { readonly probability?: number } {
  if (text === undefined) return {};
  const probability = /^\d*\.?\d+$/.test(text) ? Number(text) : Number.NaN;
  if (!(probability > 0 && probability <= 1)) throw usageError('E_USAGE', `${JSON.stringify(text.slice(0, 60))} is not a probability above 0 and up to 1`, 'write --probability 0.3', '--probability');
  return { probability };
}

function amountOf(named: NamedFault, amount: number | undefined): { readonly amount?: number } {
  if (amount === undefined) return {};
  if (named.amount === undefined) throw usageError('E_USAGE', `${named.name} has no number`, 'leave it out', '--amount');
  return { amount };
}

async function list(invocation: Invocation): Promise<void> {
  const { out } = invocation.io;
  const faults = await faultsAt(theLab(invocation), endsOf(invocation));
  if (format(invocation) === 'json') out.line(JSON.stringify(faults, null, 2));
  if (format(invocation) === 'ndjson') for (const fault of faults) out.line(JSON.stringify(fault));
  if (format(invocation) === 'table') out.line(faults.length === 0 ? 'no fault in force' : renderFaults(faults));
}

async function faultsAt(lab: LabFolder, ends: readonly EndName[]): Promise<FaultAt[]> {
  const found: FaultAt[] = [];
  for (const at of ends) found.push(...(await mustBeUp(lab, at)).status.faults.map((fault) => ({ at, ...fault })));
  return found;
}

async function clear(invocation: Invocation): Promise<void> {
  const [, name] = invocation.args;
  const lab = theLab(invocation);
  const ends = endsOf(invocation);
  const inForce = await faultsAt(lab, ends);
  if (name !== undefined && !inForce.some((fault) => fault.name === name)) throw unknown(name, [...new Set(inForce.map((fault) => fault.name))], 'a fault in force', 'NAME');
  for (const end of ends) await clearFaults(lab, end, name);
  const cleared = inForce.filter((fault) => name === undefined || fault.name === name);
  invocation.io.out.line(cleared.length === 0 ? 'no fault was in force' : cleared.map((fault) => `${fault.name} at the ${fault.at}: over, after ${showCount(fault.hit)} ${fault.hit === 1 ? 'hit' : 'hits'}`).join('\n'));
}

function showKinds(invocation: Invocation): void {
  const { out } = invocation.io;
  if (format(invocation) === 'json') out.line(JSON.stringify(NAMED_FAULTS, null, 2));
  else if (format(invocation) === 'ndjson') for (const fault of NAMED_FAULTS) out.line(JSON.stringify(fault));
  else out.line(renderTable([{ title: 'kind' }, { title: 'what happens' }, { title: 'hits' }, { title: '--amount' }], NAMED_FAULTS.map(({ name, summary, operations, amount }) => [name, summary, operations?.join(', ') ?? 'all', amount === undefined ? '' : `${amount.meaning} (${amount.standard})`])));
}

export function renderFaults(faults: readonly FaultAt[]): string {
  return renderTable(
    [{ title: 'fault' }, { title: 'at' }, { title: 'kind' }, { title: 'where' }, { title: 'probability', right: true }, { title: 'left', right: true }, { title: 'requests', right: true }, { title: 'hit', right: true }],
    faults.map(({ name, at, kind, bucket, prefix, operations, probability, leftMs, seen, hit }) => [
      name, at, kind, [`${bucket ?? '*'}/${prefix ?? ''}`, (operations ?? namedFault(kind)?.operations)?.join(',') ?? ''].join(' ').trim(), String(probability ?? 1), leftMs === undefined ? '' : showDuration(leftMs), showCount(seen), showCount(hit),
    ]),
  );
}
