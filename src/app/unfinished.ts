import type { Run } from '../ports/ledger.ts';

/** It goes on when it is run again. */
export function isUnfinished({ state }: Pick<Run, 'state'>): boolean {
  return state === 'active' || state === 'paused';
}
