/**
 * One endpoint of the lab, in a process of its own: `node endpoint-process.ts DIR NAME`. An S3 endpoint on a port of its own, the fault proxy
 * before it on the port that clients know, and the control port. Tells its parent `ready` or `failed` and then stands alone. Ends when told
 * to, on SIGTERM, and when its folder is gone or speaks of another.
 */
import { randomBytes } from 'node:crypto';
import { readFileSync, rmSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { startEndpoint } from '../../agent/endpoint.ts';
import type { Layout } from '../../agent/layout.ts';
import { openObjectsLayout } from '../../agent/objects-layout/index.ts';
import { BrigadeError } from '../../core/errors.ts';
import { type FaultProxy, startFaultProxy } from '../../faults/proxy.ts';
import { readKey } from './access-key.ts';
import { type Control, startControl } from './control.ts';
import { type EndName, END_NAMES, isLab, type LabFolder, openLab } from './folder.ts';
import { writeWhole } from '../whole-file.ts';
import { LiveFaults } from './live-faults.ts';

export interface EndProcess {
  readonly pid: number;
  /** Where clients go, through the faults. */
  readonly url: string;
  /** The endpoint itself, past the faults: for what the lab puts there. */
  readonly direct: string;
  readonly control: number;
  readonly token: string;
}

export type Message = { readonly type: 'ready' } | { readonly type: 'failed'; readonly message: string };

const REGION = 'us-east-1';
const LOOK_EVERY_MS = 2_000;

async function listen(target: string, key: { readonly id: string; readonly secret: string }, port: number): Promise<FaultProxy> {
  const options = { target, key: { ...key, region: REGION } };
  try {
    return await startFaultProxy({ ...options, port });
  } catch (error) {
    // The port of last time may be another's now: any other will do, and the migration files are told.
    if ((error as NodeJS.ErrnoException).code !== 'EADDRINUSE' && (error as NodeJS.ErrnoException).code !== 'EACCES') throw error;
    return startFaultProxy(options);
  }
}

const FREE_WITHIN_MS = 6_000;

/** Every key as it is, on disk: what was copied stays from one `up` to the next. One that is about to end may still hold the place. */
async function openStorage(root: string): Promise<Layout> {
  for (const since = performance.now(); ;) {
    try {
      return await openObjectsLayout({ root });
    } catch (error) {
      if (!(error instanceof BrigadeError) || error.code !== 'E_STATE_LOCKED' || performance.now() - since > FREE_WITHIN_MS) throw error;
      await delay(200);
    }
  }
}

function isMine(lab: LabFolder, name: EndName, token: string): boolean {
  try {
    return (JSON.parse(readFileSync(lab.process(name), 'utf8')) as EndProcess).token === token;
  } catch {
    // Gone or unreadable: not ours to remove.
    return false;
  }
}

async function serve(lab: LabFolder, name: EndName): Promise<void> {
  const { access_key_id: id, secret_access_key: secret } = readKey(lab, name);
  // The clock that a fault shifts is the proxy's: what it lets through is in time.
  const storage = await openStorage(lab.data(name));
  const endpoint = await startEndpoint({ storage, accessKeys: [{ id, secret }], region: REGION, countObjects: false, limits: { maxSkewMs: Infinity } });
  const proxy = await listen(endpoint.url, { id, secret }, lab.facts().ports[name]);
  const token = randomBytes(16).toString('hex');
  const open: { control?: Control } = {};
  const stop = (): void => {
    if (isMine(lab, name, token)) rmSync(lab.process(name), { force: true });
    open.control?.close();
    void Promise.all([proxy.close(), endpoint.close()]).then(() => storage.close?.()).finally(() => process.exit(0));
  };
  open.control = await startControl({ token, faults: new LiveFaults(proxy), stop, status: () => ({ lab: lab.dir, name, pid: process.pid, requests: proxy.requests() }) });
  process.on('SIGTERM', stop);
  writeWhole(lab.process(name), { pid: process.pid, url: proxy.url, direct: endpoint.url, control: open.control.port, token } satisfies EndProcess, 0o600);
  setInterval(() => { if (!isLab(lab.dir) || !isMine(lab, name, token)) process.exit(0); }, LOOK_EVERY_MS).unref();
}

function tell(message: Message): void {
  if (process.connected) process.send?.(message, () => { if (process.connected) process.disconnect(); });
}

const [, , dir = '', word = ''] = process.argv;
const name = END_NAMES.find((known) => known === word);
try {
  if (name === undefined) throw new RangeError(`no endpoint is called ${word}`);
  await serve(openLab(dir), name);
  tell({ type: 'ready' });
} catch (thrown) {
  tell({ type: 'failed', message: thrown instanceof Error ? thrown.message : String(thrown) });
  process.exitCode = 1;
}
