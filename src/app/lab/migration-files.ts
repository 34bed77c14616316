/** The migration files that a lab writes: one per pair, each showing something else of what such a file can say. */
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { AWKWARD_BUCKET, LAB_BUCKETS, type LabBucket } from './content.ts';
import { END_NAMES, type EndName, type LabFolder } from './folder.ts';

type Urls = Readonly<Record<EndName, string>>;

const SCHEMA = '# All keys: docs/migration-file.md, or brigade init for a longer example.';

const INTRO: Readonly<Record<string, string>> = {
  'app-data': `# One file is one pair: from where, to where, and how. It is the whole job and holds no secret.
#   brigade doctor migrations/app-data.yml    every permission and clock, before the first byte
#   brigade plan migrations/app-data.yml      what a run would do`,
  'ml-models': '# Larger objects, each read again at both ends when the run is done.',
  'logs-archive': '# Values may come from the environment, with a default: ${NAME:-default}. Keys and credentials may not.',
  'user-uploads': '# The pair that brigade lab run lets fail: the destination denies to write below private/.',
};

const OPTIONS: Readonly<Record<string, string>> = {
  'app-data': `limits:
  concurrency: 16              # objects at once
  bandwidth: 200 MiB/s         # bytes, or bits as 50 Mbit/s; also requests: 500/s
verify: checksum               # after the run: the checksums of both stores, else one end is read
report: { file: ../reports/app-data.json, format: json }`,
  'ml-models': `verify: full                   # after the run: both ends are read to the last byte
transform:
  tags: { set: { MigratedBy: brigade } }`,
  'logs-archive': `limits:
  bandwidth: \${LAB_BANDWIDTH:-100 MiB/s}
select:
  exclude: ["**/*.tmp"]        # globs; also include:, min_size:, min_age: …
verify: checksum`,
  'user-uploads': `on_conflict: skip-newer        # what is newer at the destination stays: overwrite, skip-newer, fail
fidelity:
  content_headers: strict      # an object that cannot keep its Content-Type fails instead of losing it
verify: checksum`,
  [AWKWARD_BUCKET.name]: 'verify: full',
};

function ends(bucket: string, urls: Urls): string {
  const [source, destination] = END_NAMES.map((name) => `  s3: ${bucket}
  endpoint: ${urls[name]}
  region: us-east-1
  credentials: file:../keys/${name}.json`);
  return `source:
${source}   # a reference: this file is 0600; or env:PREFIX, profile:NAME, aws-sm:NAME

destination:
${destination}

create_bucket: true            # the destination begins empty
executors: 0                   # so little is copied in one process; without it about one per core`;
}

function pairFile({ name, about }: Pick<LabBucket, 'name' | 'about'>, urls: Urls): string {
  return `# ${name}: ${about}.
${INTRO[name] ?? `# Not one of the four: brigade run exercises/${name}.yml`}
${SCHEMA}
name: ${name}

${ends(name, urls)}

${OPTIONS[name] ?? ''}
`;
}

/** Writes what is not there; a file that the reader has changed stays as it is. */
export function writeMigrations(lab: LabFolder, urls: Urls): void {
  for (const bucket of LAB_BUCKETS) writeNew(join(lab.migrations, `${bucket.name}.yml`), pairFile(bucket, urls));
  writeNew(join(lab.exercises, `${AWKWARD_BUCKET.name}.yml`), pairFile(AWKWARD_BUCKET, urls));
}

function writeNew(path: string, text: string): void {
  if (!existsSync(path)) writeFileSync(path, text, { flag: 'wx' });
}

/** An endpoint that found its port taken has another address: files that name the old one get the new one. */
export function moveAddress(lab: LabFolder, from: string, to: string): void {
  for (const folder of [lab.migrations, lab.exercises]) {
    for (const name of readdirSync(folder).filter((one) => /\.ya?ml$/.test(one))) {
      const path = join(folder, name);
      const text = readFileSync(path, 'utf8');
      const moved = text.replaceAll(new RegExp(`${from.replaceAll('.', String.raw`\.`)}(?!\\d)`, 'g'), to);
      if (moved !== text) writeFileSync(path, moved);
    }
  }
}
