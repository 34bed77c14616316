import { isFleet } from '../open-fleet.ts';
import type { Invocation } from '../invocation.ts';
import { here } from './run.ts';

/** A coordinator outlasts what fails: nobody sits beside it to start it again (design truth 11). */
export async function execute(invocation: Invocation): Promise<number> {
  isFleet(invocation, true);
  return here(invocation.options.has('on-pause') ? invocation : { ...invocation, options: invocation.options.with('on-pause', 'wait') }, 'coordinator');
}
