/** How a raw driver, which does one request per call and nothing else, becomes a store that the engine can rely on. */
import type { Clock, Random } from '../ports/clock.ts';
import type { Events } from '../ports/events.ts';
import type { Store } from '../ports/storage.ts';
import { direct } from './decorators/direct.ts';
import { gated } from './decorators/gated.ts';
import type { Governor } from './decorators/governor.ts';
import { hedged } from './decorators/hedged.ts';
import type { Hedging } from './decorators/hedging.ts';
import { instrumented, type Counters } from './decorators/instrumented.ts';
import { limited, type Limiter } from './decorators/limited.ts';
import { resuming } from './decorators/resuming.ts';
import { retrying, type RetryBudget } from './decorators/retrying.ts';
import { createWatch, watchedBy } from './decorators/watched.ts';

export interface StackOptions {
  readonly side: 'source' | 'destination';
  readonly clock: Clock;
  readonly random: Random;
  readonly events: Events;
  /** One per side. */
  readonly counters: Counters;
  /** One per side: all stores of that side stay below it together. */
  readonly limiter: Limiter;
  /** One per endpoint and side. */
  readonly governor: Governor;
  /** One per endpoint and side; absent: no read is asked for twice. */
  readonly hedging?: Hedging;
  /** One per process. */
  readonly budget: RetryBudget;
  readonly tries?: number;
  readonly idleMs?: number;
  readonly leastBytesPerSecond?: number;
  readonly throttlePatienceMs?: number;
}

/**
 * From the wire outwards: silence becomes an error right at the driver, where only the store can be its cause; every real request is
 * counted; it goes when its rate allows and while it holds a permit, so that waiting for the rate looks like latency and the governor
 * does not grow against it; a request that waits to be retried holds no permit; and a body that breaks is resumed with requests that
 * are themselves counted, paced, gated and retried. A body that comes far slower than others is asked for once more, by a request that goes
 * all this way too.
 */
export function stack(raw: Store, options: StackOptions): Store {
  const watch = createWatch(raw.address, options);
  const counted = instrumented(watchedBy(raw, watch), options);
  const paced = limited(counted, options.limiter);
  const once = gated(paced, options.governor, options.clock);
  const retries = { ...options, onThrottle: () => { options.governor.throttled(); options.hedging?.throttled(); } };
  const patient = retrying(once, retries);
  const one = direct({ raw, once, patient, whole: resuming(patient, options) }, { ...retries, watch });
  return options.hedging === undefined ? one : hedged(one, { ...options, hedging: options.hedging });
}
