import { profileOf } from './profiles.ts';
import { describeStore } from '../conformance/index.ts';
import type { OpenedStore } from '../conformance/index.ts';
import { smallParts, startBench } from './fixture.test.ts';
import type { S3Options } from './store.ts';

/** A fresh endpoint for each check: the bucket is empty and shared with nobody. */
async function open(options: Partial<S3Options>): Promise<OpenedStore> {
  const bench = await startBench();
  return {
    store: bench.store(options),
    again: () => Promise.resolve(bench.store(options)),
    cleanup: async () => bench[Symbol.asyncDispose](),
  };
}

describeStore({ name: 's3: all abilities, signed payloads', create: () => open({ profile: smallParts('aws') }) });
describeStore({ name: 's3: below a prefix, unsigned payloads, checksum trailers', create: ({ prefix }) => open({ profile: smallParts('aws'), prefix, payloadSigning: 'unsigned' }) });
describeStore({ name: 's3: the careful profile: no guards, Content-MD5', create: () => open({ profile: smallParts('generic'), payloadSigning: 'unsigned' }) });
describeStore({ name: 's3: every request over lanes', create: () => open({ profile: smallParts('aws'), lanes: 'always' }) });
describeStore({
  name: 's3: first version of listings, no checksums',
  create: () => open({ profile: smallParts('generic', { listing: { ...profileOf('generic').listing, version: 'v1' } }), checksum: 'none' }),
});
