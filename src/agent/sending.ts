/** Sends an answer: whole where it is small, at the pace of the client where it is not. */
import type { ServerResponse } from 'node:http';
import { FRAMES } from '../core/frames.ts';
import type { Reply } from './context.ts';

export interface Shown {
  readonly method: string;
  readonly id: string;
  /** Epoch milliseconds, told as the Date header. */
  readonly now: number;
  /** Whether this is the last answer of the connection. */
  readonly last: boolean;
}

let [dateSecond, dateText] = [0, ''];

/** The Date header; made once a second. */
function dateOf(now: number): string {
  const second = Math.floor(now / 1000);
  if (second !== dateSecond) [dateSecond, dateText] = [second, new Date(second * 1000).toUTCString()];
  return dateText;
}

/** What it is, and what our own driver may ask of it (framing.ts). */
const SERVER = `brigade ${FRAMES}`;

function headersOf(reply: Reply, shown: Shown, length: number | undefined): string[] {
  const headers: string[] = [];
  const own: Record<string, string> = { 'x-amz-request-id': shown.id, 'x-amz-id-2': shown.id, date: dateOf(shown.now), server: SERVER, ...(shown.last ? { connection: 'close' } : {}), ...reply.headers };
  if (reply.status !== 304 && reply.status !== 204 && length !== undefined) own['content-length'] = String(length);
  for (const name in own) headers.push(name, own[name] ?? '');
  return headers;
}

/** Hands something to the connection and waits until it has gone, or nobody is there to read. */
function gone(response: ServerResponse, hand: (done: () => void) => void): Promise<void> {
  return new Promise((resolve) => {
    const done = (): void => {
      response.off('close', done);
      resolve();
    };
    response.on('close', done);
    hand(done);
  });
}

/** Hands over a body piece by piece, the last one together with the end. A piece may be used again when the next is asked for, so each has
 * gone by then. A body shorter than was said breaks the connection: the client must see that something is missing. */
async function pump(body: AsyncIterable<Buffer> | Iterable<Buffer>, length: number | undefined, response: ServerResponse): Promise<void> {
  let left = length ?? Infinity;
  for await (const piece of body) {
    if (response.destroyed) return;
    left -= piece.length;
    if (left <= 0) await gone(response, (done) => response.end(piece, done));
    else await gone(response, (done) => response.write(piece, done));
    if (left <= 0) return;
  }
  if (left > 0 && length !== undefined) response.destroy();
  else response.end();
}

/** Sends an answer. Resolves when it was handed to the connection. @throws what the body throws; the connection is then to be broken */
export async function send(reply: Reply, shown: Shown, response: ServerResponse): Promise<void> {
  const { body } = reply;
  const length = typeof body === 'string' ? Buffer.byteLength(body) : reply.length ?? (body === undefined ? 0 : undefined);
  response.writeHead(reply.status, headersOf(reply, shown, length));
  if (body === undefined || shown.method === 'HEAD' || reply.status === 304 || reply.status === 204) response.end();
  else if (typeof body === 'string') response.end(body);
  else if (Array.isArray(body) && body.length === 1 && (body[0] as Buffer).length === length) response.end(body[0]);
  else await pump(body, length, response);
}
