/**
 * `${VAR}`, `${VAR:-default}`, `${VAR:?message}` in values, never in keys, after the YAML has been parsed: whatever a variable holds, it is
 * text and cannot become structure. `$$` is a dollar sign. In credential fields nothing is expanded: `${VAR}` becomes `env:VAR` (truth 13).
 */
import { VALUE_FIX } from './credential-ref.ts';
import { Problem, type Finding } from './problem.ts';
import { pathId, type Tree } from './yaml.ts';

export type Environment = Readonly<Record<string, string | undefined>>;

export interface Expanded {
  readonly tree: Tree;
  readonly findings: readonly Finding[];
  /** Text as written, by path, of every value that came from the environment: messages show this, never what the variable holds. */
  readonly written: ReadonlyMap<string, string>;
}

const REFERENCE = /\$\$|\$\{([^}]*)(\})?/g;
const FORM = /^([A-Za-z_][A-Za-z0-9_]*)(?::([-?])([\s\S]*))?$/;
const CREDENTIAL_PARTS = new Set<PropertyKey>(['access_key_id', 'secret_access_key', 'session_token']);
const CREDENTIALS = new Set<PropertyKey>(['credentials', 'base']);

export function expandTree(tree: Tree, env: Environment): Expanded {
  const findings: Finding[] = [];
  const written = new Map<string, string>();
  const visit = (node: Tree, path: readonly PropertyKey[]): Tree | undefined => {
    if (node === null) return null;
    if (typeof node === 'string') return leaf(node, path);
    if (Array.isArray(node)) return node.map((item, index) => visit(item, [...path, index]) ?? '');
    return Object.fromEntries(Object.entries(node).flatMap(([key, value]) => {
      const expanded = visit(value, [...path, key]);
      return expanded === undefined ? [] : [[key, expanded]];
    }));
  };
  const leaf = (text: string, path: readonly PropertyKey[]): string | undefined => {
    if (!text.includes('$')) return text;
    try {
      if (isCredential(path)) return credentialText(text);
      const expanded = expandText(text, env);
      if (expanded !== text) written.set(pathId(path), text);
      // `endpoint: ${ENDPOINT:-}` without ENDPOINT means: as if the line were not there.
      return expanded === '' ? undefined : expanded;
    } catch (thrown) {
      if (!(thrown instanceof Problem)) throw thrown;
      findings.push({ path, problem: thrown });
      return text;
    }
  };
  return { tree: visit(tree, []) ?? null, findings, written };
}

/** Whether a value at this path is a reference to a secret. */
export function isCredential(path: readonly PropertyKey[]): boolean {
  const last = path.at(-1) ?? '';
  return CREDENTIALS.has(last) || (CREDENTIAL_PARTS.has(last) && path.some((step) => CREDENTIALS.has(step)));
}

/** One text; throws Problem. */
export function expandText(text: string, env: Environment): string {
  return text.replace(REFERENCE, (whole, body: string | undefined, closed: string | undefined) => {
    if (whole === '$$') return '$';
    if (closed === undefined) throw new Problem('has a ${ without its }', 'close it, or write $${ for the characters themselves', 'key');
    return valueOf(body ?? '', env);
  });
}

function valueOf(body: string, env: Environment): string {
  const match = FORM.exec(body);
  if (match === null) throw new Problem('has a ${…} that is not understood', 'write ${NAME}, ${NAME:-default} or ${NAME:?message}', 'key');
  const [, name = '', operator, argument = ''] = match;
  if (argument.includes('${')) throw new Problem('nests one ${…} in another', 'put the default into a variable of its own', 'key');
  const value = env[name] ?? '';
  if (value !== '') return value;
  if (operator === '-') return argument;
  const state = env[name] === undefined ? 'is not set' : 'is empty';
  if (operator === '?') throw new Problem(`needs ${name}, which ${state}${argument === '' ? '' : `: ${argument}`}`, `export ${name}`, 'key');
  // An empty variable in a prefix would silently widen the migration to the whole bucket.
  throw new Problem(`needs the variable ${name}, which ${state}`, `export ${name}, or write \${${name}:-default}`, 'key');
}

function credentialText(text: string): string {
  const match = /^\$\{([A-Za-z_][A-Za-z0-9_]*)(?::\?[^}]*)?\}$/.exec(text);
  if (match !== null) return `env:${match[1]}`;
  throw new Problem('is a credential: only a plain ${NAME} can stand here, and it means env:NAME', VALUE_FIX, 'key');
}
