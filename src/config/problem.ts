import { usageError, type BrigadeError } from '../core/errors.ts';
import { looksSecret } from '../core/secret.ts';

/** What is wrong with one value, before it is known where in which file it stands. */
export class Problem extends Error {
  override readonly name = 'Problem';
  /** Said after the value or the key: `is not a size`. */
  readonly what: string;
  readonly fix: string;
  /** `value`: the offending text is quoted before `what`; `key`: it is not (missing keys, credential fields). */
  readonly about: 'value' | 'key';

  constructor(what: string, fix: string, about: 'value' | 'key' = 'value') {
    super(what);
    this.what = what;
    this.fix = fix;
    this.about = about;
  }
}

/** A problem at a path of the migration. Several may be found; the first in file order is told. */
export interface Finding {
  readonly path: readonly PropertyKey[];
  readonly problem: Problem;
}

export class Findings extends Error {
  override readonly name = 'Findings';
  readonly list: readonly Finding[];
  constructor(list: readonly Finding[]) {
    super(`${list.length} problems`);
    this.list = list;
  }
}

export function fail(path: readonly PropertyKey[], what: string, fix: string, about: 'value' | 'key' = 'key'): never {
  throw new Findings([{ path, problem: new Problem(what, fix, about) }]);
}

/** `E_CONFIG`: usage, exit 2. `location` is `file:line:col`, or the flag or argument that was wrong. */
export function configError(location: string, message: string, fix: string, code = 'E_CONFIG'): BrigadeError {
  return usageError(code, message, fix, location);
}

/** A value as it may be repeated in a message: short, quoted, and hidden if it has the shape of a secret. */
export function quoteValue(text: string): string {
  if (looksSecret(text)) return '"***"';
  const short = text.length > 60 ? `${text.slice(0, 57)}…` : text;
  return JSON.stringify(short);
}

/** `limits.bandwidth`, `select.include[2]`. */
export function showPath(path: readonly PropertyKey[]): string {
  let shown = '';
  for (const step of path) {
    if (typeof step === 'number') shown += `[${step}]`;
    else shown += `${shown === '' ? '' : '.'}${showStep(String(step))}`;
  }
  return shown === '' ? 'the migration' : shown;
}

function showStep(step: string): string {
  return /^[\w$:-]{1,64}$/.test(step) && !looksSecret(step) ? step : quoteValue(step);
}
