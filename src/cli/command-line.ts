/** One command line in, one exit code out. Every error is one line on stderr. */
import { asBrigadeError, errorLine, isKind } from '../core/errors.ts';
import { exitCodeOfError } from '../core/exit-code.ts';
import type { Io } from './io.ts';
import { parse } from './program.ts';

/** Runs one command line. Never throws. */
export async function main(argv: readonly string[], io: Io): Promise<number> {
  try {
    const parsed = parse(argv);
    if (parsed.kind === 'text') {
      io.out.write(parsed.text);
      return 0;
    }
    const command = await parsed.command.load();
    return await command.execute({ io, args: parsed.args, options: parsed.options });
  } catch (thrown) {
    return complain(thrown, io);
  }
}

/** `brigade: where: what; fix [CODE]`, and the exit code that goes with it. */
export function complain(thrown: unknown, io: Pick<Io, 'err' | 'env'>): number {
  const error = asBrigadeError(thrown);
  io.err.line(`brigade: ${errorLine(error)}`);
  if (io.env['BRIGADE_DEBUG'] === '1') io.err.line(stackOf(isKind(error, 'internal') && error.cause instanceof Error ? error.cause : error));
  return exitCodeOfError(error);
}

function stackOf(error: Error): string {
  return error.stack ?? String(error);
}
