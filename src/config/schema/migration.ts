/** The one schema: the loader, the defaults, docs/migration-file.md and docs/migration.schema.json all come from here. */
import * as z from 'zod';
import { connection, destination, source } from './location.ts';
import { batch, fidelity, filesystem, limits, report, select, transfer, transform } from './options.ts';
import { autoOrCount, choice, text, yesNo } from './scalars.ts';

export const NAME_RULE = {
  type: 'name',
  most: 63,
  pattern: /^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$/,
  what: 'is not a name',
  fix: 'write up to 63 letters, digits, dots, hyphens and underscores, a letter or digit first',
};

const connections = z.record(z.string(), connection).prefault({}).meta({
  title: 'Connections',
  'x-type': 'mapping of name to connection',
  description: 'Named connections, so that two locations can share one: name, then the keys of a [connection](#connection).',
  examples: [{ archive: { endpoint: 'https://s3.example.com', credentials: 'env:ARCHIVE' } }],
});

export const migration = z.strictObject({
  name: text(NAME_RULE).optional().meta({ 'x-default': 'the file\'s name without `.yml`', description: 'Names the migration and its ledger.', examples: ['media-archive'] }),
  connections,
  source,
  destination,
  select,
  transform,
  fidelity,
  compare: choice(['auto', 'size-mtime', 'checksum']).prefault('auto').meta({
    description: 'When an object without a record stands at both ends. `auto`: same size, then a checksum that both stores vouch for, else it is copied. '
      + '`size-mtime`: same size and time are enough. `checksum`: both ends are read where the stores vouch for none.',
  }),
  on_conflict: choice(['overwrite', 'skip-newer', 'fail']).prefault('overwrite').meta({ description: 'When the destination holds something else that no run of this migration wrote.' }),
  source_gone: choice(['skip', 'fail']).prefault('skip').meta({ description: 'When a listed object has been deleted before it could be read.' }),
  allow_archived: yesNo().prefault('false').meta({ description: 'Objects in an archive class are skipped without making the run end with exit 1.' }),
  create_bucket: yesNo().prefault('false').meta({ description: 'Create the destination bucket if it is not there.' }),
  requester_pays: yesNo().prefault('false').meta({ description: 'Read a requester-pays source: you are billed for it.' }),
  limits,
  batch,
  transfer,
  filesystem,
  verify: choice(['none', 'inline', 'checksum', 'full']).prefault('inline').meta({
    description: '`none`: sizes. `inline`: checksum in flight against the answer to the write. `checksum`: the stores\' checksums, else the destination is re-read. `full`: both ends re-read.',
  }),
  report,
  executors: autoOrCount(0, 256).prefault('auto').meta({ description: 'Copier processes; `auto`: about one per core, `0`: copy in the main process.' }),
}).meta({
  title: 'Migration file',
  description: 'One source, one destination, and how to bring everything from here to there. One file per pair; no secrets inside.',
});

export type MigrationInput = z.output<typeof migration>;
