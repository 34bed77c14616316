/**
 * Pending items and what became of them, as columns on both sides: most tasks end with each of their objects copied as planned, and nothing to tell. What
 * stands afterwards is put together from columns that are there, without an object or a string for each item.
 */
import { type ByteReader, ByteWriter } from './bytes.ts';
import type { Evidence, ItemState } from './item.ts';
import { type Columns, DESTINATION, evidenceOf, joinLines, MORE, openLines, type OpenLines, SHAPE, skipToken, stateOf } from './line-columns.ts';
import type { Landed } from './outcome-columns.ts';

/** Hears what an item is now. */
type Each = (state: ItemState, evidence: Evidence, size: number) => void;

/**
 * What becomes of the items of `pending` (as of packLines(), all of them pending) by these outcomes, as of packLines(): the same as one by one. Undefined, when
 * `each` may have heard of some, where outcomes are not one for each item in the same order, or anything about the items is out of the ordinary.
 * @throws RangeError as unpackLines
 */
export function settledLines(pending: Buffer, { columns: outcomes }: Landed, each: Each): Buffer | undefined {
  const [before, after] = [openLines(pending), openLines(outcomes.lines)];
  if (!sameKeys(before, after) || hasCodes(before)) return undefined;
  const [shape, token] = [new ByteWriter(), new ByteWriter()];
  for (let i = 0; i < before.count; i++) if (!settleOne(before.columns, after.columns, shape, token, each)) return undefined;
  const [was, is] = [before.columns, after.columns];
  const columns: Columns<Buffer> = {
    shared: was.shared.view(), length: was.length.view(), suffix: was.suffix.view(), shape: shape.view(), size: was.size.view(), token: token.view(),
    version: was.version.view(), checksum: is.checksum.view(), word: was.word.view(), attempts: is.attempts.view(),
  };
  return joinLines(before.count, before.words, columns);
}

/** Keys are coded in one way only: the same keys are the same bytes. */
function sameKeys(a: OpenLines, b: OpenLines): boolean {
  const same = (name: 'shared' | 'length' | 'suffix'): boolean => a.columns[name].view().equals(b.columns[name].view());
  return a.count === b.count && same('shared') && same('length') && same('suffix');
}

/** Whether one has a code, which its outcome would take away. */
function hasCodes({ count, words, columns: { word } }: OpenLines): boolean {
  if (words.length === 0) return false;
  let found = false;
  for (let i = 0; i < count; i++) {
    if (word.varint() !== 0) found = true;
    word.varint();
    if (word.varint() !== 0) found = true;
  }
  return found;
}

function settleOne(was: Columns<ByteReader>, is: Columns<ByteReader>, shape: ByteWriter, token: ByteWriter, each: Each): boolean {
  const [first, second] = [was.shape.byte(), was.shape.byte()];
  const [now, more] = [is.shape.byte(), is.shape.byte()];
  if (stateOf(first) !== 'pending' || (first & SHAPE.undone) !== 0 || (second & MORE.version) !== 0 || more !== DESTINATION.own) return false;
  const from = was.token.at;
  skipToken(was.token);
  const to = was.token.at;
  if (second === DESTINATION.own) skipToken(was.token);
  // That of the source, which is the one that was planned.
  skipToken(is.token);
  const there = is.token.at;
  skipToken(is.token);
  const alike = sameBytes(was.token.view(), from, to, is.token.view(), there, is.token.at);
  token.part(was.token.view(), from, to);
  if (!alike) token.part(is.token.view(), there, is.token.at);
  shape.byte(now | (first & SHAPE.directory));
  shape.byte(alike ? DESTINATION.sameAsSource : DESTINATION.own);
  each(stateOf(now), evidenceOf(now) as Evidence, was.size.varint());
  return true;
}

function sameBytes(a: Buffer, from: number, to: number, b: Buffer, at: number, end: number): boolean {
  if (to - from !== end - at) return false;
  for (let i = from; i < to; i++) if (a[i] !== b[at + i - from]) return false;
  return true;
}
