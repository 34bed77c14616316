/**
 * How a coordinator signs its claim, so that the next one knows whether that process is gone: host and process id are not enough, because containers share
 * host names and all begin with process 1. `HOST (process PID, SPACE-INSTANCE)`: SPACE is the same for processes that see one another (same boot, same pid
 * namespace), INSTANCE is of this process and of no other one ever.
 */
import { createHash, randomBytes } from 'node:crypto';
import { readFileSync, readlinkSync } from 'node:fs';
import { hostname } from 'node:os';

export interface Identity {
  readonly host: string;
  readonly pid: number;
  /** Absent: nobody else's process ids mean anything here. */
  readonly space?: string;
  readonly instance: string;
  /** Whether there is a process of this id, as far as this one sees. */
  readonly lives: (pid: number) => boolean;
}

const SIGNED = /^(.*) \(process (\d+), ([0-9a-f]{8}|-)-([0-9a-z]+)\)$/s;

export function signature({ host, pid, space = '-', instance }: Identity): string {
  return `${host} (process ${pid}, ${space}-${instance})`;
}

/**
 * Whether who signed so is known to be gone: an earlier run of this very process, or a process that would be seen from here and is not. Of one in another
 * container, or on another machine of the same name, nothing is known: its beats tell.
 */
export function isGone(holder: string, me: Identity): boolean {
  const [, host, pid, space, instance] = SIGNED.exec(holder) ?? [];
  if (host === undefined) return false;
  if (instance === me.instance) return true;
  if (host !== me.host || me.space === undefined || space !== me.space) return false;
  // One of this very number was an earlier one in its place.
  return Number(pid) === me.pid || !me.lives(Number(pid));
}

const INSTANCE = randomBytes(5).toString('hex');

export function thisProcess(): Identity {
  const space = spaceHere();
  return { host: hostname(), pid: process.pid, instance: INSTANCE, lives, ...(space === undefined ? {} : { space }) };
}

/** Where Linux does not say, there are no containers that share a name: other systems have one space of processes. */
function spaceHere(): string | undefined {
  if (process.platform !== 'linux') return digest(hostname());
  try {
    return digest(`${readFileSync('/proc/sys/kernel/random/boot_id', 'utf8')} ${readlinkSync('/proc/self/ns/pid')}`);
  } catch {
    return undefined; // Not ours to see: then a beat that stops tells, half a minute later.
  }
}

const digest = (text: string): string => createHash('sha256').update(text).digest('hex').slice(0, 8);

function lives(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (thrown) {
    return (thrown as NodeJS.ErrnoException).code !== 'ESRCH';
  }
}
