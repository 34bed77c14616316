/**
 * For measurements: many small requests with nothing above that would repeat one of them. A store that asks for patience, or a connection
 * that breaks, is asked again; guarded writes only when they were answered, since nobody knows what became of one whose answer was lost.
 */
import { BrigadeError, isKind } from '../../core/errors.ts';
import type { Clock } from '../../ports/clock.ts';
import type { HttpRequest, HttpResponse, Transport } from './transport.ts';

const TRIES = 5;
const FIRST_WAIT_MS = 200;
const PASSING: ReadonlySet<number> = new Set([429, 500, 502, 503, 504]);
const GUARDS: ReadonlySet<string> = new Set(['if-match', 'if-none-match']);

export function patient(transport: Transport, clock: Clock): Transport {
  return {
    async send(request) {
      for (let attempt = 1; ; attempt++) {
        const answer = await outcome(transport, request);
        if (attempt === TRIES || !isPassing(request, answer)) {
          if (answer instanceof BrigadeError) throw answer;
          return answer;
        }
        if (!(answer instanceof BrigadeError)) answer.body.discard();
        await clock.sleep(FIRST_WAIT_MS * 2 ** (attempt - 1), request.signal);
      }
    },
    close: () => transport.close(),
  };
}

async function outcome(transport: Transport, request: HttpRequest): Promise<HttpResponse | BrigadeError> {
  try {
    return await transport.send(request);
  } catch (thrown) {
    if (thrown instanceof BrigadeError) return thrown;
    throw thrown;
  }
}

function isPassing({ body, headers }: HttpRequest, answer: HttpResponse | BrigadeError): boolean {
  if (body !== undefined && !(body instanceof Uint8Array)) return false; // a stream is read once
  if (!(answer instanceof BrigadeError)) return PASSING.has(answer.status);
  return isKind(answer, 'transient') && !headers.some((name, index) => index % 2 === 0 && GUARDS.has(name));
}
