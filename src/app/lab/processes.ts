/** Starting, finding and ending the processes of a lab. A pid alone proves nothing: only who answers on its control port is ours. */
import { spawn } from 'node:child_process';
import { closeSync, openSync, readFileSync, rmSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { BrigadeError, usageError } from '../../core/errors.ts';
import type { FaultOrder } from '../../faults/catalogue.ts';
import type { EndStatus } from './control.ts';
import type { EndProcess, Message } from './endpoint-process.ts';
import type { EndName, LabFolder } from './folder.ts';

const ENTRY = fileURLToPath(new URL(import.meta.url.endsWith('.ts') ? './endpoint-process.ts' : './endpoint-process.js', import.meta.url));
const START_MS = 20_000;
const ANSWER_MS = 3_000;
const STOP_MS = 5_000;

/** `stuck`: it is ours and lives, but does not answer. */
export type EndState =
  | { readonly state: 'up'; readonly process: EndProcess; readonly status: EndStatus }
  | { readonly state: 'stuck'; readonly pid: number }
  | { readonly state: 'down' };

export async function stateOf(lab: LabFolder, name: EndName): Promise<EndState> {
  const process = readProcess(lab, name);
  if (process === undefined) return { state: 'down' };
  const status = await ask<EndStatus>(process, 'GET', '/status');
  if (status?.lab === lab.dir && status.name === name && status.pid === process.pid) return { state: 'up', process, status };
  return isOurs(lab, name, process.pid) ? { state: 'stuck', pid: process.pid } : { state: 'down' };
}

function readProcess(lab: LabFolder, name: EndName): EndProcess | undefined {
  try {
    const found = JSON.parse(readFileSync(lab.process(name), 'utf8')) as Partial<EndProcess> | null;
    return typeof found?.pid === 'number' && typeof found.control === 'number' && typeof found.token === 'string' && typeof found.url === 'string' ? (found as EndProcess) : undefined;
  } catch (thrown) {
    if (thrown instanceof SyntaxError || (thrown as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw thrown;
  }
}

/** Whether this pid is the process that we started, and not another that has its number by now. Known on Linux only. */
function isOurs(lab: LabFolder, name: EndName, pid: number): boolean {
  try {
    const words = readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0');
    return words.includes(ENTRY) && words.includes(lab.dir) && words.includes(name);
  } catch {
    // No such process, or no /proc: nothing that we may end.
    return false;
  }
}

/** Undefined where nobody of ours answers. */
async function ask<T>({ control, token }: EndProcess, method: string, path: string, body?: object): Promise<T | undefined> {
  try {
    const response = await fetch(`http://127.0.0.1:${control}${path}`, {
      method, headers: { authorization: `Bearer ${token}` }, signal: AbortSignal.timeout(ANSWER_MS), ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    const text = await response.text();
    return response.ok ? (JSON.parse(text) as T) : undefined;
  } catch {
    // Refused, silent, or somebody else who speaks another language.
    return undefined;
  }
}

/** Starts the endpoint in a process that outlives this one. @throws E_LAB_START */
export async function startEnd(lab: LabFolder, name: EndName, env: Readonly<Record<string, string | undefined>>): Promise<void> {
  const log = openSync(lab.log(name), 'w', 0o600);
  try {
    const child = spawn(process.execPath, [ENTRY, lab.dir, name], { detached: true, cwd: lab.dir, env: { ...env }, stdio: ['ignore', log, log, 'ipc'] });
    const message = await new Promise<Message>((resolve) => {
      const late = setTimeout(() => resolve({ type: 'failed', message: `it said nothing for ${START_MS / 1000} s` }), START_MS);
      const settle = (said: Message): void => { clearTimeout(late); resolve(said); };
      child.once('message', (said) => settle(said as Message));
      child.once('error', (error) => settle({ type: 'failed', message: error.message }));
      child.once('exit', (code, signal) => settle({ type: 'failed', message: `it ended with ${signal ?? `code ${code ?? '?'}`}` }));
    });
    if (child.connected) child.disconnect();
    child.unref();
    if (message.type === 'ready') return;
    child.kill();
    throw new BrigadeError({ code: 'E_LAB_START', kind: 'usage', message: `the ${name} endpoint did not start: ${message.message}`, hint: `see ${lab.log(name)}` });
  } finally {
    closeSync(log);
  }
}

/** Ends the endpoint, by force where asking does not help. Answers whether there was one. */
export async function stopEnd(lab: LabFolder, name: EndName): Promise<boolean> {
  const found = await stateOf(lab, name);
  if (found.state === 'down') {
    rmSync(lab.process(name), { force: true });
    return false;
  }
  const pid = found.state === 'up' ? found.process.pid : found.pid;
  if (found.state === 'up') await ask(found.process, 'POST', '/stop');
  const gone = found.state === 'up' && await ended(pid, STOP_MS);
  if (!gone) process.kill(pid, 'SIGKILL');
  if (!gone && !(await ended(pid, STOP_MS))) throw usageError('E_LAB_STOP', `process ${pid} of the ${name} endpoint does not end`, 'end it by hand', lab.dir);
  rmSync(lab.process(name), { force: true });
  return true;
}

async function ended(pid: number, withinMs: number): Promise<boolean> {
  for (let waited = 0; waited < withinMs; waited += 20) {
    if (!isAlive(pid)) return true;
    await delay(20);
  }
  return false;
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
  } catch {
    // ESRCH; EPERM would be another user's process, which ours is not.
    return false;
  }
  try {
    // One that has ended but whose parent has not looked yet does no harm any more.
    return !/^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'));
  } catch {
    return true; // no /proc: the signal has answered
  }
}

/** @throws E_LAB_DOWN where it is not up */
export async function mustBeUp(lab: LabFolder, name: EndName): Promise<EndState & { readonly state: 'up' }> {
  const found = await stateOf(lab, name);
  if (found.state === 'up') return found;
  throw usageError('E_LAB_DOWN', `the ${name} endpoint ${found.state === 'stuck' ? 'does not answer' : 'is not running'}`, 'start it with brigade lab up', lab.dir);
}

export async function addFault(lab: LabFolder, name: EndName, order: FaultOrder): Promise<void> {
  const { process } = await mustBeUp(lab, name);
  if (await ask(process, 'POST', '/faults', order) === undefined) throw usageError('E_LAB_FAULT', `the ${name} endpoint did not take the fault`, 'it may be of another version: brigade lab down, then up', lab.dir);
}

/** Answers the names of those that were in force. */
export async function clearFaults(lab: LabFolder, name: EndName, fault?: string): Promise<readonly string[]> {
  const { process } = await mustBeUp(lab, name);
  return (await ask<{ cleared: string[] }>(process, 'DELETE', `/faults${fault === undefined ? '' : `?name=${encodeURIComponent(fault)}`}`))?.cleared ?? [];
}
