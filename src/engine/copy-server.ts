/**
 * Server-side copy: the destination reads the source by itself, no byte crosses us. Tried where the pair can; a refusal of permission
 * falls back to copying through us, once and for all of this process. An answer is transfer, not proof: the object is looked at after (F009).
 */
import { BrigadeError, isKind } from '../core/errors.ts';
import { planPartSize } from '../core/parts.ts';
import type { ServerCopy, Store } from '../ports/storage.ts';
import type { Copied, CopyStep } from './copier.ts';
import { transferParts } from './copy-parts.ts';

/** Destinations that refused to read the source: not asked again. */
const refused = new WeakSet<Store>();

/** How, if this pair copies by itself and there is a byte that would be saved (and markers of folders are nothing that every gateway copies). */
function serverCopyOf({ context: { source, destination, options }, version }: CopyStep): ServerCopy | undefined {
  const { serverCopy } = destination;
  if (serverCopy === undefined || version.size === 0 || options.serverSideCopy === 'never' || refused.has(destination) || !serverCopy.canCopyFrom(source)) return undefined;
  return serverCopy;
}

/** Undefined at once, or in the end: it goes through us. */
export function copyOnServer(step: CopyStep): Promise<Copied | undefined> | undefined {
  const serverCopy = serverCopyOf(step);
  return serverCopy === undefined ? undefined : copyBy(step, serverCopy);
}

async function copyBy(step: CopyStep, serverCopy: ServerCopy): Promise<Copied | undefined> {
  const { source, destination, options } = step.context;
  try {
    return step.version.size <= Math.min(options.singleCopyLimit, destination.facts.maxSingleCopy) ? await copyWhole(step, serverCopy) : await copyParts(step, serverCopy);
  } catch (error) {
    if (!isKind(error, 'unsupported') && !(error instanceof BrigadeError && error.code === 'E_ACCESS_DENIED')) throw error;
    refused.add(destination);
    step.context.events.emit({ type: 'note', level: 'warn', text: `the destination may not copy from ${source.address} by itself (${error.code}); bytes go through this machine` });
    return undefined;
  }
}

async function copyWhole(step: CopyStep, serverCopy: ServerCopy): Promise<Copied> {
  const { context, version, guard, signal } = step;
  const info = await context.source.head(version.key, { checksum: true, signal });
  const carried = await step.carry(info);
  const written = await serverCopy.copy({ source: context.source, key: version.key, size: version.size, pin: version.pin, attributes: carried.attributes, guard, signal });
  step.sent(version.size);
  return { written: await checked(step, written.token), carried, ...(info.checksum === undefined ? {} : { computed: info.checksum }) };
}

async function copyParts(step: CopyStep, serverCopy: ServerCopy): Promise<Copied> {
  const { context, version, signal } = step;
  const partSize = planPartSize(version.size, context.destination.facts, Math.ceil(context.options.singleCopyLimit / 8));
  const copied = await transferParts(step, partSize, async (upload, number, range) => {
    const part = await serverCopy.copyPart(upload, number, { source: context.source, key: version.key, pin: version.pin, range, signal });
    step.sent(range.length);
    return { ...part, size: range.length };
  }, true);
  return { ...copied, written: await checked(step, copied.written.token) };
}

/** HEAD after the copy: the size must be the source's, and what the store vouches for is the evidence. */
async function checked(step: CopyStep, token: string): Promise<{ token: string; checksum?: NonNullable<Awaited<ReturnType<Store['head']>>['checksum']> }> {
  const info = await step.context.destination.head(step.version.key, { checksum: true, signal: step.signal });
  if (info.size !== step.version.size) throw new BrigadeError({ code: 'E_SHORT_WRITE', kind: 'transient', op: 'copy', message: `the server-side copy holds ${info.size} bytes of ${step.version.size}` });
  if (token !== '' && info.token !== token) throw new BrigadeError({ code: 'E_CONFLICT', kind: 'conflict', op: 'copy', message: 'another object stands where the server-side copy was just made' });
  return { token: info.token, ...(info.checksum === undefined ? {} : { checksum: info.checksum }) };
}
