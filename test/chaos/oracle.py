"""
The reconciliation oracle (invariants I1-I4): knows nothing of the product but the account it claims. It recomputes from raw storage what
was listed, what arrived and what did not, and compares.

    oracle.py seed  PLACE SPEC      makes the source; prints {key: [size, sha256]} of what stands there
    oracle.py check SOURCE DESTINATION ACCOUNT
    oracle.py bucket PLACE          makes a bucket, versioned where PLACE says so

Each argument is a JSON document. ACCOUNT is {key: state} as the ledger says. Prints one JSON document; exits 1 on any violation.
"""
import io
import json
import os
import random
import sys
from concurrent.futures import ThreadPoolExecutor

from stores import CHUNK, client, digests, open_place

AWKWARD = ['plus+sign', 'per%cent', '#hash', 'ques?tion', ' lead', 'caf\u00e9', 'cafe\u0301', '\U0001F600', "quote'\"", 'back\\slash', '.hidden']
MOST_NAMED = 20


def plan(spec):
    """(key, size) of every object, the large one first in the key order: most kills are to hit it."""
    chance = random.Random(spec['seed'])
    for i in range(spec['objects']):
        name = f'{AWKWARD[i]}' if i < len(AWKWARD) else f'part-{i:05d}.bin'
        pick = chance.random()
        if i % 500 == 7:
            size = chance.randrange(8 << 20, 20 << 20)
        elif pick < 0.02:
            size = 0
        elif pick < 0.05:
            size = chance.randrange(64 << 10, 1 << 20)
        else:
            size = chance.randrange(1, 16 << 10)
        yield f'tree/day-{i % 30:02d}/{name}', size
    if spec['large'] > 0:
        yield 'a-large.bin', spec['large']


def content(key, size, version=0):
    chance = random.Random(f'{key} {version}')
    while size > 0:
        piece = min(size, CHUNK)
        yield chance.randbytes(piece)
        size -= piece


class Joined(io.RawIOBase):
    """A generator of chunks as a file, for uploads that need not be held whole."""

    def __init__(self, chunks):
        self.chunks, self.rest = chunks, b''

    def readable(self):
        return True

    def readinto(self, into):
        if not self.rest:
            self.rest = next(self.chunks, b'')
        count = min(len(into), len(self.rest))
        into[:count], self.rest = self.rest[:count], self.rest[count:]
        return count


def seed_folder(place, spec):
    for key, size in plan(spec):
        path = os.path.join(place['path'], key)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, 'wb') as file:
            for chunk in content(key, size):
                file.write(chunk)


def make_bucket(place):
    s3 = client(place)
    s3.create_bucket(Bucket=place['bucket'])
    if place.get('versioned'):
        s3.put_bucket_versioning(Bucket=place['bucket'], VersioningConfiguration={'Status': 'Enabled'})


def seed_bucket(place, spec):
    """Some objects have older versions, and some keys only a delete marker on top: none of these may arrive."""
    make_bucket(place)
    s3, bucket = client(place), place['bucket']

    def put(entry):
        i, (key, size) = entry
        if place.get('versioned') and i % 25 == 3:
            s3.put_object(Bucket=bucket, Key=key, Body=b''.join(content(key, min(size, 1000) + 1, version=1)))
        if place.get('versioned') and i % 100 == 5:
            s3.put_object(Bucket=bucket, Key=f'{key}.deleted', Body=b'gone')
            s3.delete_object(Bucket=bucket, Key=f'{key}.deleted')
        s3.upload_fileobj(io.BufferedReader(Joined(content(key, size)), CHUNK), bucket, key)

    with ThreadPoolExecutor(12) as pool:
        list(pool.map(put, enumerate(plan(spec))))


def seed(place, spec):
    (seed_folder if place['kind'] == 'folder' else seed_bucket)(place, spec)
    store = open_place(place)
    return {key: value for key, value in digests(store, store.keys()).items()}


def some(names):
    return {'count': len(names), 'first': sorted(names)[:MOST_NAMED]}


def extra_versions(store, expected):
    """Versions beyond one per expected key, and whether each holds the same bytes as the source."""
    extra, differing, markers = 0, 0, 0
    named = []
    for key, ids in store.versions().items():
        markers += ids.count(None)
        held = [id_ for id_ in ids if id_ is not None]
        if len(held) > 1:
            extra += len(held) - 1
            named.append(f'{key} ({expected.get(key, [0])[0]} bytes, {len(held)} versions)')
            differing += sum(store.digest(key, id_) != expected.get(key) for id_ in held)
    return {'extra': extra, 'differing': differing, 'markers': markers, 'first': named[:MOST_NAMED]}


def check_account(account, expected, arrived):
    """The product's own three sets against ours; only names that disagree."""
    listed = {key for key, state in account.items() if state != 'extra'}
    same = {key for key, state in account.items() if state in ('copied', 'unchanged')}
    return some((listed ^ set(expected)) | (same ^ arrived))


def check(source_place, destination_place, account):
    source, destination = open_place(source_place), open_place(destination_place)
    expected, found = digests(source, source.keys()), digests(destination, destination.keys())
    arrived = {key for key, value in expected.items() if found.get(key) == value}
    versions = extra_versions(destination, expected)
    verdict = {
        'source': {'objects': len(expected), 'bytes': sum(size for size, _ in expected.values())},
        'destination': {'objects': len(found), 'bytes': sum(size for size, _ in found.values())},
        'lost': some([key for key in expected if key not in found]),
        'corrupt': some([key for key in expected if key in found and key not in arrived]),
        'foreign': some([key for key in found if key not in expected]),
        'unfinished': some(destination.unfinished()),
        'canaries': some(destination.canaries()),
        'versions': versions,
        'account': check_account(account, expected, arrived),
    }
    wrong = any(verdict[name]['count'] for name in ('lost', 'corrupt', 'foreign', 'unfinished', 'account')) or versions['differing'] > 0
    return verdict, wrong


def document(text):
    """A JSON argument, or @FILE for one that is too long for a command line."""
    if text.startswith('@'):
        with open(text[1:], encoding='utf-8') as file:
            return json.load(file)
    return json.loads(text)


def main(command, *texts):
    arguments = [document(text) for text in texts]
    if command == 'seed':
        print(json.dumps(seed(*arguments)))
    elif command == 'bucket':
        make_bucket(*arguments)
    elif command == 'check':
        verdict, wrong = check(*arguments)
        print(json.dumps(verdict))
        sys.exit(1 if wrong else 0)
    else:
        sys.exit(f'unknown command {command}')


if __name__ == '__main__':
    main(*sys.argv[1:])
