/** `brigade copy SRC DST`: a migration from the command line, held to the same schema as a file. */
import { createHash } from 'node:crypto';
import { explain, valueAt } from './explain.ts';
import { isCredential, type Environment } from './expand.ts';
import { parsePlace, type Place } from './location.ts';
import type { Migration } from './migration.ts';
import { configError, Findings, Problem, quoteValue, type Finding } from './problem.ts';
import { resolveMigration } from './resolve.ts';
import { migration as schema } from './schema/migration.ts';

/** What `--source-…` and `--destination-…` say of one end; texts as typed. */
export interface EndFlags {
  readonly endpoint?: string;
  readonly region?: string;
  readonly provider?: string;
  readonly pathStyle?: string | boolean;
  readonly caFile?: string;
  readonly insecureTls?: string | boolean;
  readonly proxy?: string;
  readonly payloadSigning?: string;
  readonly compression?: string;
  readonly checksum?: string;
  readonly lanes?: string;
  /** A reference, as in a file: `profile:backup`. */
  readonly credentials?: string;
}

export interface CopyFlags {
  readonly source?: EndFlags;
  readonly destination?: EndFlags;
  /** Further keys of a migration file, as it nests them: `{ verify: 'full', limits: { bandwidth: '50 Mbit/s' } }`. */
  readonly options?: Readonly<Record<string, unknown>>;
  readonly name?: string;
}

export interface Surroundings {
  readonly env: Environment;
  /** Where relative paths start. */
  readonly cwd: string;
}

/** One argument as a place. Throws BrigadeError E_CONFIG with the argument's name as location. */
export function parseLocation(text: string, cwd: string, argument = 'SRC'): Place {
  try {
    return parsePlace(text, cwd);
  } catch (thrown) {
    if (!(thrown instanceof Problem)) throw thrown;
    throw configError(argument, thrown.about === 'value' ? `${quoteValue(text)} ${thrown.what}` : thrown.what, thrown.fix);
  }
}

/** The same two places give the same name, so that a second `copy` resumes the first. Throws BrigadeError E_CONFIG. */
export function migrationFromFlags(src: string, dst: string, flags: CopyFlags, around: Surroundings): Migration {
  const input = {
    ...flags.options,
    ...(flags.name === undefined ? {} : { name: flags.name }),
    source: endInput(src, { argument: 'SRC', variables: 'BRIGADE_SOURCE' }, flags.source ?? {}, around),
    destination: endInput(dst, { argument: 'DST', variables: 'BRIGADE_DESTINATION' }, flags.destination ?? {}, around),
  };
  return resolved(input, { base: around.cwd, name: copyName(input.source, input.destination), mayBeObject: true }, flagOf);
}

/**
 * A place of our own, such as a journal's, held to the schema of a destination: as the migration from nowhere whose destination it is, so that it is
 * opened and measured like any. `argument` (`--journal`) is what errors name; BRIGADE_JOURNAL_ACCESS_KEY_ID and its companions are looked for. Throws
 * BrigadeError E_CONFIG.
 */
export function migrationInto(text: string, flags: EndFlags, argument: string, options: Readonly<Record<string, unknown>>, around: Surroundings): Migration {
  const variables = `BRIGADE_${argument.replace(/^--/, '').replaceAll('-', '_').toUpperCase()}`;
  const input = { ...options, source: { url: 'memory://nowhere' }, destination: endInput(text, { argument, variables }, flags, around) };
  return resolved(input, { base: around.cwd, name: 'place' }, (path) => [argument, ...path.slice(1).filter((key) => key !== 'url' && key !== 'path')].join(' '));
}

type Input = Readonly<Record<string, unknown>>;

function resolved(input: Input, origin: Parameters<typeof resolveMigration>[1], place: PlaceOf): Migration {
  const parsed = schema.safeParse(input);
  if (!parsed.success) throw flagError(explain(parsed.error.issues, input), input, place);
  try {
    return resolveMigration(parsed.data, origin);
  } catch (thrown) {
    throw thrown instanceof Findings ? flagError(thrown.list, input, place) : thrown;
  }
}

interface End {
  /** As errors name it. */
  readonly argument: string;
  /** What the names of the variables begin with that may hold its credentials. */
  readonly variables: string;
}

function endInput(text: string, end: End, flags: EndFlags, around: Surroundings): Input {
  const place = parseLocation(text, around.cwd, end.argument);
  const settings = Object.entries({
    endpoint: flags.endpoint, region: flags.region, provider: flags.provider, path_style: flags.pathStyle, ca_file: flags.caFile,
    insecure_tls: flags.insecureTls, proxy: flags.proxy, payload_signing: flags.payloadSigning, compression: flags.compression, checksum: flags.checksum, lanes: flags.lanes,
    credentials: flags.credentials ?? (place.kind === 's3' ? fromEnvironment(end.variables, around.env) : undefined),
  }).filter(([, value]) => value !== undefined);
  const where = place.kind === 'file' ? { path: place.path } : { url: text };
  return { ...where, ...Object.fromEntries(settings) };
}

/** `BRIGADE_SOURCE_ACCESS_KEY_ID` and its companions become a reference; the values are not looked at here. */
function fromEnvironment(prefix: string, env: Environment): string | undefined {
  return env[`${prefix}_ACCESS_KEY_ID`] === undefined && env[`${prefix}_SECRET_ACCESS_KEY`] === undefined ? undefined : `env:${prefix}`;
}

function copyName(source: Input, destination: Input): string {
  const places = [source, destination].map((end) => [end['path'], end['url'], end['endpoint']]);
  return `copy-${createHash('sha256').update(JSON.stringify(places)).digest('hex').slice(0, 12)}`;
}

/** Where the operator wrote what stands at this path. */
type PlaceOf = (path: readonly PropertyKey[]) => string;

function flagError(findings: readonly Finding[], input: unknown, placeOf: PlaceOf) {
  const [first] = findings;
  if (first === undefined) throw new Error('a refusal without a reason');
  const { path, problem } = first;
  const value = valueAt(input, path);
  const quoted = problem.about === 'value' && typeof value === 'string' && !isCredential(path) ? `${quoteValue(value)} ` : '';
  return configError(placeOf(path), `${quoted}${problem.what}`, problem.fix);
}

/** `source.endpoint` → `--source-endpoint`, `source.url` → `SRC`, `limits.bandwidth` → `--bandwidth`. */
function flagOf(path: readonly PropertyKey[]): string {
  const [head, key] = path;
  const last = String(path.findLast((step) => typeof step === 'string') ?? '');
  const flag = (words: string) => `--${words.replaceAll('_', '-')}`;
  if (head !== 'source' && head !== 'destination') return flag(last);
  if (key === undefined || key === 'url' || key === 'path') return head === 'source' ? 'SRC' : 'DST';
  return flag(`${head}-${String(key)}`);
}
