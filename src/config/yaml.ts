/** YAML → plain tree of texts with positions. Everything that YAML can do beyond mappings, lists and scalars is refused or bounded. */
import { isAlias, isMap, isScalar, isSeq, LineCounter, parseDocument, type Document, type Node, type Pair, type Scalar, type YAMLMap } from 'yaml';
import { Problem } from './problem.ts';

/** Scalars are their source text; null is an empty or `null` value. */
export type Tree = string | null | Tree[] | { [key: string]: Tree };

export interface Position {
  readonly line: number;
  readonly col: number;
}

export class PositionedProblem extends Error {
  override readonly name = 'PositionedProblem';
  readonly problem: Problem;
  readonly at: Position;
  /** The mapping key it is about, if any. */
  readonly path: readonly PropertyKey[];
  constructor(problem: Problem, at: Position, path: readonly PropertyKey[] = []) {
    super(problem.what);
    this.problem = problem;
    this.at = at;
    this.path = path;
  }
}

const MAX_BYTES = 1024 * 1024;
// Aliases multiply: nine levels of nine make a billion nodes out of a kilobyte. No honest migration comes near these.
const MAX_NODES = 20_000;
const MAX_DEPTH = 24;

const SYNTAX: Readonly<Record<string, readonly [what: string, fix: string]>> = {
  TAB_AS_INDENT: ['a tab indents this line', 'indent with spaces'],
  DUPLICATE_KEY: ['the same key stands twice in one mapping', 'remove one of them'],
  MULTIPLE_DOCS: ['the file holds more than one document', 'write one migration per file and remove the line ---'],
  BAD_INDENT: ['the indentation does not fit the lines above', 'indent all keys of one mapping alike, with spaces'],
  MISSING_CHAR: ['a quote, bracket or colon is missing', 'close it, or put the value in quotes'],
  BLOCK_AS_IMPLICIT_KEY: ['a second key stands on this line', 'put the value in quotes, or start a new line'],
  MULTILINE_IMPLICIT_KEY: ['a key without a colon', 'write key: value'],
  BAD_DQ_ESCAPE: ['an unknown escape in double quotes', 'use single quotes'],
  BAD_SCALAR_START: ['a value starts with a character that YAML keeps for itself', 'put the value in quotes'],
  TAG_RESOLVE_FAILED: ['a ! tag is not supported', 'remove the tag, or put the value in quotes'],
};
const OTHER_SYNTAX = ['this is not valid YAML', 'check quotes, colons and indentation here; inside { } or [ ] a ${…} needs quotes'] as const;

export class YamlTree {
  readonly root: Tree;
  readonly #positions: ReadonlyMap<string, { key: Position; value: Position }>;

  constructor(root: Tree, positions: ReadonlyMap<string, { key: Position; value: Position }>) {
    this.root = root;
    this.#positions = positions;
  }

  /** Where a path stands, or the nearest thing above it that exists. */
  position(path: readonly PropertyKey[], of: 'key' | 'value'): Position {
    for (let length = path.length; length >= 0; length--) {
      const found = this.#positions.get(pathId(path.slice(0, length)));
      if (found !== undefined) return length === path.length ? found[of] : found.key;
    }
    return { line: 1, col: 1 };
  }
}

export function pathId(path: readonly PropertyKey[]): string {
  return path.map(String).join('\u0000');
}

/** Throws PositionedProblem for everything that is not one bounded YAML 1.2 mapping. */
export function parseYaml(bytes: Uint8Array): YamlTree {
  const text = decode(bytes);
  const lines = new LineCounter();
  const doc = parseDocument(text, { version: '1.2', schema: 'core', uniqueKeys: true, strict: true, prettyErrors: false, stringKeys: false, logLevel: 'error', lineCounter: lines });
  const wrong = [...doc.errors, ...doc.warnings].sort((a, b) => a.pos[0] - b.pos[0])[0];
  if (wrong !== undefined) {
    // The library's own text may quote the line, and the line may hold a secret: only its code is used.
    const [what, fix] = SYNTAX[wrong.code] ?? OTHER_SYNTAX;
    throw new PositionedProblem(new Problem(what, fix, 'key'), positionOf(lines, wrong.pos[0]));
  }
  return new Reader(doc, lines).read();
}

function decode(bytes: Uint8Array): string {
  const start = { line: 1, col: 1 };
  if (bytes.length > MAX_BYTES) throw new PositionedProblem(new Problem('the file is larger than 1 MiB', 'a migration file holds a few hundred lines; move lists into globs', 'key'), start);
  try {
    const text = new TextDecoder('utf-8', { fatal: true }).decode(bytes);
    if (text.includes('\u0000')) throw new Error('NUL');
    return text;
  } catch {
    // Either way it is not a text file; which byte it was helps nobody.
    throw new PositionedProblem(new Problem('the file is not UTF-8 text', 'save it as UTF-8', 'key'), start);
  }
}

function positionOf(lines: LineCounter, offset: number): Position {
  const { line, col } = lines.linePos(offset);
  return { line: Math.max(1, line), col: Math.max(1, col) };
}

class Reader {
  readonly #doc: Document.Parsed;
  readonly #lines: LineCounter;
  readonly #positions = new Map<string, { key: Position; value: Position }>();
  #nodes = 0;

  constructor(doc: Document.Parsed, lines: LineCounter) {
    this.#doc = doc;
    this.#lines = lines;
  }

  read(): YamlTree {
    const contents = this.#doc.contents as Node | null;
    if (contents === null || (isScalar(contents) && contents.value === null)) {
      throw new PositionedProblem(new Problem('the file is empty', 'write source: and destination:', 'key'), { line: 1, col: 1 });
    }
    if (!isMap(contents)) throw new PositionedProblem(new Problem('the file is not a mapping', 'write keys such as source: and destination: at the left margin', 'key'), this.#at(contents));
    return new YamlTree(this.#node(contents, [], { line: 1, col: 1 }), this.#positions);
  }

  #at(node: Node): Position {
    return positionOf(this.#lines, node.range?.[0] ?? 0);
  }

  #node(node: Node | null, path: readonly PropertyKey[], key: Position): Tree {
    const value = node === null || (isScalar(node) && node.value === null) ? key : this.#at(node);
    if (++this.#nodes > MAX_NODES || path.length > MAX_DEPTH) {
      throw new PositionedProblem(new Problem('the file is too deep, or grows too large through its aliases', 'write the values out', 'key'), value);
    }
    this.#positions.set(pathId(path), { key, value });
    if (node === null) return null;
    const target = isAlias(node) ? (node.resolve(this.#doc) as Node | undefined) : node;
    if (target === undefined) throw new PositionedProblem(new Problem('an alias names no anchor', 'put the value in quotes if the * belongs to it', 'key'), value, path);
    if (isScalar(target)) return scalarText(target);
    if (isSeq(target)) return target.items.map((item, index) => this.#node(item as Node, [...path, index], this.#at(item as Node)));
    return isMap(target) ? this.#map(target, path) : null;
  }

  #map(map: YAMLMap, path: readonly PropertyKey[]): Tree {
    const tree: { [key: string]: Tree } = {};
    for (const pair of map.items as Pair<Node, Node | null>[]) {
      const at = this.#at(pair.key);
      const key = isScalar(pair.key) ? scalarText(pair.key) : null;
      if (key === null || key === '') throw new PositionedProblem(new Problem('a key is not a word', 'write key: value', 'key'), at, path);
      if (key === '<<') throw new PositionedProblem(new Problem('merge keys (<<) are not supported', 'write the keys out', 'key'), at, path);
      if (key === '__proto__') throw new PositionedProblem(new Problem('__proto__ cannot be a key', 'remove it', 'key'), at, path);
      if (Object.hasOwn(tree, key)) throw new PositionedProblem(new Problem('the same key stands twice in one mapping', 'remove one of them', 'key'), at, path);
      tree[key] = this.#node(pair.value, [...path, key], at);
    }
    return tree;
  }
}

/** Text as written: `007`, `0x10`, `1e3` and `yes` are left to the schema, which knows what is expected. */
function scalarText(node: Scalar): string | null {
  if (node.value === null) return null;
  return typeof node.value === 'string' ? node.value : node.source ?? String(node.value);
}
