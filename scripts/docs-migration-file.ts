/** docs/migration-file.md: the schema as tables, with the few words around them. */
import { RESERVED } from '../src/config/hints.ts';
import { describedSchema, type JsonSchema } from '../src/config/json-schema.ts';

const INTRO = `# The migration file

One YAML file says everything about one migration: where from, where to, what, how fast. It holds no secrets, so it can live in a
repository. \`brigade run FILE\` runs it; \`brigade run FOLDER\` runs every \`*.yml\` in a folder, side by side.

<!-- Made from src/config/schema by \`npm run docs\`. Change it there. -->

\`\`\`yaml
# yaml-language-server: $schema=./migration.schema.json
name: media-archive
source:
  s3: media
  prefix: 2024/
  endpoint: https://s3.eu-de.cloud-object-storage.appdomain.cloud
  credentials: env:COS            # reads COS_ACCESS_KEY_ID and COS_SECRET_ACCESS_KEY
destination:
  url: s3://media-archive/from-cos/
  region: eu-central-1
  credentials: profile:archive
transform:
  tags: { set: { MigratedBy: cross-cloud-migration } }
limits:
  bandwidth: 200 MiB/s
\`\`\`

The shortest one is two lines: \`source: /srv/export\` and \`destination: s3://bucket/prefix/\`. More stand in [examples/](../examples).

## How it is read

- **A mistake is one line**: \`FILE:LINE:COL: path.to.key: what, why; fix\`, exit code 2, before any request is sent. Unknown keys are
  mistakes; the nearest known one is named.
- **Variables**: \`\${NAME}\`, \`\${NAME:-default}\` and \`\${NAME:?message}\` in values, filled in after the YAML has been parsed: what a variable
  holds is text, never structure. A variable that is unset or empty is a mistake unless a default is given. A value that is empty
  altogether after that counts as not written. \`$$\` is a dollar sign. Keys are never expanded.
- **Credentials are references**. In a credential field \`\${NAME}\` is not filled in: it means \`env:NAME\`, and is read when it is needed.
- **Sizes**: bytes as a bare number, \`KiB MiB GiB TiB\` (powers of 1024) or \`kB MB GB TB\` (powers of 1000).
- **Bandwidths**: bits (\`50 Mbit/s\`) or bytes (\`200 MiB/s\`, \`200 MB/s\`); the unit is never guessed.
- **Durations and ages**: \`500ms\`, \`30s\`, \`15m\`, \`2h\`, \`7d\`, \`2w\`, \`1h30m\`.
- **Relative paths** start at the folder of the file.
- Plain YAML 1.2: one document, no tags, no merge keys, no key twice; aliases within bounds.
`;

const SCHEDULE = `Obeyed to the minute while a run works: nothing has to be started again. The clock on the wall of \`limits.timezone\` decides, in summer and in
winter. \`brigade status\` says which limit holds and until when; \`brigade limits RUN\` sets another one for the run that is at work.

\`\`\`yaml
limits:
  bandwidth: 500 Mbit/s
  timezone: Europe/Berlin
  schedule:
    - { days: mon-fri, from: "12:00", to: "13:00", bandwidth: pause }
    - { days: mon-fri, from: "08:00", to: "18:00", bandwidth: 50 Mbit/s, requests: 100/s }
    - { days: [sat, sun], from: "00:00", to: "24:00", bandwidth: unlimited }
\`\`\``;

interface Section {
  readonly title: string;
  readonly anchor: string;
  readonly schema: JsonSchema;
  readonly note?: string;
  readonly keys?: (key: string) => boolean;
  readonly rowNote?: (key: string) => string;
}

export function migrationFilePage(): string {
  const root = describedSchema();
  const parts = [INTRO, ...sections(root).map(renderSection), reserved()];
  return `${parts.join('\n')}\n`;
}

function sections(root: JsonSchema): Section[] {
  const at = (name: string) => must(root.properties?.[name], name);
  const definition = (name: string) => must(root.definitions?.[name], name);
  const sourceKeys = mapping(at('source')).properties ?? {};
  const destination = mapping(at('destination'));
  const destinationKeys = destination.properties ?? {};
  const connectionKeys = definition('connection').properties ?? {};
  const transform = at('transform').properties ?? {};
  const credentials = mapping(definition('credentials'));
  return [
    { title: 'Keys', anchor: '', schema: root },
    {
      title: 'Source and destination', anchor: 'source', schema: { ...destination, properties: { ...sourceKeys, ...destinationKeys } },
      note: 'A URL or path alone, or a mapping: one of `s3`, `path` or `url`, and how to reach it. For a bucket the keys of a [connection](#connection) stand here too, or `connection` names one. The source is read, never written.',
      keys: (key) => !(key in connectionKeys),
      rowNote: (key) => (!(key in sourceKeys) ? ' Destination only.' : !(key in destinationKeys) ? ' Source only.' : ''),
    },
    { title: 'Connection', anchor: 'connection', schema: definition('connection'), note: 'Written inside a location, or under a name in `connections`.' },
    { title: 'Credentials', anchor: 'credentials', schema: credentials, note: `${definition('credentials').description ?? ''}\n\nOr by part:` },
    { title: 'Assumed role', anchor: 'assume_role', schema: must(credentials.properties?.['assume_role'], 'assume_role'), note: 'Under `credentials.assume_role`. Sessions are renewed 15 minutes before their end (a third of their life, when shorter than an hour), in the middle of an object too.' },
    ...['select', 'transform'].map((name) => plain(name, at(name))),
    plain('tags', must(transform['tags'], 'tags'), 'transform.tags'),
    plain('metadata', must(transform['metadata'], 'metadata'), 'transform.metadata'),
    ...['fidelity', 'limits'].map((name) => plain(name, at(name))),
    { title: 'limits.schedule', anchor: 'schedule', schema: must(at('limits').properties?.['schedule']?.items, 'limits.schedule'), note: SCHEDULE },
    ...['batch', 'transfer', 'filesystem', 'report'].map((name) => plain(name, at(name))),
  ];
}

function plain(name: string, schema: JsonSchema, title = schema.title ?? name): Section {
  return { title, anchor: name, schema, ...(schema.description === undefined ? {} : { note: schema.description }) };
}

/** Of "short form or mapping" the mapping. */
function mapping(schema: JsonSchema): JsonSchema {
  return must(schema.anyOf?.find((option) => option.properties !== undefined), schema.title ?? '');
}

function renderSection(section: Section): string {
  const rows = Object.entries(section.schema.properties ?? {}).filter(([key]) => section.keys?.(key) ?? true)
    .map(([key, schema]) => renderRow(key, schema, section.schema.required?.includes(key) === true, section.rowNote?.(key) ?? ''));
  const head = ['| key | type | default | meaning | example |', '|---|---|---|---|---|'];
  return [`## ${section.title}`, '', ...(section.note === undefined ? [] : [section.note, '']), ...head, ...rows, ''].join('\n');
}

function renderRow(key: string, schema: JsonSchema, required: boolean, note: string): string {
  const cells = [`\`${key}\``, typeOf(key, schema), required ? '**required**' : defaultOf(schema), `${schema.description ?? ''}${note}`, (schema.examples ?? []).map(example).join(', ')];
  return `| ${cells.map((cell) => cell.replaceAll('|', '\\|').replaceAll('\n', ' ')).join(' | ')} |`;
}

const ANCHORS: Readonly<Record<string, string>> = {
  source: 'source-and-destination', destination: 'source-and-destination', select: 'select', transform: 'transform', fidelity: 'fidelity', limits: 'limits', batch: 'batch',
  transfer: 'transfer', filesystem: 'file-system', report: 'report', credentials: 'credentials', assume_role: 'assumed-role', base: 'credentials', tags: 'transformtags', metadata: 'transformmetadata', connections: 'connection',
};

function typeOf(key: string, schema: JsonSchema): string {
  const type = schema['x-type'] ?? (schema.properties === undefined ? 'reference, or mapping' : 'mapping');
  const anchor = ANCHORS[key];
  return anchor !== undefined && type.includes('mapping') ? `[${type}](#${anchor})` : type;
}

function defaultOf(schema: JsonSchema): string {
  if (schema['x-default'] !== undefined) return schema['x-default'];
  if (schema.default === undefined || schema.properties !== undefined) return '–';
  const text = typeof schema.default === 'string' ? schema.default : JSON.stringify(schema.default);
  return text === '' ? 'none' : text === '{}' || text === '[]' ? '–' : `\`${text}\``;
}

function example(value: unknown): string {
  return `\`${typeof value === 'string' ? value : flow(value)}\``;
}

/** One-line YAML. */
function flow(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map((item) => (typeof item === 'object' ? flow(item) : JSON.stringify(item))).join(', ')}]`;
  if (typeof value !== 'object' || value === null) return String(value);
  return `{ ${Object.entries(value).map(([key, inner]) => `${key}: ${flow(inner)}`).join(', ')} }`;
}

function reserved(): string {
  return `## Reserved\n\nThese keys are kept for what is planned and refused as "not yet supported": ${RESERVED.map((key) => `\`${key}\``).join(', ')}.`;
}

function must<T>(value: T | undefined, name: string): T {
  if (value === undefined) throw new Error(`the schema has no ${name}`);
  return value;
}
