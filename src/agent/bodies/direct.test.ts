import assert from 'node:assert/strict';
import { constants, mkdirSync, mkdtempSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { Jail } from '../../stores/filesystem/jail.ts';
import { lstatNow } from '../../stores/filesystem/syscalls.ts';
import { Direct, SMALL, type Machine } from './direct.ts';
import { Mounts } from './mounts.ts';

const READ = constants.O_RDONLY | constants.O_NOFOLLOW;
const linux = { skip: process.platform !== 'linux' && 'only Linux tells where an open directory stands' };

async function ground(t: TestContext, machine: Partial<Machine> = {}) {
  const root = mkdtempSync(join(tmpdir(), 'brigade-direct-'));
  mkdirSync(join(root, 'in'));
  writeFileSync(join(root, 'in', 'file'), 'content');
  const jail = new Jail({ root, create: false, durable: false });
  t.after(async () => {
    await jail.close();
    rmSync(root, { recursive: true, force: true });
  });
  const direct = new Direct(jail, { mounts: { local: () => true }, now: () => 0, diskReads: () => 0, ...machine });
  const read = (from = 0, to = 7): string | undefined => direct.read(['in'], 'file', READ, [from, to])?.toString();
  const open = async (): Promise<void> => jail.release(await jail.acquire(['in'], false, 'open'));
  return { root, direct, read, open };
}

test('F112: only a directory that is open, local and where it was is looked into on the spot', linux, async (t) => {
  let local = true;
  const { root, direct, read, open } = await ground(t, { mounts: { local: () => local } });
  assert.equal(read(), undefined, 'not open yet');
  await open();
  assert.equal(read(), 'content');
  assert.equal(read(3, 7), 'tent');
  assert.equal(direct.try(['in'], (dir) => lstatNow(dir.at('file')))?.isFile(), true);
  local = false;
  assert.equal(read(), undefined, 'on a mount that may never answer');
  local = true;
  renameSync(join(root, 'in'), join(root, 'out'));
  assert.equal(read(), undefined, 'its directory was moved');
  symlinkSync('out', join(root, 'in'));
  assert.equal(read(), undefined, 'and a link stands in its place');
});

test('what is not as expected is left to the threads to tell', linux, async (t) => {
  const { root, direct, read, open } = await ground(t);
  await open();
  assert.equal(read(0, 8), undefined, 'shorter than it should be');
  assert.equal(direct.read(['in'], 'missing', READ, [0, 7]), undefined);
  assert.equal(direct.read(['in'], 'file', READ, [0, 7], () => false), undefined, 'the check refused it');
  writeFileSync(join(root, 'in', 'large'), Buffer.alloc(SMALL + 1));
  assert.equal(direct.read(['in'], 'large', READ, [0, SMALL])?.[0].length, SMALL);
  assert.equal(direct.read(['in'], 'large', READ, [0, SMALL + 1]), undefined, 'too large');
  symlinkSync('file', join(root, 'in', 'link'));
  assert.equal(direct.read(['in'], 'link', READ, [0, 7]), undefined, 'a link is not followed');
});

test('after a wait for the disk calls go to the threads for a while, after a wait for the processor they do not', linux, async (t) => {
  let [now, reads, slow, cold] = [0, 0, 0, 0];
  const { direct, open } = await ground(t, { now: () => (now += slow), diskReads: () => reads });
  const read = (): string | undefined => direct.read(['in'], 'file', READ, [0, 7], () => {
    reads += cold;
    return true;
  })?.toString();
  await open();
  slow = 5;
  assert.equal(read(), 'content');
  slow = 0;
  assert.equal(read(), 'content', 'it was slow, and nothing was read from a disk');
  [reads, slow, cold] = [8, 50, 0];
  assert.equal(read(), 'content');
  slow = 0;
  assert.equal(read(), 'content', 'what was read was read before');
  [slow, cold] = [5, 8];
  assert.equal(read(), 'content');
  [slow, cold] = [0, 0];
  assert.equal(read(), undefined);
  now += 200;
  assert.equal(read(), undefined);
  now += 100;
  assert.equal(read(), 'content');
});

const MOUNTS = `27 1 254:0 / / rw,relatime - ext4 /dev/vda rw
42 27 0:39 / /srv/nfs\\040share rw,relatime shared:1 - nfs4 server:/x rw
43 27 7:0 / /srv/disk rw,relatime - xfs /dev/loop0 rw
44 43 7:1 / /srv/disk/below rw - fuse.sshfs you@there rw
45 27 7:2 / /srv/twice rw - ext4 /dev/vdb rw
46 45 7:3 / /srv/twice rw - nfs server:/y rw
`;

test('local is what lies on a disk of this machine and has no mount among its names', () => {
  let [now, text] = [0, MOUNTS];
  const mounts = new Mounts(() => now, () => text);
  const local = (...paths: string[]): boolean[] => paths.map((path) => mounts.local(path));
  assert.deepEqual(local('/home', '/srv/disk/a/b', '/srv/diskette', '/srv/nfs'), [true, true, true, true]);
  assert.deepEqual(local('/srv/nfs share', '/srv/nfs share/a', '/srv/disk/below/a', '/srv/twice/a'), [false, false, false, false]);
  assert.deepEqual(local('/', '/srv', '/srv/disk'), [true, false, false], 'a name in it may be a server');
  text = `${MOUNTS}47 27 0:40 / /home rw - cifs //server/z rw\n`;
  assert.deepEqual(local('/home'), [true]);
  now += 1000;
  assert.deepEqual(local('/home', '/srv/diskette'), [false, true]);
  text = '';
  now += 1000;
  assert.deepEqual(local('/srv/diskette', '/'), [false, false], 'nothing is known of a machine that does not tell');
});
