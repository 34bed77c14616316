/**
 * Which objects a migration takes. Globs are matched against the whole key; `*` and `?` stop at `/`, `**` does not, `[a-z]`, `[!x]` and
 * `{a,b}` as usual, `\` escapes. Written here and not taken from a path-matching library: those treat `.`, `..`, `//` and dot files as
 * special, and a key is opaque (truth 1) — an exclude that silently does not match would move what must not be moved.
 */
import { usageError } from './errors.ts';
import type { ObjectEntry } from './object.ts';

export interface Selection {
  /** Empty: everything. A key is taken if any include matches and no exclude does. */
  readonly include: readonly string[];
  readonly exclude: readonly string[];
  readonly minSize?: number;
  readonly maxSize?: number;
  readonly modifiedAfterMs?: number;
  readonly modifiedBeforeMs?: number;
}

export type Selector = (entry: Pick<ObjectEntry, 'key' | 'size' | 'modifiedMs' | 'kind'>) => boolean;

export function createSelector(selection: Selection): Selector {
  const byKey = createKeySelector(selection);
  return (entry) => byKey(entry.key) && (entry.kind !== 'object' || (sizeFits(entry.size, selection) && timeFits(entry.modifiedMs, selection)));
}

/** The part that needs nothing but the key, so that an excluded path is not even looked at (F053). */
export function createKeySelector(selection: Pick<Selection, 'include' | 'exclude'>): (key: string) => boolean {
  const include = selection.include.map(compileGlob);
  const exclude = selection.exclude.map(compileGlob);
  return (key) => (include.length === 0 || include.some((glob) => glob.test(key))) && !exclude.some((glob) => glob.test(key));
}

function sizeFits(size: number, { minSize = 0, maxSize = Infinity }: Selection): boolean {
  return size >= minSize && size <= maxSize;
}

function timeFits(modifiedMs: number | undefined, { modifiedAfterMs, modifiedBeforeMs }: Selection): boolean {
  if (modifiedMs === undefined) return true;
  return (modifiedAfterMs === undefined || modifiedMs >= modifiedAfterMs) && (modifiedBeforeMs === undefined || modifiedMs < modifiedBeforeMs);
}

/** The text that every key matched by any of the globs begins with; empty where there is none. */
export function literalPrefix(include: readonly string[]): string {
  const texts = include.map((glob) => {
    const plain = glob.search(/[*?[{\\]/);
    return plain < 0 ? glob : glob.slice(0, plain);
  });
  return texts.length === 0 ? '' : texts.reduce(commonStart);
}

function commonStart(a: string, b: string): string {
  let at = 0;
  while (at < a.length && a[at] === b[at]) at++;
  // Half of a surrogate pair is no prefix of anything.
  return /[\ud800-\udbff]/.test(a[at - 1] ?? '') ? a.slice(0, at - 1) : a.slice(0, at);
}

/** @throws usage error E_GLOB for an unclosed class or brace, a range that runs backwards, and what is too long to be matched. */
export function compileGlob(glob: string): RegExp {
  if (glob.length > MOST_CHARACTERS) throw badGlob(`${glob.slice(0, 60)}…`, `more than ${MOST_CHARACTERS} characters`, 'write several shorter ones');
  const state = { glob, at: 0, depth: 0 };
  let source = '';
  while (state.at < glob.length) source += compileNext(state);
  if (state.depth > 0) throw badGlob(glob, 'a { without its }');
  return compiled(source, glob);
}

/** Every character is quoted by now: what is left to be refused is nesting that is too deep, and that shows at the first match only. */
function compiled(source: string, glob: string): RegExp {
  try {
    const expression = new RegExp(`^(?:${source})$`, 'su');
    expression.test('');
    return expression;
  } catch {
    throw badGlob(`${glob.slice(0, 60)}…`, 'more braces in it than can be matched', 'write several simpler ones');
  }
}

/** Longer than any key or path by far. */
const MOST_CHARACTERS = 8192;

interface Scan { readonly glob: string; at: number; depth: number }

function compileNext(scan: Scan): string {
  const character = String.fromCodePoint(scan.glob.codePointAt(scan.at) ?? 0);
  scan.at += character.length;
  switch (character) {
    case '*': return compileStars(scan);
    case '?': return '[^/]';
    case '[': return compileClass(scan);
    case '{': scan.depth++; return '(?:';
    case '}': if (scan.depth === 0) return '\\}'; scan.depth--; return ')';
    case ',': return scan.depth > 0 ? '|' : ',';
    case '\\': return compileEscape(scan);
    default: return quote(character);
  }
}

/** `**` with slashes on both sides also matches nothing: `a/**` + `/b` takes `a/b`. */
function compileStars(scan: Scan): string {
  if (scan.glob[scan.at] !== '*') return '[^/]*';
  while (scan.glob[scan.at] === '*') scan.at++;
  const before = scan.glob.slice(0, scan.at).replace(/\*+$/, '');
  if (scan.glob[scan.at] === '/' && (before === '' || before.endsWith('/'))) {
    scan.at++;
    return '(?:.*/)?';
  }
  return '.*';
}

function compileClass(scan: Scan): string {
  const negated = scan.glob[scan.at] === '!' || scan.glob[scan.at] === '^';
  const start = scan.at + (negated ? 1 : 0);
  // A ] that stands first is one of the members.
  const end = scan.glob.indexOf(']', start + 1);
  if (end < 0) throw badGlob(scan.glob, 'a [ without its ]');
  scan.at = end + 1;
  return `(?!/)[${negated ? '^' : ''}${compileMembers([...scan.glob.slice(start, end)], scan.glob)}]`;
}

/** Every member by its number: what a regular expression takes for an operator in a class, or refuses there, is nothing that a key knows. */
function compileMembers(members: readonly string[], glob: string): string {
  let source = '';
  for (let at = 0; at < members.length; at++) {
    const first = numberOf(members[at]);
    const isRange = members[at + 1] === '-' && at + 2 < members.length;
    const last = isRange ? numberOf(members[at + 2]) : first;
    if (last < first) throw badGlob(glob, 'a range that runs backwards', 'exchange its ends');
    source += isRange ? `${quoteNumber(first)}-${quoteNumber(last)}` : quoteNumber(first);
    if (isRange) at += 2;
  }
  return source;
}

function numberOf(character: string | undefined): number {
  return character?.codePointAt(0) ?? 0;
}

function quoteNumber(code: number): string {
  return `\\u{${code.toString(16)}}`;
}

function compileEscape(scan: Scan): string {
  const character = scan.glob.codePointAt(scan.at);
  if (character === undefined) throw badGlob(scan.glob, 'a \\ at the end');
  const text = String.fromCodePoint(character);
  scan.at += text.length;
  return quote(text);
}

function quote(character: string): string {
  return /[\^$\\.*+?()[\]{}|/]/.test(character) ? `\\${character}` : character;
}

function badGlob(glob: string, why: string, fix = 'close it, or escape it with \\'): Error {
  return usageError('E_GLOB', `the glob ${JSON.stringify(glob)} has ${why}`, fix);
}
