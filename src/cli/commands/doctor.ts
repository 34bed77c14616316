import { resolve } from 'node:path';
import type { Doctor, DoctorLine, FleetAround } from '../../app/doctor-types.ts';
import { loadMigration } from '../../config/index.ts';
import { oneLine } from '../../core/errors.ts';
import { EXIT } from '../../core/exit-code.ts';
import type { Paint } from '../colours.ts';
import { format, type Invocation, nextCommand, paintFor, shellWord, stateDir } from '../invocation.ts';
import { keyReferences, untilStopped } from '../fleet.ts';

export async function execute(invocation: Invocation): Promise<number> {
  const { io, args } = invocation;
  const migration = loadMigration(resolve(io.cwd, args[0] ?? ''), io.env);
  const doctor: Doctor = (await import('../../app/doctor.ts')).doctor;
  const fleet = fleetOf(invocation);
  const lines: DoctorLine[] = [];
  return untilStopped(invocation, async (signal) => {
    for await (const line of doctor(migration, { stateDir: stateDir(invocation), env: io.env, clock: io.clock, random: io.random, signal, ...(fleet === undefined ? {} : { fleet }) })) {
      lines.push(line);
      if (format(invocation) === 'table') io.out.line(showLine(line, paintFor(invocation, io.out)));
      if (format(invocation) === 'ndjson') io.out.line(JSON.stringify(line));
    }
    return conclude(invocation, migration.name, args[0] ?? '', lines);
  });
}

function fleetOf(invocation: Invocation): FleetAround | undefined {
  const { io, options } = invocation;
  const [queue, journal] = [options.text('queue'), options.text('journal')];
  if (queue === undefined && journal === undefined && !options.has('message-key')) return undefined;
  return { cwd: io.cwd, messageKeys: keyReferences(invocation), ...(queue === undefined ? {} : { queue }), ...(journal === undefined ? {} : { journal }) };
}

function conclude(invocation: Invocation, name: string, file: string, lines: readonly DoctorLine[]): number {
  const { out } = invocation.io;
  const count = (status: DoctorLine['status']): number => lines.filter((line) => line.status === status).length;
  const counts = { ok: count('OK'), warn: count('WARN'), fail: count('FAIL') };
  if (format(invocation) === 'json') out.line(JSON.stringify({ v: 1, migration: name, ...counts, checks: lines }, null, 2));
  if (format(invocation) === 'table') {
    out.line(`${name}: ${counts.ok} ok, ${counts.warn} to look at, ${counts.fail} ${counts.fail === 1 ? 'blocker' : 'blockers'}${counts.fail === 0 ? `; next: ${nextCommand(invocation, `plan ${shellWord(file)}`)}` : ''}`);
  }
  return counts.fail > 0 ? EXIT.doctorBlocker : EXIT.clean;
}

const COLOURS = { OK: 'green', WARN: 'yellow', FAIL: 'red' } as const;

export function showLine({ name, status, message, fix }: DoctorLine, paint: Paint): string {
  return `${paint(COLOURS[status], status.padEnd(4))}  ${oneLine(name)}: ${oneLine(message)}${fix === undefined ? '' : `; ${oneLine(fix)}`}`;
}
