/** Another producer in a simulated fleet: it sends plain messages while everything else goes on, and knows nothing of it. And what must have become of them. */
import { createHash } from 'node:crypto';
import { plainMessages } from '../../src/app/fleet/plain-account.ts';
import { specDocument } from '../../src/app/fleet/spec.ts';
import type { Outcome } from '../../src/core/item.ts';
import type { Offer } from '../../src/fleet/offer-message.ts';
import { readPlain } from '../../src/fleet/plain-message.ts';
import { openMemoryQueue } from '../../src/queues/memory/index.ts';
import { NAME, type World } from './world.ts';

const [SOURCE, DESTINATION] = ['source', 'destination'];

/** As a coordinator offers the migration of this world. */
export function offersOf({ migration }: World): readonly Offer[] {
  const sha256 = createHash('sha256').update(specDocument(migration, { mtimeStepMs: 0 })).digest('hex');
  return [{ spec: { id: NAME, sha256 }, source: { bucket: SOURCE, prefix: '' }, destination: { bucket: DESTINATION } }];
}

export async function sendPlain(world: World, keys: readonly string[]): Promise<void> {
  const body = JSON.stringify({ source_bucket: SOURCE, dest_bucket: DESTINATION, keys });
  world.trace(`plain message of ${keys.length} keys`);
  await openMemoryQueue(world.broker).send([{ id: `plain-${createHash('sha256').update(body).digest('hex').slice(0, 16)}`, body }]);
}

/** All that a closed message asked for has an outcome with its reason. One that the queue lost is nobody's: it was known to nobody else. */
export async function checkPlain(world: World): Promise<void> {
  for await (const { message = '', closed, outcomes, damages } of plainMessages(world.journal)) {
    const body = world.plainBodies.get(message);
    if (!closed || damages.length > 0 || body === undefined) continue;
    const ended = new Map(outcomes.map((outcome) => [outcome.key, outcome]));
    for (const key of readPlain(body).keys) {
      const wrong = wrongWith(world, key, ended.get(key));
      if (wrong !== undefined) world.violate(`I1: ${key} of plain message ${message} ${wrong}`);
    }
  }
}

function wrongWith({ objects }: World, key: string, outcome: Outcome | undefined): string | undefined {
  if (outcome === undefined || outcome.state === 'pending') return 'has no outcome, and the message is closed';
  const { state, problem } = outcome;
  if (state === 'copied' || state === 'unchanged') return objects.destination.bytes(key) === undefined ? `is ${state}, and nothing stands there` : undefined;
  if (problem === undefined) return `is ${state} without a reason`;
  return problem.code === 'E_SOURCE_GONE' && objects.wasAlwaysThere(key) ? 'is told as missing, and it never was' : undefined;
}
