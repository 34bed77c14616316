import { AWKWARD_BUCKET, LAB_BUCKETS } from '../../app/lab/content.ts';
import { type Up, labUp } from '../../app/lab/lab.ts';
import { usageError } from '../../core/errors.ts';
import { showBytes, showCount } from '../../core/units.ts';
import type { Invocation } from '../invocation.ts';
import { aliasLine, labCommand, labDir, labelled, shown } from '../lab.ts';

const MOST_SCALE = 10;
const LEAST_SCALE = 0.01;

export async function execute(invocation: Invocation): Promise<number> {
  const { io, options } = invocation;
  const up = await labUp(labDir(invocation), scaleOf(options.text('scale')), io);
  for (const line of linesOf(invocation, up)) io.out.line(line);
  return 0;
}

function scaleOf(text: string | undefined): number {
  const scale = Number(text ?? '1');
  if (text !== undefined && !/^\d{1,3}(?:\.\d{1,4})?$/.test(text) || !(scale >= LEAST_SCALE && scale <= MOST_SCALE)) {
    throw usageError('E_USAGE', `${JSON.stringify(text?.slice(0, 60))} is not a share from ${LEAST_SCALE} to ${MOST_SCALE}`, 'write --scale 0.1', '--scale');
  }
  return scale;
}

function linesOf(invocation: Invocation, { lab, ends, filled }: Up): string[] {
  const place = shown(invocation, lab.dir);
  const wasUp = ends.every(({ started }) => !started);
  const moved = ends.filter(({ movedFrom }) => movedFrom !== undefined);
  const alias = aliasLine(invocation);
  return [
    wasUp ? `the lab in ${place} is up already` : `the lab is up in ${place}; it needs no network and no account`,
    '',
    ...ends.map(({ name, process }) => labelled(name, `${process.url}  ${name === 'source' ? [...LAB_BUCKETS, AWKWARD_BUCKET].map((one) => one.name).join(', ') : 'empty; the runs create its buckets'}`)),
    ...(filled.objects === 0 ? [] : [labelled('filled', `${showCount(filled.objects)} objects, ${showBytes(filled.bytes)}`)]),
    labelled('files', `${shown(invocation, lab.migrations)}/  one per pair, to read and edit`),
    labelled('keys', `${shown(invocation, lab.key('source'))} and destination.json, readable by you only`),
    ...moved.map(({ name, movedFrom, process }) => labelled('moved', `the ${name} was at ${movedFrom ?? ''}, which another program has now; the files say ${process.url}, runs from before go on with --adopt`)),
    ...(alias === undefined ? [] : ['', 'brigade is not in your PATH; for lines to paste:', `  ${alias}`]),
    '',
    labelled('next', labCommand(invocation, 'run')),
  ];
}
