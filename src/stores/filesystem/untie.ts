/**
 * A writer killed between link() and unlink() (commit.ts) leaves its temporary as a second name of the finished file. Taking that name away
 * later changes the file's ctime and with it the token that was recorded when the file was adopted; so it goes before anybody looks.
 */
import { opendir } from 'node:fs/promises';
import type { Key } from '../../core/key.ts';
import { absent, classified } from './failures.ts';
import type { Dir } from './jail.ts';
import { indexOfData, isTemporaryOf, type Place, type Raw } from './names.ts';
import { unlink } from './syscalls.ts';
import type { Desk } from './write.ts';

/** Names that others gave the file stay, and so does everything where the file has one name only, which is all that is asked of most. */
export async function untieFile(desk: Desk, key: Key, place: Place): Promise<void> {
  if (place.directory) return;
  const dir = await desk.jail.find(place.segments.slice(0, -1), 'untie');
  if (dir === undefined) return;
  try {
    await classified('untie', desk.location(key), async () => {
      if ((await removeTwins(dir, place.segments.at(-1) as Raw)) && desk.durable) await dir.sync();
    });
  } finally {
    await desk.jail.release(dir);
  }
}

async function removeTwins(dir: Dir, name: Raw): Promise<boolean> {
  const file = await dir.present(name);
  if (file === undefined || !file.isFile() || file.nlink < 2n) return false;
  let removed = false;
  for await (const { name: other } of await opendir(dir.at('.'), { encoding: 'latin1' })) {
    if (!isTemporaryOf(other, name)) continue;
    const twin = await dir.present(other);
    if (twin?.ino !== file.ino || twin.dev !== file.dev) continue;
    // Index first: data without an index is never taken for an upload.
    for (const one of [indexOfData(other), other]) await unlink(dir.at(one)).catch(absent);
    removed = true;
  }
  return removed;
}
