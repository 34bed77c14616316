import assert from 'node:assert/strict';
import { test } from 'node:test';
import { GiB, MiB, TiB } from '../../core/units.ts';
import { PROVIDER_NAMES, profileOf, withProbed } from './profiles.ts';

test('F062, F063, F064: the limits of every profile are possible together, and Amazon\'s are the published ones', () => {
  for (const name of PROVIDER_NAMES) {
    const profile = profileOf(name);
    assert.equal(profile.name, name);
    assert.ok(profile.minPartSize <= profile.maxPartSize, name);
    assert.ok(profile.maxPartSize * profile.maxParts >= profile.maxObjectSize, `${name}: the largest object does not fit into its parts`);
    assert.ok(profile.maxSingleWrite <= profile.maxObjectSize && profile.maxSingleCopy <= profile.maxObjectSize, name);
    assert.ok(profile.checksums.headers.length > 0 || !profile.checksums.trailer, `${name}: a trailer without a checksum`);
  }
  const aws = profileOf('aws');
  assert.deepEqual([aws.maxParts, aws.minPartSize, aws.maxPartSize, aws.maxSingleCopy, aws.maxKeyBytes, aws.maxTags, aws.maxUserMetadataBytes], [10_000, 5 * MiB, 5 * GiB, 5 * GiB, 1024, 10, 2048]);
  assert.ok(Math.abs(aws.maxObjectSize / TiB - 48.8) < 0.1);
  assert.deepEqual([profileOf('scaleway').maxParts, profileOf('versitygw').maxParts], [1000, 500]);
});

test('an unknown provider gets the careful profile, also by the name of a property of objects', () => {
  for (const name of ['nobody', '__proto__', 'constructor', '']) assert.equal(profileOf(name).name, 'generic');
});

test('what was probed overrides, what was not stays', () => {
  const probed = withProbed(profileOf('generic'), { guards: { absent: true }, listing: { ordered: false } });
  assert.deepEqual([probed.guards.absent, probed.guards.matches, probed.listing.ordered, probed.listing.version, probed.checksums.md5], [true, false, false, 'v2', true]);
});
