/**
 * The access keys of an agent: a YAML file that only its owner can read.
 *
 *     keys:
 *       - id: migration            # 3 to 128 letters, digits and _ - . @
 *         secret: 0123456789abcdef # at least 16 characters
 *         readOnly: true           # optional: may list and read
 *         buckets: [media, logs]   # optional: the only buckets it may use
 */
import { configError } from './problem.ts';
import { readPrivateFile } from './private-file.ts';
import { parseYaml, PositionedProblem, type Tree, type YamlTree } from './yaml.ts';

export interface AgentKey {
  readonly id: string;
  readonly secret: string;
  readonly readOnly: boolean;
  /** Absent: all buckets. */
  readonly buckets?: readonly string[];
}

const MIN_SECRET = 16;
const KNOWN = ['id', 'secret', 'readOnly', 'buckets'];

type Path = readonly PropertyKey[];

/** Where in the file, what, and how to mend it. No value is ever repeated: it may be the secret. */
class Reader {
  readonly #tree: YamlTree;
  readonly #file: string;

  constructor(tree: YamlTree, file: string) {
    this.#tree = tree;
    this.#file = file;
  }

  refuse(path: Path, what: string, fix: string): Error {
    const { line, col } = this.#tree.position(path, 'value');
    return configError(`${this.#file}:${line}:${col}`, what, fix);
  }

  keys(): AgentKey[] {
    const { root } = this.#tree;
    const fields = isMapping(root) ? root : {};
    const stranger = Object.keys(fields).find((name) => name !== 'keys');
    if (stranger !== undefined) throw this.refuse([stranger], 'only keys: stands at the left margin', 'write keys: and below it a list of id: and secret:');
    const list = fields['keys'];
    if (!Array.isArray(list) || list.length === 0) throw this.refuse(['keys'], 'keys: is not a list of access keys', 'write keys: and below it - id: and secret:');
    const found = list.map((entry, index) => this.key(entry, ['keys', index]));
    const twice = found.findIndex(({ id }, index) => found.findIndex((other) => other.id === id) !== index);
    if (twice >= 0) throw this.refuse(['keys', twice, 'id'], 'this id stands twice', 'give each key an id of its own');
    return found;
  }

  key(entry: Tree, path: Path): AgentKey {
    if (!isMapping(entry)) throw this.refuse(path, 'an access key is not a mapping', 'write id: and secret:');
    const stranger = Object.keys(entry).find((name) => !KNOWN.includes(name));
    if (stranger !== undefined) throw this.refuse([...path, stranger], 'this is no property of an access key', `known are ${KNOWN.join(', ')}`);
    const buckets = this.buckets(entry['buckets'], [...path, 'buckets']);
    return { ...this.pair(entry, path), readOnly: this.flag(entry['readOnly'], [...path, 'readOnly']), ...(buckets === undefined ? {} : { buckets }) };
  }

  pair(entry: Readonly<Record<string, Tree>>, path: Path): Pick<AgentKey, 'id' | 'secret'> {
    const { id, secret } = entry;
    if (typeof id !== 'string' || !/^[\w.@-]{3,128}$/.test(id)) throw this.refuse([...path, 'id'], 'id: is not the name of an access key', 'write 3 to 128 letters, digits and _ - . @');
    if (typeof secret !== 'string' || secret.length < MIN_SECRET) throw this.refuse([...path, 'secret'], 'secret: is missing or too short to be safe', `write at least ${MIN_SECRET} characters, such as those of: openssl rand -base64 30`);
    return { id, secret };
  }

  flag(value: Tree | undefined, path: Path): boolean {
    if (value === undefined || value === 'false') return false;
    if (value === 'true') return true;
    throw this.refuse(path, 'readOnly: is neither true nor false', 'write readOnly: true, or leave it out');
  }

  buckets(value: Tree | undefined, path: Path): string[] | undefined {
    if (value === undefined) return undefined;
    if (!Array.isArray(value) || value.length === 0) throw this.refuse(path, 'buckets: is not a list of names', 'write buckets: [one, two], or leave it out to allow all');
    return value.map((name, index) => {
      if (typeof name !== 'string' || name === '') throw this.refuse([...path, index], 'this is not the name of a bucket', 'write a name');
      return name;
    });
  }
}

const isMapping = (tree: Tree | undefined): tree is { [key: string]: Tree } => typeof tree === 'object' && tree !== null && !Array.isArray(tree);

/** The keys of a file, one at least. @throws BrigadeError E_CONFIG (usage, exit 2) */
export function loadAccessKeys(path: string): AgentKey[] {
  const text = readPrivateFile(path, (what, fix) => configError(path, `the file of access keys ${what}`, fix));
  let tree: YamlTree;
  try {
    tree = parseYaml(Buffer.from(text));
  } catch (thrown) {
    if (!(thrown instanceof PositionedProblem)) throw thrown;
    const { at, problem } = thrown;
    throw configError(`${path}:${at.line}:${at.col}`, problem.what, problem.what.includes('empty') ? 'write keys: and below it - id: and secret:' : problem.fix);
  }
  return new Reader(tree, path).keys();
}
