/** zod's issues → our problems. */
import type * as z from 'zod';
import { unknownKey } from './hints.ts';
import { Problem, type Finding } from './problem.ts';

type Issue = z.core.$ZodIssue;
type Path = readonly PropertyKey[];

export function explain(issues: readonly Issue[], input: unknown, base: Path = []): Finding[] {
  return issues.flatMap((issue) => findingsOf(issue, input, [...base, ...issue.path]));
}

function findingsOf(issue: Issue, input: unknown, path: Path): Finding[] {
  const value = valueAt(input, path);
  if (issue.code === 'unrecognized_keys') return issue.keys.map((key) => ({ path: [...path, key], problem: unknownKey(path, key) }));
  if (issue.code === 'invalid_union') return explain(branch(issue.errors, value), input, path);
  return [{ path, problem: problemOf(issue, value) }];
}

/** A location is a text or a mapping: what it is decides whose complaints are told. */
function branch(options: readonly (readonly Issue[])[], value: unknown): readonly Issue[] {
  const isMapping = typeof value === 'object' && value !== null && !Array.isArray(value);
  return (isMapping ? options.at(-1) : options[0]) ?? [];
}

function problemOf(issue: Issue, value: unknown): Problem {
  if (issue.code === 'custom' && issue.params?.['problem'] instanceof Problem) return issue.params['problem'];
  if (issue.code === 'invalid_type') return wrongKind(issue.expected, value);
  if (issue.code === 'too_big') return new Problem(`has more than ${issue.maximum} entries`, 'remove some, or use wider globs', 'key');
  return new Problem('cannot be used', 'see docs/migration-file.md', 'key');
}

function wrongKind(expected: string, value: unknown): Problem {
  const wanted = expected === 'array' ? 'a list' : 'a mapping';
  const example = expected === 'array' ? 'write one entry per line, each after "- "' : 'write its keys below it, indented by two spaces';
  if (value === undefined) return new Problem('is missing', `add it: ${wanted}`, 'key');
  if (value === null) return new Problem('has no value', `${example}, or remove the key`, 'key');
  const found = Array.isArray(value) ? 'a list' : typeof value === 'object' ? 'a mapping' : 'a single value';
  return new Problem(`is ${found} where ${wanted} is expected`, example, 'key');
}

export function valueAt(input: unknown, path: Path): unknown {
  let here = input;
  for (const step of path) {
    if (typeof here !== 'object' || here === null || !Object.hasOwn(here, step)) return undefined;
    here = (here as Record<PropertyKey, unknown>)[step];
  }
  return here;
}
