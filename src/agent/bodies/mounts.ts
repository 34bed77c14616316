/** Which directories lie on disks of this machine. Source: proc_pid_mountinfo(5). */
import { readFileSync } from 'node:fs';
import type { Raw } from '../../stores/filesystem/names.ts';

/** A call on these waits for a disk at most. Not so on network mounts and FUSE, whose server may never answer; nor is it told what lies under an overlay. */
const LOCAL: ReadonlySet<string> = new Set(['bcachefs', 'btrfs', 'erofs', 'ext2', 'ext3', 'ext4', 'f2fs', 'ramfs', 'squashfs', 'tmpfs', 'xfs', 'zfs']);

const LOOK_EVERY_MS = 1000;
const MOST_KNOWN = 1024;

interface Mount { readonly point: Raw; readonly type: string }

const plain = (point: string): Raw => point.replace(/\\([0-7]{3})/g, (_, octal: string) => String.fromCharCode(parseInt(octal, 8)));

function mountsOf(text: string): Mount[] {
  return text.split('\n').filter((line) => line !== '').map((line) => {
    const [own = '', source = ''] = line.split(' - ');
    return { point: plain(own.split(' ')[4] ?? ''), type: source.split(' ')[0] ?? '' };
  });
}

/** Kernel memory: no disk is asked. */
function mountinfo(): string {
  try {
    return readFileSync('/proc/self/mountinfo', 'latin1');
  } catch {
    return ''; // not Linux, or no /proc: then no directory is known to be local
  }
}

const isWithin = (point: Raw, path: Raw): boolean => point === path || point === '/' || path.startsWith(`${point}/`);

/** Tells of mounts that come and go after a second at most. */
export class Mounts {
  readonly #now: () => number;
  readonly #read: () => string;
  readonly #known = new Map<Raw, boolean>();
  #text = '';
  #mounts: readonly Mount[] = [];
  #lookAt = -Infinity;

  /** `now`: milliseconds of any clock that only goes forward. */
  constructor(now: () => number = () => performance.now(), read: () => string = mountinfo) {
    this.#now = now;
    this.#read = read;
  }

  /** Whether the directory of this real path is on a local file system, and no name in it leads to another one. */
  local(path: Raw): boolean {
    this.#look();
    let local = this.#known.get(path);
    if (local === undefined) {
      local = this.#isLocal(path);
      if (this.#known.size >= MOST_KNOWN) this.#known.clear();
      this.#known.set(path, local);
    }
    return local;
  }

  #look(): void {
    const now = this.#now();
    if (now < this.#lookAt) return;
    this.#lookAt = now + LOOK_EVERY_MS;
    const text = this.#read();
    if (text === this.#text) return;
    this.#text = text;
    this.#mounts = mountsOf(text);
    this.#known.clear();
  }

  #isLocal(path: Raw): boolean {
    let under: Mount | undefined;
    for (const mount of this.#mounts) {
      // Of several on one point the last one covers the others.
      if (isWithin(mount.point, path) && mount.point.length >= (under?.point.length ?? 0)) under = mount;
      if (mount.point !== path && mount.point.slice(0, Math.max(1, mount.point.lastIndexOf('/'))) === path) return false;
    }
    return under !== undefined && LOCAL.has(under.type);
  }
}
