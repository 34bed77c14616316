/** Takes a permit of the endpoint's governor for each request; a read holds it until its body has ended. */
import { asBrigadeError } from '../../core/errors.ts';
import type { Clock } from '../../ports/clock.ts';
import type { ObjectRead, Store } from '../../ports/storage.ts';
import type { Governor, Permit, Sample, Verdict } from './governor.ts';
import { layer, throughBody, type Op } from './layer.ts';

/**
 * Source and destination need a governor each, even on one endpoint: a copy holds a read while it asks for a write, so that with
 * a common one all permits could be held by reads that wait for a permit to write.
 */
export function gated(store: Store, governor: Governor, clock: Clock): Store {
  /** Runs with a permit. `keep`: the permit goes with the result instead of back. */
  const withPermit = async <T>(op: Op, bytes: number, signal: AbortSignal | undefined, run: (permit: Permit) => Promise<T>, keep = false): Promise<T> => {
    const permit = await governor.acquire(signal);
    const start = clock.monotonic();
    try {
      const result = await run(permit);
      if (!keep) permit.release('answered', sampleOf(op, bytes, clock.monotonic() - start));
      return result;
    } catch (thrown) {
      permit.release(verdictOn(thrown));
      throw thrown;
    }
  };
  return layer(store, {
    call: ({ op, bytes, signal }, run) => withPermit(op, bytes ?? 0, signal, run),
    read: (request, open) => withPermit('read', 0, request.signal, async (permit) => {
      const start = clock.monotonic();
      const read = await open(request);
      // The time to the first byte is what tells of a queue at the store; how long the body takes is the consumer's pace.
      const sample = sampleOf('read', 0, clock.monotonic() - start);
      return gatedBody(read, permit, sample);
    }, true),
  });
}

/** Gives the permit back when the body has ended. */
export function gatedBody(read: ObjectRead, permit: Permit, sample: Sample): ObjectRead {
  return throughBody(read, (chunks) => chunks, (thrown) => permit.release(verdictOn(thrown), sample));
}

export function sampleOf(op: Op, bytes: number, ms: number): Sample {
  return { class: `${op} ${Math.ceil(Math.log2(bytes + 1))}`, ms };
}

/** What drivers say when there was nobody to answer: no name, no route, no reply. */
const UNREACHABLE: readonly string[] = ['E_DNS', 'E_NETWORK'];

/** Any answer with a status is an answer. Stopped by us, or a defect of ours: nothing is learnt. */
export function verdictOn(thrown: unknown): Verdict | undefined {
  if (thrown === undefined) return 'answered';
  const { code, kind, status } = asBrigadeError(thrown);
  if (kind === 'cancelled' || kind === 'internal') return undefined;
  return status === undefined && UNREACHABLE.includes(code) ? 'unreachable' : 'answered';
}
