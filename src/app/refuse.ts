/** What stops a command before it has moved anything. */
import { asBrigadeError, BrigadeError, isKind } from '../core/errors.ts';

/** Before the first byte a failed premise is a matter of configuration: nothing moved, exit 2. */
export function refuseToStart(thrown: unknown): never {
  const error = asBrigadeError(thrown, 'open');
  if (isKind(error, 'internal', 'usage', 'cancelled')) throw error;
  throw new BrigadeError({ ...error, code: error.code, message: error.message, kind: 'usage', cause: error } as ConstructorParameters<typeof BrigadeError>[0]);
}
