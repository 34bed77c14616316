/** Requests on their way out. */
import { KiB } from '../../../core/units.ts';
import type { HttpRequest } from '../transport.ts';
import type { LaneConnection, Progress } from './connection.ts';

/** Pieces below this wait for the next large one: frames of `aws-chunked` bring two lines of a few bytes each. */
const SMALL = 4 * KiB;
const VALUE = /^[\t\x20-\x7e\x80-\xff]*$/;
const PATH = /^[\x21-\xff]+$/;

const failure = (code: string, message = code): Error => Object.assign(new Error(message), { code });

/** The head of a request, latin-1. @throws UND_ERR_INVALID_ARG for what would break out of it. */
export function headOf({ origin, method, path, headers, body, bodySize }: HttpRequest): string {
  if (!PATH.test(path)) throw failure('UND_ERR_INVALID_ARG', 'invalid path');
  let text = `${method} ${path} HTTP/1.1\r\nhost: ${origin.slice(origin.indexOf('://') + 3)}\r\nconnection: keep-alive\r\n`;
  for (let i = 0; i < headers.length; i += 2) {
    const value = headers[i + 1] as string;
    if (!VALUE.test(value)) throw failure('UND_ERR_INVALID_ARG', `invalid ${headers[i] as string} header`);
    text += `${headers[i] as string}: ${value}\r\n`;
  }
  if (body !== undefined) text += `content-length: ${bodySize}\r\n`;
  return `${text}\r\n`;
}

export interface Sending extends Progress {
  /** A piece has gone: whoever waits for the answer begins to wait anew. */
  moved(): void;
  /** False: nobody wants the rest. */
  goesOn(): boolean;
}

/** A streamed body. The next piece is asked for when the kernel has the last one, so that its memory may change then. @throws what the source throws */
export async function sendPieces(connection: LaneConnection, head: string, source: AsyncIterable<Uint8Array>, size: number, { handed, sent, moved, goesOn }: Sending): Promise<void> {
  let left = size;
  let small: Uint8Array[] = [Buffer.from(head, 'latin1')];
  for await (const piece of source) {
    if (!goesOn()) return;
    left -= piece.length;
    if (left < 0) throw failure('UND_ERR_REQ_CONTENT_LENGTH_MISMATCH');
    if (piece.length < SMALL && left > 0) {
      small.push(Buffer.from(piece));
      continue;
    }
    const before = small.length === 0 ? undefined : Buffer.concat(small);
    small = [];
    const written = connection.write(before, piece);
    if (left === 0) handed();
    await written;
    moved();
    if (left === 0) sent();
  }
  if (size === 0 && goesOn()) {
    await connection.write(undefined, Buffer.concat(small));
    sent();
  }
  if (left !== 0 && goesOn()) throw failure('UND_ERR_REQ_CONTENT_LENGTH_MISMATCH');
}
