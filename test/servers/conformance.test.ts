/**
 * The S3 driver against other people's servers: the whole conformance suite, under the profile that a migration would find by itself, with
 * what the probe measured. An ability that the profile denies is asserted as lacking.
 */
import { after, before, describe } from 'node:test';
import { Secret } from '../../src/core/secret.ts';
import type { CredentialSource } from '../../src/ports/credentials.ts';
import { describeStore, type Flaw } from '../../src/stores/conformance/index.ts';
import { applyProbed, controlOf, createS3Store, findProfile, type ProbedFacts, probeStore, type ProviderProfile } from '../../src/stores/s3/index.ts';
import { systemClock } from '../../src/telemetry/clock.ts';
import { systemRandom } from '../../src/telemetry/random.ts';
import { type Server, type ServerKind, serverKinds } from './harness/index.ts';

const BUCKET = 'conformance';
/** Measured; a server that does better fails the check, so that its facts are set right. */
const FLAWS: Readonly<Record<string, readonly Flaw[]>> = {
  minio: ['accepts collisions'],
  seaweedfs: ['accepts collisions', 'accepts parts of nothing'],
};

function credentialsOf(server: Server): CredentialSource {
  const credentials = { accessKeyId: server.accessKeyId, secretAccessKey: new Secret(server.secretAccessKey) };
  return { describe: 'the harness', resolve: async () => credentials, invalidate: () => undefined };
}

for (const kind of serverKinds()) describe(kind.name, () => conform(kind));

function conform(kind: ServerKind): void {
  let server: Server;
  let profile: ProviderProfile;
  let probed: ProbedFacts | undefined;

  const options = (prefix: string) => ({ endpoint: server.endpoint, region: server.region, bucket: BUCKET, prefix, credentials: credentialsOf(server), clock: systemClock() });

  before(async () => {
    server = await kind.start();
    profile = await findProfile(options(''));
    const store = createS3Store({ ...options(''), profile });
    await controlOf(store)?.createBucket();
    profile = await findProfile(options(''));
    await store.close();
    const measured = createS3Store({ ...options(''), profile });
    probed = await probeStore(measured, systemRandom());
    await measured.close();
  });

  after(() => server.stop());

  describeStore({
    name: kind.name,
    create: async ({ prefix }) => {
      const store = createS3Store({ ...options(prefix), profile });
      if (probed !== undefined) applyProbed(store, probed);
      return { store, cleanup: async () => undefined };
    },
    options: { manyObjects: 1050, flaws: FLAWS[kind.name] ?? [] },
  });
}
