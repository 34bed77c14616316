/** The migration file: how it is read, checked and made into the one value that the rest of the product works from. */
export type * from './migration.ts';
export type { Environment } from './expand.ts';
export { loadMigration, loadMigrations, parseMigration } from './load.ts';
export { migrationFromFlags, migrationInto, parseLocation, type CopyFlags, type EndFlags } from './ad-hoc.ts';
export { showLocation } from './address.ts';
export { credentialsFrom, type FreshText, secretText, secretFrom } from './references.ts';
export { checkJournal, checkOverlap } from './overlap.ts';
export { loadAccessKeys, type AgentKey } from './access-keys.ts';
export { specHash } from './spec-hash.ts';
export { credentialSource, describeCredentials, usesEnvironment, type CredentialDeps } from './credentials.ts';
