/** What the registry and doctor use of the S3 driver. */
export { applyProbed, controlOf, createS3Store, findProfile, probeStore, wayOf } from './store.ts';
export type { S3Options } from './store.ts';
export type { AbortRule, BucketFacts, S3Control } from './control.ts';
export type { Encryption } from './metadata.ts';
export { detectProfile, PROVIDER_NAMES, profileOf, withProbed } from './profiles.ts';
export type { ProbedFacts, ProviderProfile } from './profiles.ts';
