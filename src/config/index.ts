/** The migration file: how it is read, checked and made into the one value that the rest of the product works from. */
export type * from './migration.ts';
export type { Environment } from './expand.ts';
export { loadMigration, loadMigrations, parseMigration } from './load.ts';
