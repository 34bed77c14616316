/** What one of several processes tells the one that started it, which shows it (several.ts). */
import type { Sample } from '../telemetry/meter.ts';

/** In the place of an address. */
export const TO_PARENT = 'parent';

export interface MetricsMessage {
  readonly type: 'metrics';
  /** All of that process until now. */
  readonly samples: readonly Sample[];
}
