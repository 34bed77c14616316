// Why a case of a stranger's suite does not pass. A case that fails and is not here fails our test.

export interface Explanation {
  readonly cases: RegExp;
  /** Whether the agent lacks it, differs on purpose, or the case asks for more than S3 does. */
  readonly kind: 'not served' | 'on purpose' | 'not of S3';
  readonly why: string;
}

const because = (kind: Explanation['kind'], why: string, cases: RegExp): Explanation => ({ kind, why, cases });

const CHECKSUMS = 'the case goes through all checksum algorithms; the xxHash family is not served. Refused by name, never stored unverified';

export const VERSITYGW: readonly Explanation[] = [
  because('not served', 'browser uploads (POST forms)', /^PostObject_/),
  because('not served', 'bucket policies, and with them public buckets: who may do what stands in the file of access keys', /^(Put|Get|Delete)BucketPolicy|^PublicBucket_|_overrides_fail_public$/),
  because('not served', 'ACLs: everything belongs to the one owner, as with BucketOwnerEnforced, the standard of S3', /^(Put|Get)BucketAcl|^CreateBucket_(invalid_canned_acl|non_default_acl)/),
  because('not served', 'CORS and static websites', /BucketCors|BucketWebsite|^Preflight|^PostObject_cors/),
  because('not served', 'tags of buckets', /BucketTagging|^CreateBucket_(long_tags|invalid_tags|duplicate_keys|tag_count_limit)/),
  because('not served', 'ownership controls: there is one owner', /BucketOwnershipControls/),
  because('not served', 'Object Lock: a wish to lock is refused (501), since a folder cannot keep the promise', /^WORMProtection|ObjectRetention|ObjectLegalHold|ObjectLockConfiguration|object_lock|legal_hold|retention_lock|retain_until_date|missing_bucket_lock|^PutObject_racey_success$/),
  because('not of S3', 'asks the admin API of versitygw, or runs its program, to make users', /^AccessControl_|^IAM_|^CreateBucket_(as_user|existing_bucket)$|^Authentication_date_mismatch$|_no_access$|_not_owned_|_acl_not_supported$|_with_acl_access$|^ListBuckets_as_(user|admin)$|_by_(user|admin)|_access_denied$/),
  because('not of S3', 'takes the access key for the id of the owner; ours is one id for all keys, as of an account', /^CreateBucket_(default_acl|private_canned_acl)|^ListBuckets_(success|truncated|with_prefix)$|_expected_bucket_owner$/),
  because('not of S3', 'expects that no earlier case left a bucket', /^ListBuckets_empty_success$/),
  because('not served', CHECKSUMS, /_checksums(_success)?$|_incorrect_checksums$|_with_checksum$|_dir_object_checksum$|_calculate_the_checksum$|_copy_the_checksum$|_(valid_algo_type|type_algo_mismatch|invalid_checksum_algorithm)$|^UploadPart_(invalid_checksum_header|no_checksum_with_composite_checksum_type)$|^CompleteMultipartUpload_(incorrect_final_checksums|should_verify_final_composite_checksum)$|^UnsignedStreamingPayloadTrailer_(no_payload_trailer_only_headers|success_both_sdk_algo_and_trailer|UploadPart_success_with_trailer)$|^SignedStreamingPayloadTrailer_(invalid_checksum|bad_digest|success)$/),
  because('on purpose', 'the storage class STANDARD is not told in a header: S3 does not either (API Reference, GetObject)', /^(Get|Head)Object_success$|^CopyObject_(should_copy_meta_props|should_replace_meta_props|cross_bucket_server_side_copy)$/),
  because('on purpose', 'NextMarker comes only with a delimiter, empty Prefix and Marker are told as empty elements: as the API Reference of ListObjects says', /^ListObjects_(truncated|mp_masking_truncation|list_all_objs)$|^ListObjectsV2_list_all_objs$/),
  because('on purpose', 'a continuation token is opaque, not a key', /^ListObjectsV2_both_start_after_and_continuation_token$/),
  because('on purpose', 'the checksum of a part is told for a read of that part: it speaks for exactly these bytes', /_ranged_with_checksum_mode$/),
  because('on purpose', 'a condition on the source of a copy that does not hold is 412, never 304 (API Reference, CopyObject)', /_conditional_reads$/),
  because('on purpose', 'the location is that of another region, which S3 calls IllegalLocationConstraintException', /^CreateBucket_invalid_location_constraint$/),
  because('on purpose', 'a wrong checksum of the whole object, or of a part, is refused also where the upload declared none, or before the form of another is looked at', /^CompleteMultipartUpload_(should_ignore_the_final_checksum|invalid_final_checksums|invalid_final_composite_checksum|invalid_checksum_part|multiple_checksum_part|different_checksum_part|multiple_final_checksums)$|^UnsignedStreamingPayloadTrailer_multiple_checksum_headers$/),
  because('on purpose', 'refused, with another of two codes that both fit', /^PutObject_(tagging|missing_object_lock_retention_config)$|_replace_tagging$|_with_tagging$|^CopyObject_invalid_checksum_algorithm$|^DeleteObjects_empty_input$|^CompleteMultipartUpload_invalid_part_number$|^UnsignedStreamingPayloadTrailer_not_allowed$|^Router|^SignedStreamingPayloadTrailer_(malformed_trailer|incomplete_body)$|^Server_large_http_header$/),
  because('on purpose', 'refused with the same code; only the words differ', /^Authentication_(missing_components|malformed_credential|invalid_sha256_payload_hash)$|^PresignedAuth_unsupported_algorithm$|_invalid_copy_source$|^UploadPartCopy_by_range_invalid_ranges$|_invalid_max_(keys|parts|uploads|buckets)$|_invalid_part_number_marker$|^CompleteMultipartUpload_mpu_object_size$|^PutObjectTagging_invalid_tags$|^UnsignedStreamingPayloadTrailer_incomplete_body$|^SignedStreamingPayload_invalid_encoding$|^ListBuckets_invalid_max_buckets$/),
  because('on purpose', 'chunks below 8 KiB are taken: nothing is lost by it', /StreamingPayload(Trailer)?_invalid_chunk_size$/),
  because('on purpose', 'an upload id that nobody gave out is a marker like any other; where the page ends with a common prefix, there is no upload to name', /^ListMultipartUploads_(invalid_uploadId_marker|keyMarker_not_from_list|delimiter_truncated)$|^ListParts_null_checksums$/),
  because('not of S3', 'headers that S3 has for directory buckets alone (x-amz-if-match-size and the like)', /^DeleteObject_conditional_writes$|_if_match_initiated_time$/),
  because('not of S3', 'gives keys that end with a slash a content type of their own', /^GetObject_directory_success$/),
  because('on purpose', 'layout files refuses such a key, with a code of S3 rather than versitygw\'s; layout objects keeps every key byte for byte', /^PutObject_invalid_object_names$/),
];

export const MINIO_GO: readonly Explanation[] = [
  because('not served', 'Signature Version 2, which S3 has given up', /V2$|Wrapper$|^testComposeMultipleSources$|^test(Copy|Replace)ObjectWithChecksums$/),
  because('not served', CHECKSUMS, /^test(PutObjectWith(Trailing)?Checksums|ListObjectsChecksums|PutMultipartObjectWithChecksums)$/),
  because('not served', 'browser uploads (POST forms)', /^testPresignedPostPolicy/),
  because('not served', 'buckets of other regions: an agent has one', /^testMakeBucket(Error|Regions)$/),
  because('not served', 'ACLs', /^testGetObjectACLContext$/),
  because('not of S3', 'user metadata in listings is an extension of MinIO', /^testListUnsorted$/),
  because('on purpose', 'a version id that no version can have is InvalidArgument, as S3 says', /^testGetObjectAttributesErrorCases$/),
];

export const reasonFor = (explanations: readonly Explanation[], name: string): Explanation | undefined => explanations.find(({ cases }) => cases.test(name));
