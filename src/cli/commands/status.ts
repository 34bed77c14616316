import { accountOf } from '../../app/account.ts';
import { limitsNow } from '../../app/limits.ts';
import { lastSaved } from '../../app/saved-migration.ts';
import { type Holder, holderOf, isCoordinated } from '../../ledger/sqlite/index.ts';
import { accountJson } from '../account-json.ts';
import { readPublished } from '../../app/fleet/published.ts';
import { isUnfinished } from '../../app/unfinished.ts';
import { fleetStatus } from '../fleet-status.ts';
import { format, type Invocation, stateDir } from '../invocation.ts';
import { summaryOptions } from '../moving.ts';
import { renderSummary } from '../summary.ts';
import { ledgersIn, openRun } from '../targets.ts';

export async function execute(invocation: Invocation): Promise<number> {
  const { io, args } = invocation;
  const names = args.length > 0 ? args : ledgersIn(stateDir(invocation));
  if (names.length === 0) io.err.line(`no run in ${stateDir(invocation)}; start one with brigade run FILE`);
  const all: object[] = [];
  for (const [index, name] of names.entries()) {
    const { json, text } = await statusOf(invocation, name);
    all.push(json);
    if (format(invocation) === 'table') io.out.write(`${index === 0 ? '' : '\n'}${text}`);
    if (format(invocation) === 'ndjson') io.out.line(JSON.stringify(json));
  }
  if (format(invocation) === 'json') io.out.line(JSON.stringify(args.length > 0 ? all[0] : all, null, 2));
  return 0;
}

async function statusOf(invocation: Invocation, name: string): Promise<{ json: object; text: string }> {
  const { view, run } = await openRun(invocation, name);
  try {
    const account = accountOf(view, run);
    const latest = view.run()?.number === run.number;
    const holder = latest && isCoordinated(view.path) ? holderOf(view.path) : undefined;
    const saved = lastSaved(stateDir(invocation), account.migration);
    const options = summaryOptions(invocation, saved);
    const fleet = fleetStatus(holder === undefined ? undefined : readPublished(view.path, run.number));
    const unfinished = latest && isUnfinished(run);
    const limits = unfinished && saved !== undefined ? limitsNow(saved.limits, view.path, run.number, invocation.io.clock.now()) : undefined;
    return {
      json: { ...accountJson(account, options.ends), ...(holder === undefined ? {} : { coordinator: holder }), ...(limits === undefined ? {} : { limits: limits.now }), ...fleet.json },
      text: `${liveText(holder, latest && run.state === 'active')}${limits?.text === undefined ? '' : `limits: ${limits.text}\n`}${fleet.text}${renderSummary(account, options)}`,
    };
  } finally {
    await view.close();
  }
}

function liveText(holder: Holder | undefined, unfinished: boolean): string {
  if (holder !== undefined) return `at work now: pid ${holder.pid} on ${holder.host} since ${new Date(holder.sinceMs).toISOString().slice(0, 19)}Z\n`;
  return unfinished ? 'nobody is at work on it now\n' : '';
}
