"""Raw storage as the oracle and the reader see it: boto3 and os.walk, nothing of the product."""
import hashlib
import os
from concurrent.futures import ThreadPoolExecutor

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

CHUNK = 1 << 20
# What brigade leaves while it works: `.<name>.<16 characters>.brigade.part` and `.parts`; canaries stand below `.brigade/`.
TEMPORARY_ENDS = ('.brigade.part', '.brigade.parts')
OWN_PREFIX = '.brigade/'


def client(place):
    return boto3.client(
        's3', endpoint_url=place['endpoint'], region_name=place['region'],
        aws_access_key_id=place['access_key_id'], aws_secret_access_key=place['secret_access_key'],
        config=Config(s3={'addressing_style': 'path'}, max_pool_connections=32, retries={'max_attempts': 5},
                      request_checksum_calculation='when_required', response_checksum_validation='when_required'))


def digest(chunks):
    size, sha = 0, hashlib.sha256()
    for chunk in chunks:
        size += len(chunk)
        sha.update(chunk)
    return [size, sha.hexdigest()]


def file_chunks(path):
    with open(path, 'rb') as file:
        while chunk := file.read(CHUNK):
            yield chunk


def is_temporary(path):
    name = os.path.basename(path)
    return name.startswith('.') and name.endswith(TEMPORARY_ENDS)


class Folder:
    def __init__(self, place):
        self.root = place['path']

    def names(self):
        for folder, _, files in os.walk(self.root):
            for name in files:
                yield os.path.relpath(os.path.join(folder, name), self.root)

    def keys(self):
        return [name for name in self.names() if not is_temporary(name) and not name.startswith(OWN_PREFIX)]

    def digest(self, key):
        """[size, sha256], or None where nothing stands."""
        try:
            return digest(file_chunks(os.path.join(self.root, key)))
        except FileNotFoundError:
            return None

    def unfinished(self):
        return [name for name in self.names() if is_temporary(name)]

    def canaries(self):
        return [name for name in self.names() if name.startswith(OWN_PREFIX)]

    def versions(self):
        return {}


class Bucket:
    def __init__(self, place):
        self.s3, self.bucket = client(place), place['bucket']

    def _pages(self, operation, what):
        for page in self.s3.get_paginator(operation).paginate(Bucket=self.bucket):
            yield from page.get(what, [])

    def _all(self):
        return [entry['Key'] for entry in self._pages('list_objects_v2', 'Contents')]

    def keys(self):
        return [key for key in self._all() if not key.startswith(OWN_PREFIX)]

    def canaries(self):
        return [key for key in self._all() if key.startswith(OWN_PREFIX)]

    def digest(self, key, version=None):
        try:
            extra = {} if version is None else {'VersionId': version}
            body = self.s3.get_object(Bucket=self.bucket, Key=key, **extra)['Body']
            return digest(body.iter_chunks(CHUNK))
        except ClientError as error:
            if error.response['Error']['Code'] in ('NoSuchKey', '404'):
                return None
            raise

    def unfinished(self):
        return [f"{upload['Key']} ({upload['UploadId']})" for upload in self._pages('list_multipart_uploads', 'Uploads')]

    def versions(self):
        """Every version by key, each once (versitygw repeats the last of a page); delete markers are versions called None."""
        found = {}
        for entry in self._pages('list_object_versions', 'Versions'):
            ids = found.setdefault(entry['Key'], [])
            if entry['VersionId'] not in ids:
                ids.append(entry['VersionId'])
        for entry in self._pages('list_object_versions', 'DeleteMarkers'):
            found.setdefault(entry['Key'], []).append(None)
        return {key: ids for key, ids in found.items() if not key.startswith(OWN_PREFIX)}


def open_place(place):
    return Folder(place) if place['kind'] == 'folder' else Bucket(place)


def digests(store, keys, workers=8):
    with ThreadPoolExecutor(workers) as pool:
        return dict(zip(keys, pool.map(store.digest, keys)))
