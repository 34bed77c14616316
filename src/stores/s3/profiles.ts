/**
 * What each provider promises, as data. Limits and abilities come from the provider's own pages; what a page leaves open is set to the
 * careful side and can be raised by a probe of the real endpoint (probe.ts). Sizes in bytes.
 */
import type { ChecksumAlgorithm } from '../../core/object.ts';
import type { LostHeaders } from '../../ports/storage.ts';
import { GiB, KiB, MiB, TiB } from '../../core/units.ts';

export interface ProviderProfile {
  /** Lower-case, as in the configuration. */
  readonly name: string;
  readonly maxKeyBytes: number;
  readonly maxObjectSize: number;
  readonly maxSingleWrite: number;
  readonly maxSingleCopy: number;
  readonly minPartSize: number;
  readonly maxPartSize: number;
  readonly maxParts: number;
  readonly listing: ListingProfile;
  readonly guards: GuardProfile;
  readonly checksums: ChecksumProfile;
  readonly maxTags: number;
  readonly maxUserMetadataBytes: number;
  readonly storageClasses: boolean;
  /** Classes of other providers are refused (400). */
  readonly ownClasses?: boolean;
  /** CopyObject and UploadPartCopy work. */
  readonly serverCopy: boolean;
  /** Region to sign for when none is given. */
  readonly region: string;
  readonly pathStyle: boolean;
  readonly forbids: readonly NameRule[];
  /** `.` and `..` segments are rewritten before the store sees them, so such keys cannot be addressed (F035). */
  readonly normalisesDots: boolean;
  /** Objects are files underneath: `a` and `a/b` cannot both exist. */
  readonly exclusivePrefixes?: boolean;
  /** A key that ends with a slash is a folder and holds no bytes. */
  readonly emptyMarkers?: boolean;
  /** Most bytes between two slashes. */
  readonly maxSegmentBytes?: number;
  /** Where x-amz-tagging is lost or kept encoded, tags are set by a request of their own after the object stands. */
  readonly tagsAfter?: { readonly write: boolean; readonly complete: boolean; readonly copy: boolean };
  /** `x-amz-copy-source-if-match` is ignored: the source is looked at again after each copy (truth 3). */
  readonly copiesUnpinned?: boolean;
  /** System headers that it drops, for the report (I12). */
  readonly lostHeaders?: LostHeaders;
  /** `_` in the name of a metadata entry comes back as `-`. */
  readonly foldsUnderscores?: boolean;
  /** GET and HEAD of an object with tags say how many (`x-amz-tagging-count`): without it there are none, and nobody need ask. */
  readonly countsTags?: boolean;
  /** ListMultipartUploads takes its prefix for a whole key: all of the bucket are asked for, and sorted out here. */
  readonly uploadsByWholeKey?: boolean;
  /** An upload that was begun with a checksum algorithm takes no parts from UploadPartCopy. */
  readonly plainPartCopies?: boolean;
  /** ListParts of an upload that was aborted answers 200 and no part, so the list of uploads has the word. */
  readonly remembersAborted?: boolean;
}

export interface ListingProfile {
  readonly version: 'v1' | 'v2';
  /** Keys come in ascending byte order (checked on every page all the same, F050). */
  readonly ordered: boolean;
  /** `+` in an encoded listing is a space (F037). */
  readonly plusIsSpace: boolean;
}

/** Guards enforced atomically. `sent: false`: the headers make the provider refuse the request, so only the check before remains. */
export interface GuardProfile {
  readonly absent: boolean;
  readonly matches: boolean;
  readonly onComplete: boolean;
  readonly onCopy: boolean;
  readonly sent: boolean;
  /** If-Match on writes is understood without quotes only. */
  readonly bare?: boolean;
}

export interface ChecksumProfile {
  /** `x-amz-checksum-*` headers that are verified, stored and given back; best first. */
  readonly headers: readonly ChecksumAlgorithm[];
  /** aws-chunked bodies with a checksum trailer are understood (F020). */
  readonly trailer: boolean;
  /** Content-MD5 is verified. */
  readonly md5: boolean;
  /** Multipart objects can carry one checksum over the whole object. */
  readonly fullObject: boolean;
}

export interface NameRule {
  /** What no key may match. */
  readonly pattern: RegExp;
  /** For the message: `… may not …`. */
  readonly rule: string;
}

/** https://docs.aws.amazon.com/AmazonS3/latest/userguide/qfacts.html and …/conditional-writes.html, …/checking-object-integrity.html */
const aws: ProviderProfile = {
  name: 'aws',
  maxKeyBytes: 1024,
  maxObjectSize: 10_000 * 5 * GiB,
  maxSingleWrite: 5 * GiB,
  maxSingleCopy: 5 * GiB,
  minPartSize: 5 * MiB,
  maxPartSize: 5 * GiB,
  maxParts: 10_000,
  listing: { version: 'v2', ordered: true, plusIsSpace: true },
  guards: { absent: true, matches: true, onComplete: true, onCopy: false, sent: true },
  checksums: { headers: ['crc32', 'crc32c', 'crc64nvme', 'sha256', 'sha1'], trailer: true, md5: true, fullObject: true },
  maxTags: 10,
  maxUserMetadataBytes: 2 * KiB,
  storageClasses: true,
  serverCopy: true,
  region: 'us-east-1',
  pathStyle: false,
  forbids: [],
  normalisesDots: false,
  countsTags: true,
};

const NO_GUARDS: GuardProfile = { absent: false, matches: false, onComplete: false, onCopy: false, sent: true };
const MD5_ONLY: ChecksumProfile = { headers: [], trailer: false, md5: true, fullObject: false };

/** An unknown endpoint: the classic S3 of 2010, everything newer only after a probe. */
const generic: ProviderProfile = {
  ...aws, name: 'generic', maxObjectSize: 5 * TiB, guards: NO_GUARDS, checksums: MD5_ONLY, pathStyle: true, countsTags: false,
};

const DOT_SEGMENT: NameRule = { pattern: /(?:^|\/)\.\.?(?:\/|$)/, rule: 'may not have a `.` or `..` between slashes' };
/** Stores over a file system fold these silently into another key (measured), so that two objects would become one. */
const EMPTY_SEGMENT: NameRule = { pattern: /^\/|\/\//, rule: 'may not begin with a slash or have two in a row: the store folds them into one' };
const NOT_IN_XML: NameRule = {
   
  pattern: /[\u0000-\u0008\u000b\u000c\u000e-\u001f\ufffe\uffff]/, rule: 'may not hold control characters: the store cannot list them',
};

const PROFILES: Readonly<Record<string, ProviderProfile>> = {
  aws,
  generic,
  /** https://docs.ceph.com/en/latest/radosgw/s3/objectops/ ; measured on 16.2.15: no stored checksums, no guard on Complete, tags of uploads lost, `_` in metadata names folded. */
  ceph: {
    ...generic, name: 'ceph', maxTags: 10, guards: { ...NO_GUARDS, absent: true, matches: true, bare: true },
    tagsAfter: { write: false, complete: true, copy: true }, copiesUnpinned: true, foldsUnderscores: true, countsTags: true,
    ownClasses: true,
  },
  /** https://min.io/docs/minio/linux/operations/concepts/thresholds.html ; names measured on 2026-02-12. */
  minio: {
    ...generic, name: 'minio', maxObjectSize: 10_000 * 5 * GiB, maxUserMetadataBytes: 2 * KiB - 256,
    guards: { absent: true, matches: true, onComplete: true, onCopy: false, sent: true },
    checksums: { headers: ['crc32', 'crc32c', 'sha256', 'sha1'], trailer: true, md5: true, fullObject: false },
    forbids: [DOT_SEGMENT, EMPTY_SEGMENT], exclusivePrefixes: true, maxSegmentBytes: 255, countsTags: true, plainPartCopies: true,
    uploadsByWholeKey: true, ownClasses: true,
  },
  /**
   * https://github.com/versity/versitygw/wiki ; names measured on 1.8.0 over a POSIX folder. It keeps where each part ended in one attribute
   * of the file, and ext4 holds 4 KiB of attributes: 768 parts were refused as "no space left" after all bytes had been sent.
   */
  versitygw: {
    ...generic, name: 'versitygw', region: 'us-east-1', maxParts: 500, maxObjectSize: 500 * 5 * GiB,
    guards: { absent: true, matches: true, onComplete: true, onCopy: false, sent: true },
    checksums: { headers: ['crc32', 'crc32c', 'crc64nvme', 'sha256', 'sha1'], trailer: true, md5: true, fullObject: true },
    forbids: [EMPTY_SEGMENT, NOT_IN_XML], normalisesDots: true, exclusivePrefixes: true, emptyMarkers: true, maxSegmentBytes: 255,
    storageClasses: false, countsTags: true,
  },
  /** https://github.com/seaweedfs/seaweedfs/wiki/Amazon-S3-API ; measured on 3.39: folders first in listings, no guards, nothing verified. */
  seaweedfs: {
    ...generic, name: 'seaweedfs', listing: { version: 'v2', ordered: false, plusIsSpace: true },
    checksums: { headers: [], trailer: false, md5: false, fullObject: false }, serverCopy: false,
    forbids: [
      EMPTY_SEGMENT, NOT_IN_XML,
       
      { pattern: /[\n\r\u007f]/, rule: 'may not hold line feeds or DEL' },
      { pattern: /\/$/, rule: 'may not end with a slash: the store cannot give such an object back' },
    ],
    normalisesDots: true, exclusivePrefixes: true, tagsAfter: { write: true, complete: true, copy: true }, copiesUnpinned: true,
    lostHeaders: { always: ['contentLanguage'], inParts: ['cacheControl', 'contentDisposition', 'expires'] }, countsTags: true, remembersAborted: true,
  },
  /** https://cloud.ibm.com/docs/cloud-object-storage?topic=cloud-object-storage-compatibility-api */
  'ibm-cos': {
    ...generic, name: 'ibm-cos', maxObjectSize: 10 * TiB, guards: { ...NO_GUARDS, absent: true, matches: true }, region: 'us-south', pathStyle: true, maxTags: 10,
  },
  /** https://developers.cloudflare.com/r2/api/s3/api/ and …/r2/platform/limits/ : no tags, one storage region `auto`. */
  r2: {
    ...generic, name: 'r2', maxObjectSize: 5 * TiB - 5 * GiB, maxSingleWrite: 5 * GiB - 5 * MiB, region: 'auto', maxTags: 0, maxUserMetadataBytes: 8 * KiB,
    guards: { ...NO_GUARDS, absent: true, matches: true },
    checksums: { headers: ['crc32', 'crc32c', 'sha256', 'sha1'], trailer: false, md5: true, fullObject: false },
  },
  /** https://docs.wasabi.com/docs/wasabi-api */
  wasabi: { ...generic, name: 'wasabi', storageClasses: false },
  /** https://www.backblaze.com/docs/cloud-storage-s3-compatible-api : no tags; conditional headers on writes are refused. */
  b2: { ...generic, name: 'b2', maxObjectSize: 10 * TiB, maxTags: 0, storageClasses: false, guards: { ...NO_GUARDS, sent: false } },
  /** https://cloud.google.com/storage/docs/interoperability and …/objects#naming */
  'gcs-interop': {
    ...generic, name: 'gcs-interop', region: 'auto', maxTags: 0, maxUserMetadataBytes: 8 * KiB, guards: { ...NO_GUARDS, sent: false }, maxSingleWrite: 5 * TiB,
    maxSingleCopy: 5 * TiB,
    forbids: [
      { pattern: /[\r\n]/, rule: 'may not hold a carriage return or line feed' },
      { pattern: /^\.\.?$/, rule: 'may not be `.` or `..`' },
      { pattern: /^\.well-known\/acme-challenge\//, rule: 'may not begin with .well-known/acme-challenge/' },
    ],
  },
  /** https://www.scaleway.com/en/docs/object-storage/concepts/ : 1,000 parts, 5 TB. */
  scaleway: { ...generic, name: 'scaleway', maxParts: 1000, maxObjectSize: 1000 * 5 * GiB, region: 'fr-par' },
};

export const PROVIDER_NAMES: readonly string[] = Object.keys(PROFILES);

/** The profile of this name; unknown names get the careful one. */
export function profileOf(name: string): ProviderProfile {
  return Object.hasOwn(PROFILES, name) ? PROFILES[name] as ProviderProfile : generic;
}

const HOSTS: readonly (readonly [pattern: RegExp, name: string])[] = [
  [/(?:^|\.)amazonaws\.com(?:\.cn)?$/, 'aws'],
  [/(?:^|\.)cloud-object-storage\.appdomain\.cloud$/, 'ibm-cos'],
  [/(?:^|\.)objectstorage\.softlayer\.net$/, 'ibm-cos'],
  [/(?:^|\.)r2\.cloudflarestorage\.com$/, 'r2'],
  [/(?:^|\.)wasabisys\.com$/, 'wasabi'],
  [/(?:^|\.)backblazeb2\.com$/, 'b2'],
  [/(?:^|\.)storage\.googleapis\.com$/, 'gcs-interop'],
  [/(?:^|\.)scw\.cloud$/, 'scaleway'],
];

const SERVERS: readonly (readonly [pattern: RegExp, name: string])[] = [
  [/^AmazonS3/i, 'aws'],
  [/minio/i, 'minio'],
  [/versitygw/i, 'versitygw'],
  [/seaweedfs/i, 'seaweedfs'],
  [/ceph|rados/i, 'ceph'],
  [/^Cleversafe/i, 'ibm-cos'],
  [/^WasabiS3/i, 'wasabi'],
];

/** The provider behind an endpoint: by its host name, else by what it calls itself. `undefined` when neither says. */
export function detectProfile(host: string | undefined, server?: string): ProviderProfile | undefined {
  if (host === undefined) return aws;
  const name = HOSTS.find(([pattern]) => pattern.test(host.replace(/:\d+$/, '').toLowerCase()))?.[1]
    ?? (server === undefined ? undefined : SERVERS.find(([pattern]) => pattern.test(server))?.[1]);
  return name === undefined ? undefined : profileOf(name);
}

/** What a probe of the real endpoint found; it overrides the profile. */
export interface ProbedFacts {
  readonly guards?: Partial<GuardProfile>;
  readonly checksums?: Partial<ChecksumProfile>;
  readonly listing?: Partial<ListingProfile>;
  readonly normalisesDots?: boolean;
  readonly countsTags?: boolean;
}

export function withProbed(profile: ProviderProfile, probed: ProbedFacts): ProviderProfile {
  return {
    ...profile,
    guards: { ...profile.guards, ...probed.guards },
    checksums: { ...profile.checksums, ...probed.checksums },
    listing: { ...profile.listing, ...probed.listing },
    // A profile that says so was measured on more keys than one canary.
    normalisesDots: profile.normalisesDots || (probed.normalisesDots ?? false),
    countsTags: probed.countsTags ?? profile.countsTags ?? false,
  };
}
