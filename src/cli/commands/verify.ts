import { verifyMigration, type VerifyResult } from '../../app/verify.ts';
import type { Migration, Verify } from '../../config/index.ts';
import { oneLine } from '../../core/errors.ts';
import { showKey } from '../../core/key.ts';
import { showBytes, showCount } from '../../core/units.ts';
import { format, type Invocation, nextCommand, paintFor, stateDir } from '../invocation.ts';
import { logging } from '../logging.ts';
import { watched } from '../moving.ts';
import { SIGNAL_EXITS } from '../stopping.ts';
import { countOf } from '../summary.ts';
import { migrationOf } from '../targets.ts';

const TELL_EVERY_MS = 5_000;
const MOST_SHOWN = 10;

export async function execute(invocation: Invocation): Promise<number> {
  const { io, args, options } = invocation;
  const { migration, number } = migrationOf(invocation, args[0] ?? '');
  const level = options.text('level') as Verify | undefined;
  const flags = { stateDir: stateDir(invocation), ...(number === undefined ? {} : { run: number }), ...(level === undefined ? {} : { level }) };
  using log = logging(invocation, migration.name);
  const result = await watched(invocation, migration, undefined, async (watching, stopping) => {
    const events = { emit: (event: Parameters<typeof watching.emit>[0]) => { watching.emit(event); log.emit(event); } };
    let toldMs = io.clock.monotonic();
    const tell = (checked: number, bytesRead: number): void => {
      if (io.clock.monotonic() - toldMs < TELL_EVERY_MS) return;
      toldMs = io.clock.monotonic();
      watching.say('info', `verified ${showCount(checked)} objects, read ${showBytes(bytesRead)}`);
    };
    events.emit({ type: 'stage', stage: 'verifying' });
    try {
      return await verifyMigration(migration, flags, { env: io.env, clock: io.clock, random: io.random, events, signal: stopping.signal }, tell);
    } catch (thrown) {
      const by = stopping.by();
      if (by !== undefined) return SIGNAL_EXITS[by];
      throw thrown;
    }
  });
  if (typeof result === 'number') return result;
  show(invocation, migration, result);
  return result.exit;
}

function show(invocation: Invocation, migration: Migration, { run, summary, findings, changedSince, failed, exit }: VerifyResult): void {
  const { out } = invocation.io;
  if (format(invocation) !== 'table') {
    out.line(JSON.stringify({ v: 1, migration: migration.name, run: run.number, exit, ...summary, changedSince, failed, differences: findings }, null, format(invocation) === 'json' ? 2 : undefined));
    return;
  }
  const paint = paintFor(invocation, out);
  const evidence = Object.entries(summary.evidence).filter(([, count]) => count > 0).map(([name, count]) => `${name} ${showCount(count)}`).join(', ');
  out.line(`${paint('bold', `${migration.name}@${run.number}`)}  verified at level ${summary.level}: ${showCount(summary.checked)} objects checked, ${showBytes(summary.bytesRead)} read, ${paint(summary.findings === 0 ? 'green' : 'red', countOf(summary.findings, 'difference'))}`);
  if (evidence !== '') out.line(`evidence    ${evidence}`);
  if (changedSince > 0) out.line(`since then  ${showCount(changedSince)} objects changed or vanished at the source: for the next run`);
  if (failed > 0) out.line(`${paint('red', 'failed'.padEnd(12))}${countOf(failed, 'object')} that the run failed at: not compared, not migrated; see ${nextCommand(invocation, `objects ${migration.name}@${run.number} --state failed`)}`);
  for (const { key, kind, message } of findings.slice(0, MOST_SHOWN)) out.line(`  ${kind}: ${showKey(key)}  ${oneLine(message)}`);
  if (summary.findings > MOST_SHOWN) out.line(`  and ${showCount(summary.findings - MOST_SHOWN)} more: ${nextCommand(invocation, `report ${migration.name}@${run.number} -o json`)}`);
}
