import { writeFileSync } from 'node:fs';
import { relative, resolve } from 'node:path';
import { usageError } from '../../core/errors.ts';
import type { Invocation } from '../invocation.ts';
import { shellWord } from '../invocation.ts';

export const EXAMPLE = `# One migration: from where to where, and how. All keys: docs/migration-file.md
# name: media-archive               # names the run; by default the name of this file

source: /srv/export                 # a folder on this machine …
# source:                           # … or a bucket
#   s3: media
#   prefix: 2024/                   # only what is below this folder
#   endpoint: https://s3.example.com   # without it: AWS
#   region: eu-central-1
#   credentials: env:SOURCE         # reads SOURCE_ACCESS_KEY_ID and SOURCE_SECRET_ACCESS_KEY; never the secret itself

destination: /srv/import
# destination:
#   url: s3://media-archive/from-export/
#   region: eu-central-1
#   credentials: profile:archive    # or file:PATH, aws-sm:NAME, aws-ssm:NAME; without it the AWS default chain
#   storage_class: STANDARD_IA

# select:
#   include: ["**/*.jpg"]
#   exclude: ["tmp/**"]
#   min_age: 15m                    # leaves alone what may still be written

# transform:
#   tags: { set: { MigratedBy: brigade } }

# limits:
#   bandwidth: 200 MiB/s            # or 50 Mbit/s; without it as fast as the link
#   requests: 500/s

# on_conflict: overwrite            # skip-newer, fail: when the destination holds something else
verify: inline                      # none, inline, checksum, full

# Then: brigade doctor FILE · brigade plan FILE · brigade run FILE
`;

export function execute({ io, args }: Invocation): Promise<number> {
  const path = resolve(io.cwd, args[0] ?? 'migration.yml');
  const shown = relative(io.cwd, path) || path;
  try {
    writeFileSync(path, EXAMPLE, { flag: 'wx' });
  } catch (thrown) {
    throw refused(thrown as NodeJS.ErrnoException, shown);
  }
  io.out.line(`wrote ${shown}; change it, then: brigade doctor ${shellWord(shown)}`);
  return Promise.resolve(0);
}

function refused({ code }: NodeJS.ErrnoException, path: string): Error {
  if (code === 'EEXIST') return usageError('E_EXISTS', 'a file of this name exists', 'name another one', path);
  return usageError('E_NOT_WRITTEN', `the file cannot be written (${code ?? 'unknown error'})`, 'name one in a folder that exists and can be written', path);
}
