/** What must hold when a simulated run has ended, whatever happened to it. */
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import type { Item } from '../../src/core/item.ts';
import { differences, fold, rebuild } from '../../src/journal/index.ts';
import { openLedger, type SqliteLedger } from '../../src/ledger/sqlite/index.ts';
import { BINDING } from './coordinator.ts';
import type { World } from './world.ts';

/** As its coordinator left it: everything is accounted for, and stands where the ledger says. */
export function checkLedger(world: World, ledger: SqliteLedger, when: string): void {
  const items = new Map([...ledger.items(world.run)].map((item) => [item.key, item]));
  checkAccount(world, ledger, items, when);
  for (const item of items.values()) checkItem(world, item, when);
  for (const key of world.objects.keys) {
    if (world.objects.wasAlwaysThere(key) && !items.has(key)) world.violate(`I1 ${when}: ${key} stood at the source from beginning to end, and the ledger knows nothing of it`);
  }
}

function checkAccount(world: World, ledger: SqliteLedger, items: ReadonlyMap<string, Item>, when: string): void {
  const { listed, copied, unchanged, skipped, failed, pending } = ledger.tally(world.run);
  const sum = copied.objects + unchanged.objects + skipped.objects + failed.objects;
  if (pending.objects > 0 || listed.objects !== sum) world.violate(`I1 ${when}: listed ${listed.objects}, of which ${sum} are accounted for and ${pending.objects} pending`);
  const counted = [...items.values()].filter(({ state }) => state !== 'extra').length;
  if (counted !== listed.objects) world.violate(`I1 ${when}: ${listed.objects} listed, ${counted} held`);
}

function checkItem(world: World, item: Item, when: string): void {
  const { objects } = world;
  const { key, state, code } = item;
  if (state === 'failed' || state === 'skipped') {
    if (code === undefined || code === '') world.violate(`I1 ${when}: ${key} is ${state} without a reason`);
    if (code === 'source_gone' && objects.wasAlwaysThere(key)) world.violate(`I1 ${when}: ${key} is skipped as gone, and it never was`);
  }
  checkPoison(world, item, when);
  if (state !== 'copied' && state !== 'unchanged') return;
  const bytes = objects.destination.bytes(key);
  if (bytes === undefined) return world.violate(`I1 ${when}: ${key} is ${state}, and nothing stands there`);
  const version = objects.version(key, item.source.token) + 1;
  const stands = objects.whichVersion(key, bytes);
  if (version === 0) world.violate(`I6 ${when}: ${key} is ${state} from a version that the source never had`);
  else if (stands !== version && !(stands > version && isAskedPlainly(world, key))) world.violate(`I6 ${when}: ${key} is ${state} from version ${version}, and version ${stands} stands there`);
}

/** Another producer may have had it copied since, in a newer version; what it began and the queue lost is left to the bucket's abort rule. */
function isAskedPlainly({ scenario: { plain } }: World, key: string): boolean {
  return plain.some(({ keys }) => keys.includes(key));
}

function checkPoison(world: World, { key, state, code }: Item, when: string): void {
  const { poison } = world.scenario;
  if (code === 'E_OBJECT_POISON' && key !== poison) world.violate(`F098 ${when}: ${key} is parked as poison, and it kills nobody`);
  if (state === 'copied' && key === poison) world.violate(`F098 ${when}: ${key} is copied, and nobody could have read it`);
}

/** Each key of the ledger stands at the destination under the token that it says. */
export async function checkTokens(world: World, ledger: SqliteLedger, when: string): Promise<void> {
  const { destination } = world.objects;
  for (const { key, state, destination: token } of ledger.items(world.run)) {
    if (state !== 'copied' && state !== 'unchanged') continue;
    const there = await destination.head(key).catch(() => undefined);
    if (there !== undefined && there.token !== token && !isAskedPlainly(world, key)) world.violate(`I2 ${when}: ${key} stands under ${there.token}, the ledger says ${token ?? 'nothing'}`);
  }
}

export async function checkUploads(world: World): Promise<void> {
  for await (const { key, id } of world.objects.destination.multipart?.listUploads() ?? []) if (!isAskedPlainly(world, key)) world.violate(`F072: upload ${id} of ${key} was never completed nor aborted`);
}

/** The journal alone says what the ledger says. */
export async function checkJournal(world: World, ledger: SqliteLedger, dir: string): Promise<void> {
  const clock = world.clock;
  const { strangers } = await fold(world.journal, ledger, { all: true });
  if (strangers > 0) world.violate(`I13: ${strangers} reports are of tasks that nobody planned who counts`);
  const path = join(dir, 'rebuilt.db');
  const made = await openLedger({ path, binding: BINDING, clock, mode: 'create', holder: { pid: 1, host: 'judge' } });
  try {
    await rebuild(world.journal, made);
    for (const { message } of differences(ledger, made)) world.violate(`I13: ${message.slice(0, 600)}`);
  } finally {
    await made.close();
    rmSync(path, { force: true });
  }
}
