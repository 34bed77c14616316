/**
 * A call for help with one large object, as it travels: whoever takes it claims spans of parts of that upload until there are none left. It names the task,
 * whose reports say what the upload is, and the version that every read is pinned to. A call that is lost costs time, one that comes late or twice nothing.
 */
import type { ChecksumAlgorithm, Pin } from '../core/object.ts';
import { isFields, isTaskId } from './content.ts';
import type { Json } from './messages.ts';

export type CallBody = {
  readonly upload: string;
  /** Which call it is, of all that ever go out for this task. */
  readonly hand: number;
  readonly pin: { readonly token: string; readonly versionId?: string };
  readonly algorithm: string;
  readonly spanBytes: number;
  /** Parts in flight of one worker. */
  readonly perHolder: number;
  /** As of the task. */
  readonly after: number;
};

export interface Call {
  readonly upload: string;
  readonly hand: number;
  readonly pin: Pin;
  readonly algorithm: ChecksumAlgorithm;
  readonly spanBytes: number;
  readonly perHolder: number;
  readonly after: number;
}

const ALGORITHMS: Readonly<Record<ChecksumAlgorithm, true>> = { crc32: true, crc32c: true, crc64nvme: true, sha1: true, sha256: true, md5: true };

export function callBody({ pin: { token, versionId }, ...call }: Call): CallBody {
  return { ...call, pin: { token, ...(versionId === undefined ? {} : { versionId }) } };
}

/** Of a body that `wrongCall` found right. */
export function callOf(body: CallBody): Call {
  return { ...body, algorithm: body.algorithm as ChecksumAlgorithm };
}

export function wrongCall(body: Json, id: string): string | undefined {
  if (!isTaskId(id)) return 'its id names no task';
  if (!isFields(body)) return 'its body is no object';
  const { upload, hand, pin, algorithm, spanBytes, perHolder, after } = body;
  if (typeof upload !== 'string' || typeof algorithm !== 'string' || !Object.hasOwn(ALGORITHMS, algorithm)) return 'it names no upload or no checksum';
  if (![hand, spanBytes, perHolder].every((value) => isCount(value, 1)) || !isCount(after, 0)) return 'it has no hand or no spans';
  return isPin(pin) ? undefined : 'it names no version';
}

function isPin(pin: Json | undefined): boolean {
  if (!isFields(pin)) return false;
  const { token, versionId } = pin;
  return typeof token === 'string' && (versionId === undefined || typeof versionId === 'string');
}

function isCount(value: Json | undefined, least: number): boolean {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= least;
}
