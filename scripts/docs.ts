/**
 * Writes the pages of docs/ that are made from the source; `--check` only says which of them no longer fit it, and fails.
 * A page more is one line in PAGES.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { publishedSchema } from '../src/config/json-schema.ts';
import { cliPage, exitCodesPage } from './docs-cli.ts';
import { migrationFilePage } from './docs-migration-file.ts';
import { metricsPage } from './docs-metrics.ts';
import { storesPage } from './docs-stores.ts';

interface Page {
  /** Below the root of the repository. */
  readonly path: string;
  readonly render: () => string | Promise<string>;
}

const PAGES: readonly Page[] = [
  { path: 'docs/migration.schema.json', render: () => `${JSON.stringify(publishedSchema(), null, 2)}\n` },
  { path: 'docs/migration-file.md', render: migrationFilePage },
  { path: 'docs/cli.md', render: cliPage },
  { path: 'docs/exit-codes.md', render: exitCodesPage },
  { path: 'docs/stores.md', render: storesPage },
  { path: 'docs/metrics.md', render: metricsPage },
];

const root = join(import.meta.dirname, '..');
const check = process.argv.includes('--check');

function current(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch (thrown) {
    if ((thrown as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw thrown;
  }
}

let drifted = 0;
for (const page of PAGES) {
  const path = join(root, page.path);
  const wanted = await page.render();
  if (current(path) === wanted) continue;
  drifted++;
  if (check) console.error(`${page.path} does not fit the source; run: npm run docs`);
  else writeFileSync(path, wanted);
}
if (!check) console.log(drifted === 0 ? 'docs: nothing to do' : `docs: ${drifted} written`);
process.exitCode = check && drifted > 0 ? 1 : 0;
