/**
 * What a page of a listing seems to be, before it is read: how the listing goes on behind it and how far it reaches, by a few searches in its
 * bytes. Nothing here is proof. It only says which request can be sent at once; the page is read and proven while the answer is on its way.
 */
import { isAscii } from 'node:buffer';
import type { Key } from '../../core/key.ts';
import { KiB } from '../../core/units.ts';
import { decodeEncoded } from './scanner.ts';
import { decodeText } from './xml.ts';

export interface Glance {
  /** NextContinuationToken, decoded; absent: the listing goes on behind its last key. */
  readonly token: string | undefined;
  /** The last key. */
  readonly reach: Key;
}

const FRAME = 4 * KiB;
const END = '</ListBucketResult>';
const KEY = '<Key>';
const SIGNS = ['<EncodingType>url</EncodingType>', '<IsTruncated>true</IsTruncated>'];

/** Undefined: the last page, or none that can be told without reading it. */
export function glanceAt(body: Buffer, plusIsSpace: boolean): Glance | undefined {
  const first = body.indexOf('<Contents>');
  const last = body.lastIndexOf('</Contents>');
  const name = body.lastIndexOf(KEY);
  if (first < 0 || first > FRAME || last < name || body.length - last > FRAME || name < first) return undefined;
  const frame = body.toString('latin1', 0, first) + body.toString('latin1', last);
  // Where keys are not encoded, one may have to be asked for by itself (F038): not while the page is read.
  if (!SIGNS.every((sign) => frame.includes(sign)) || !frame.trimEnd().endsWith(END) || frame.includes('<NextMarker>')) return undefined;
  const raw = body.toString('latin1', name + KEY.length, body.indexOf('</Key>', name));
  const token = between(frame, '<NextContinuationToken>', '</NextContinuationToken>');
  if (!isAscii(Buffer.from(raw + (token ?? ''), 'latin1'))) return undefined;
  return { token: token === undefined || token === '' ? undefined : decodeText(token), reach: decodeEncoded(decodeText(raw), plusIsSpace) };
}

function between(text: string, open: string, close: string): string | undefined {
  const at = text.indexOf(open);
  return at < 0 ? undefined : text.slice(at + open.length, text.indexOf(close, at));
}
