"""Measures what an S3 server really does. Prints JSON: fact -> what was seen.

    facts.py --endpoint http://127.0.0.1:9000 --access KEY --secret SECRET [--region us-east-1] [--only keys]

Every fact makes buckets of its own. Answers are given as status and error code, so that a profile can be written from them.
"""
import argparse
import base64
import concurrent.futures
import datetime
import hashlib
import json
import sys
import traceback
import unicodedata
import urllib.parse
from xml.etree import ElementTree

from s3raw import ALGORITHMS, S3, Answer, checksum

MIB = 1024 * 1024
FACTS = {}
count = 0
prefix = 'facts'


def fact(function):
    FACTS[function.__name__] = function
    return function


def fresh(s3: S3) -> str:
    global count
    count += 1
    return s3.bucket(f'{prefix}-{count}')


def kept(s3: S3, bucket: str, key: str, body: bytes) -> str:
    seen = s3.get(bucket, key)
    return 'object kept' if seen.status == 200 and seen.body == body else f'OBJECT CHANGED ({seen.status}, {seen.body[:20]!r})'


@fact
def conditional_put(s3):
    b = fresh(s3)
    out = {'If-None-Match:* on new key': s3.put(b, 'k', If_None_Match='*').verdict()}
    s3.put(b, 'k', b'old')
    again = s3.put(b, 'k', b'new', If_None_Match='*')
    out['If-None-Match:* on existing key'] = f"{again.verdict()}, {kept(s3, b, 'k', b'old')}"
    s3.put(b, 'k', b'old')
    wrong = s3.put(b, 'k', b'new', If_Match='"00000000000000000000000000000000"')
    out['If-Match wrong'] = f"{wrong.verdict()}, {kept(s3, b, 'k', b'old')}"
    etag = s3.put(b, 'k', b'old').etag
    out['If-Match right'] = s3.put(b, 'k', b'new', If_Match=f'"{etag}"').verdict()
    etag = s3.put(b, 'k', b'old').etag
    out['If-Match right, without quotes'] = s3.put(b, 'k', b'new', If_Match=etag).verdict()
    out['If-Match on missing key'] = s3.put(b, 'none', b'new', If_Match=f'"{etag}"').verdict()
    return out


@fact
def conditional_race(s3):
    b = fresh(s3)

    def once(key):
        return lambda n: s3.put(b, key, bytes([n]) * MIB, If_None_Match='*').verdict()

    rounds = []
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        for n in range(10):
            rounds.append(list(pool.map(once(f'k{n}'), range(8))))
    return {'winners of 8 at once, 10 keys': [r.count('200') for r in rounds], 'losers were told': sorted({v for r in rounds for v in r} - {'200'})}


def two_parts(s3, b, key='k', first=b'a' * (5 * MIB), second=b'b', **create):
    upload = s3.create_upload(b, key, **create)
    return upload, [(n, s3.part(b, key, upload, n, data).etag) for n, data in ((1, first), (2, second))]


@fact
def conditional_complete(s3):
    b = fresh(s3)
    s3.put(b, 'k', b'old')
    out = {}
    for name, headers in (('If-None-Match:* on existing key', {'If_None_Match': '*'}), ('If-Match wrong', {'If_Match': '"00000000000000000000000000000000"'})):
        upload, parts = two_parts(s3, b)
        done = s3.complete(b, 'k', upload, parts, **headers)
        out[name] = f"{done.verdict()}, {kept(s3, b, 'k', b'old')}"
        s3.put(b, 'k', b'old')
    upload, parts = two_parts(s3, b, 'fresh')
    out['If-None-Match:* on new key'] = s3.complete(b, 'fresh', upload, parts, If_None_Match='*').verdict()
    etag = s3.put(b, 'k', b'old').etag
    upload, parts = two_parts(s3, b)
    out['If-Match right'] = s3.complete(b, 'k', upload, parts, If_Match=f'"{etag}"').verdict()
    return out


@fact
def conditional_copy(s3):
    b = fresh(s3)
    etag = s3.put(b, 'src', b'new').etag
    out = {}
    cases = {
        'plain': {},
        'If-None-Match:* on existing key': {'if-none-match': '*'},
        'If-Match wrong (destination)': {'if-match': '"00000000000000000000000000000000"'},
        'copy-source-if-match wrong': {'x-amz-copy-source-if-match': '"00000000000000000000000000000000"'},
        'copy-source-if-match right': {'x-amz-copy-source-if-match': f'"{etag}"'},
        'copy-source-if-none-match matching': {'x-amz-copy-source-if-none-match': f'"{etag}"'},
    }
    for name, headers in cases.items():
        s3.put(b, 'dst', b'old')
        done = s3.call('PUT', b, 'dst', headers={'x-amz-copy-source': f'/{b}/src', **headers})
        out[name] = f"{done.verdict()}, {kept(s3, b, 'dst', b'old').replace('OBJECT CHANGED (200, ', 'copied (')}"
    return out


@fact
def conditional_get_and_delete(s3):
    b = fresh(s3)
    etag = s3.put(b, 'k', b'0123456789').etag
    out = {
        'GET If-Match wrong': s3.get(b, 'k', If_Match='"00000000000000000000000000000000"').verdict(),
        'GET If-Match right': s3.get(b, 'k', If_Match=f'"{etag}"').verdict(),
        'GET If-None-Match right': s3.get(b, 'k', If_None_Match=f'"{etag}"').verdict(),
        'GET Range+If-Match wrong': s3.get(b, 'k', If_Match='"00000000000000000000000000000000"', Range='bytes=1-2').verdict(),
        'HEAD If-Match wrong': s3.head(b, 'k', If_Match='"00000000000000000000000000000000"').verdict(),
        'GET If-Unmodified-Since past': s3.get(b, 'k', If_Unmodified_Since='Mon, 01 Jan 2001 00:00:00 GMT').verdict(),
    }
    gone = s3.call('DELETE', b, 'k', headers={'if-match': '"00000000000000000000000000000000"'})
    out['DELETE If-Match wrong'] = f"{gone.verdict()}, {kept(s3, b, 'k', b'0123456789')}"
    out['DELETE missing key'] = s3.call('DELETE', b, 'nothing').verdict()
    return out


@fact
def ranges(s3):
    b = fresh(s3)
    s3.put(b, 'k', b'0123456789')
    s3.put(b, 'empty', b'')
    out = {}
    for key, header in (('k', 'bytes=2-4'), ('k', 'bytes=-3'), ('k', 'bytes=7-'), ('k', 'bytes=8-100'), ('k', 'bytes=10-12'), ('k', 'bytes=0-'), ('empty', 'bytes=0-0')):
        seen = s3.get(b, key, Range=header)
        out[f'{key} {header}'] = f"{seen.verdict()} {seen.body[:12]!r} {seen.headers.get('content-range', '')}" if seen.ok else seen.verdict()
    return out


@fact
def digests(s3):
    b = fresh(s3)
    md5 = base64.b64encode(hashlib.md5(b'body').digest()).decode()
    bad = base64.b64encode(hashlib.md5(b'other').digest()).decode()
    out = {
        'Content-MD5 right': s3.put(b, 'k', b'body', Content_MD5=md5).verdict(),
        'Content-MD5 wrong': s3.put(b, 'bad', b'body', Content_MD5=bad).verdict(),
        'Content-MD5 wrong leaves': s3.head(b, 'bad').verdict(),
        'x-amz-content-sha256 wrong': s3.call('PUT', b, 'bad2', body=b'body', payload_hash=hashlib.sha256(b'x').hexdigest()).verdict(),
        'UNSIGNED-PAYLOAD': s3.call('PUT', b, 'u', body=b'body', payload_hash='UNSIGNED-PAYLOAD').verdict(),
        'ETag of PUT is MD5': s3.head(b, 'k').etag == hashlib.md5(b'body').hexdigest(),
    }
    upload = s3.create_upload(b, 'm')
    out['UploadPart Content-MD5 wrong'] = s3.part(b, 'm', upload, 1, b'body', Content_MD5=bad).verdict()
    return out


def returned(answer: Answer) -> dict:
    names = ('x-amz-checksum-' + a for a in ALGORITHMS)
    return {k[len('x-amz-checksum-'):]: answer.headers[k] for k in (*names, 'x-amz-checksum-type') if k in answer.headers}


@fact
def header_checksums(s3):
    b = fresh(s3)
    out = {}
    for algorithm in ALGORITHMS:
        header = 'x-amz-checksum-' + algorithm
        right, wrong = checksum(algorithm, b'body'), checksum(algorithm, b'other')
        out[algorithm] = {
            'PUT right': s3.call('PUT', b, algorithm, headers={header: right}, body=b'body').verdict(),
            'PUT wrong': s3.call('PUT', b, 'bad', headers={header: wrong}, body=b'body').verdict(),
            'HEAD mode': returned(s3.head(b, algorithm, x_amz_checksum_mode='ENABLED')),
            'HEAD no mode': returned(s3.head(b, algorithm)),
            'GET mode': returned(s3.get(b, algorithm, x_amz_checksum_mode='ENABLED')),
            'GET mode range': returned(s3.get(b, algorithm, x_amz_checksum_mode='ENABLED', Range='bytes=0-1')),
        }
        s3.call('DELETE', b, 'bad')
    s3.put(b, 'none', b'body')
    out['PUT without checksum, HEAD mode'] = returned(s3.head(b, 'none', x_amz_checksum_mode='ENABLED'))
    attributes = s3.call('GET', b, 'sha256', {'attributes': ''}, {'x-amz-object-attributes': 'Checksum,ETag,ObjectSize'})
    out['GetObjectAttributes'] = f'{attributes.verdict()} {attributes.body[-260:].decode(errors="replace")}'
    return out


def chunked(body: bytes, trailer: str) -> bytes:
    return f'{len(body):x}\r\n'.encode() + body + f'\r\n0\r\n{trailer}\r\n\r\n'.encode()


@fact
def trailing_checksums(s3):
    b = fresh(s3)
    out = {}
    for algorithm in ('crc32', 'crc32c', 'crc64nvme', 'sha256'):
        seen = {}
        for name, of in (('right', b'body'), ('wrong', b'other')):
            data = chunked(b'body', f'x-amz-checksum-{algorithm}:{checksum(algorithm, of)}')
            headers = {'content-encoding': 'aws-chunked', 'x-amz-decoded-content-length': '4', 'x-amz-trailer': f'x-amz-checksum-{algorithm}'}
            seen[name] = s3.call('PUT', b, f'{algorithm}-{name}', headers=headers, body=data, payload_hash='STREAMING-UNSIGNED-PAYLOAD-TRAILER').verdict()
        after = s3.get(b, f'{algorithm}-right', x_amz_checksum_mode='ENABLED')
        seen['stored'] = f"{after.body[:60]!r} content-encoding={after.headers.get('content-encoding')} {returned(after)}"
        out[algorithm] = seen
    return out


@fact
def multipart_checksums(s3):
    b = fresh(s3)
    first, second = b'a' * (5 * MIB), b'b'
    out = {}
    for algorithm, kind in (('crc32', 'COMPOSITE'), ('crc32', 'FULL_OBJECT'), ('crc32c', 'FULL_OBJECT'), ('crc64nvme', 'FULL_OBJECT'), ('sha256', 'COMPOSITE')):
        header = 'x-amz-checksum-' + algorithm
        seen = {}
        key = f'{algorithm}-{kind}'
        create = {'x_amz_checksum_algorithm': algorithm.upper(), 'x_amz_checksum_type': kind}
        try:
            upload = s3.create_upload(b, key, **create)
        except RuntimeError as error:
            out[key] = str(error)
            continue
        seen['part wrong'] = s3.part(b, key, upload, 1, first, **{header: checksum(algorithm, second)}).verdict()
        sums = {n: checksum(algorithm, data) for n, data in ((1, first), (2, second))}
        answers = [s3.part(b, key, upload, n, data, **{header: sums[n]}) for n, data in ((1, first), (2, second))]
        seen['part right'] = answers[0].verdict()
        parts = [(n, a.etag) for n, a in enumerate(answers, 1)]
        tag = 'Checksum' + algorithm.upper()
        extra = {n: f'<{tag}>{s}</{tag}>' for n, s in sums.items()}
        if kind == 'FULL_OBJECT':
            whole = {'x-amz-checksum-type': kind}
            seen['complete wrong'] = s3.complete(b, key, upload, parts, extra, **{header: checksum(algorithm, b'x')}, **whole).verdict()
            if not seen['complete wrong'].startswith('200'):
                seen['complete right'] = s3.complete(b, key, upload, parts, extra, **{header: checksum(algorithm, first + second)}, **whole).verdict()
        else:
            lie = {**extra, 1: extra[2]}
            seen['complete with a wrong part checksum'] = s3.complete(b, key, upload, parts, lie).verdict()
            if not seen['complete with a wrong part checksum'].startswith('200'):
                seen['complete right'] = s3.complete(b, key, upload, parts, extra).verdict()
        after = s3.head(b, key, x_amz_checksum_mode='ENABLED')
        seen['HEAD'] = f'{after.verdict()} {returned(after)}'
        seen['HEAD is the whole object checksum'] = returned(after).get(algorithm) == checksum(algorithm, first + second)
        out[key] = seen
    return out


@fact
def multipart(s3):
    b = fresh(s3)
    out = {}
    upload, parts = two_parts(s3, b)
    listed = s3.call('GET', b, 'k', {'uploadId': upload})
    out['ListParts'] = f"{listed.verdict()} {[(p.findtext('PartNumber'), p.findtext('Size')) for p in listed.xml.findall('.//Part')]}"
    page = s3.call('GET', b, 'k', {'uploadId': upload, 'max-parts': 1})
    out['ListParts max-parts=1'] = f"{len(page.xml.findall('.//Part'))} parts, truncated={page.text('IsTruncated')}, next={page.text('NextPartNumberMarker')}"
    uploads = s3.call('GET', b, query={'uploads': ''})
    out['ListMultipartUploads'] = f"{uploads.verdict()} {[u.findtext('Key') for u in uploads.xml.findall('.//Upload')]}"
    done = s3.complete(b, 'k', upload, parts)
    out['Complete answers ETag'] = done.text('ETag')
    out['Complete answers'] = done.body[:600].decode(errors='replace')
    expected = hashlib.md5(b''.join(bytes.fromhex(e) for _, e in parts)).hexdigest() + '-2' if all(len(e) == 32 for _, e in parts) else 'part ETags are not MD5'
    head = s3.head(b, 'k')
    out['HEAD ETag'] = head.etag + (' (MD5 of part MD5s, -2)' if head.etag == expected else f' (expected {expected})')
    out['Complete again'] = s3.complete(b, 'k', upload, parts).verdict()
    out['size'] = head.headers.get('content-length')
    out['uploads left'] = len(s3.call('GET', b, query={'uploads': ''}).xml.findall('.//Upload'))
    one = s3.call('GET', b, 'k', {'partNumber': 1})
    out['GET partNumber=1'] = f"{one.verdict()} {len(one.body)} bytes, x-amz-mp-parts-count={one.headers.get('x-amz-mp-parts-count')}"
    upload, parts = two_parts(s3, b, 'small', b'a' * MIB)
    out['first part of 1 MiB'] = s3.complete(b, 'small', upload, parts).verdict()
    upload = s3.create_upload(b, 'numbers')
    for number in (0, 10000, 10001):
        out[f'part number {number}'] = s3.part(b, 'numbers', upload, number, b'x').verdict()
    out['abort'] = s3.call('DELETE', b, 'numbers', {'uploadId': upload}).verdict()
    out['ListParts after abort'] = s3.call('GET', b, 'numbers', {'uploadId': upload}).verdict()
    out['part after abort'] = s3.part(b, 'numbers', upload, 1, b'x').verdict()
    upload = s3.create_upload(b, 'gaps')
    gaps = [(n, s3.part(b, 'gaps', upload, n, data).etag) for n, data in ((3, b'c' * (5 * MIB)), (7, b'd'))]
    out['wrong part ETag'] = s3.complete(b, 'gaps', upload, [(3, '0' * 32), gaps[1]]).verdict()
    out['part order wrong'] = s3.complete(b, 'gaps', upload, gaps[::-1]).verdict()
    out['part numbers with gaps'] = s3.complete(b, 'gaps', upload, gaps).verdict()
    out['content with gaps right'] = s3.get(b, 'gaps').body == b'c' * (5 * MIB) + b'd'
    uneven, parts = two_parts(s3, b, 'uneven', b'a' * (6 * MIB), b'b' * (7 * MIB))
    out['parts of unequal size'] = s3.complete(b, 'uneven', uneven, parts).verdict()
    sized = s3.create_upload(b, 'sized')
    tags = [(1, s3.part(b, 'sized', sized, 1, b'x').etag)]
    out['Complete x-amz-mp-object-size wrong'] = s3.complete(b, 'sized', sized, tags, x_amz_mp_object_size='2').verdict()
    return out


@fact
def uploads_listing(s3):
    b = fresh(s3)
    made = [s3.create_upload(b, key) for key in ('b', 'a', 'a', 'c/d')]
    page = s3.call('GET', b, query={'uploads': '', 'max-uploads': 2})
    seen = [u.findtext('Key') for u in page.xml.findall('.//Upload')]
    rest = s3.call('GET', b, query={'uploads': '', 'key-marker': page.text('NextKeyMarker'), 'upload-id-marker': page.text('NextUploadIdMarker')})
    more = [u.findtext('Key') for u in rest.xml.findall('.//Upload')]
    by_key = s3.call('GET', b, query={'uploads': '', 'key-marker': 'a'})
    walked = [u.findtext('Key') for u in by_key.xml.findall('.//Upload')]
    under = s3.call('GET', b, query={'uploads': '', 'prefix': 'c/'})
    return {'made': len(made), 'page of 2': seen, 'truncated': page.text('IsTruncated'), 'markers': [page.text('NextKeyMarker'), bool(page.text('NextUploadIdMarker'))], 'then': more, 'key-marker=a': walked, 'prefix c/': [u.findtext('Key') for u in under.xml.findall('.//Upload')]}


@fact
def part_copy(s3):
    b = fresh(s3)
    data = bytes(range(256)) * 4 * 1024 * 6
    etag = s3.put(b, 'src', data).etag
    out = {}
    upload = s3.create_upload(b, 'dst')
    source = {'x-amz-copy-source': f'/{b}/src'}
    wrong = {'x-amz-copy-source-if-match': '"00000000000000000000000000000000"'}
    at = {'uploadId': upload, 'partNumber': 1}
    out['copy-source-if-match wrong'] = s3.call('PUT', b, 'dst', at, {**source, **wrong}).verdict()
    first = s3.call('PUT', b, 'dst', at, {**source, 'x-amz-copy-source-range': f'bytes=0-{5 * MIB - 1}', 'x-amz-copy-source-if-match': f'"{etag}"'})
    out['range'] = first.verdict()
    out['range past the end'] = s3.call('PUT', b, 'dst', {'uploadId': upload, 'partNumber': 3}, {**source, 'x-amz-copy-source-range': f'bytes=0-{len(data)}'}).verdict()
    second = s3.call('PUT', b, 'dst', {'uploadId': upload, 'partNumber': 2}, {**source, 'x-amz-copy-source-range': f'bytes={5 * MIB}-{len(data) - 1}'})
    parts = [(n, a.text('ETag').strip('"')) for n, a in ((1, first), (2, second))]
    out['complete'] = s3.complete(b, 'dst', upload, parts).verdict()
    out['content right'] = s3.get(b, 'dst').body == data
    return out


@fact
def listing(s3):
    b = fresh(s3)
    for key in ('a0', 'a/b', 'a-b', 'B', 'ä', '\U0001F600', '\uFF5E', 'z'):
        s3.put(b, key, b'x')
    keys = s3.keys(b)
    out = {'canary a-b a/b a0': [k for k in keys if k in ('a0', 'a/b', 'a-b')], 'all': keys, 'in UTF-8 byte order': keys == sorted(keys, key=str.encode)}
    out['start-after a/'] = s3.keys(b, start_after='a/')[:2]
    out['start-after a (inside: a-b next)'] = s3.keys(b, start_after='a')[:1]
    page = s3.call('GET', b, query={'list-type': 2, 'max-keys': 3})
    out['max-keys=3'] = f"KeyCount={page.text('KeyCount')} truncated={page.text('IsTruncated')} token={bool(page.text('NextContinuationToken'))}"
    walked, token = [], ''
    for _ in range(20):
        query = {'list-type': 2, 'max-keys': 1, 'encoding-type': 'url'} | ({'continuation-token': token} if token else {})
        page = s3.call('GET', b, query=query)
        walked += [urllib.parse.unquote_plus(k.text) for k in page.xml.findall('.//Contents/Key')]
        token = page.text('NextContinuationToken')
        if page.text('IsTruncated') != 'true':
            break
    out['pages of 1 give the same'] = walked == keys or walked
    common = s3.call('GET', b, query={'list-type': 2, 'delimiter': '/'})
    out['delimiter'] = [p.text for p in common.xml.findall('.//CommonPrefixes/Prefix')]
    encoded = s3.call('GET', b, query={'list-type': 2, 'encoding-type': 'url'})
    out['encoding-type=url'] = f"EncodingType={encoded.text('EncodingType')!r} {[k.text for k in encoded.xml.findall('.//Contents/Key')]}"
    s3.put(b, 'plus+ space', b'x')
    out['encoding of "plus+ space"'] = [k.text for k in s3.call('GET', b, query={'list-type': 2, 'encoding-type': 'url', 'prefix': 'plus'}).xml.findall('.//Contents/Key')]
    first = encoded.xml.find('.//Contents')
    out['entry'] = {c.tag: c.text for c in first if c.tag != 'Owner'}
    out['v1 marker'] = [k.text for k in s3.call('GET', b, query={'marker': 'a/b', 'max-keys': 1}).xml.findall('.//Contents/Key')]
    out['max-keys=5000 echoes'] = s3.call('GET', b, query={'list-type': 2, 'max-keys': 5000}).text('MaxKeys')
    out['missing bucket'] = s3.call('GET', prefix + '-missing', query={'list-type': 2}).verdict()
    return out


KEYS = {
    'double slash inside': 'a//b', 'double slash end': 'a//', 'leading slash': '/a', 'two leading slashes': '//a', 'trailing slash, empty': 'dir/',
    'trailing slash, 3 bytes': 'dir/', 'dot dot inside': 'a/../b', 'dot dot first': '../a', 'dot dot only': '..', 'dot inside': 'a/./b', 'dot first': './a', 'dot only': '.',
    'dot dot last': 'a/..', 'three dots': '...', 'U+0001': 'a\x01b', 'U+000A': 'a\nb', 'U+000B': 'a\x0bb', 'U+007F': 'a\x7fb', 'U+FFFE': 'a\uFFFEb', 'emoji': '\U0001F600/\U0001F680',
    'backslash': 'a\\b', 'percent': 'a%2Fb%', 'plus and space': 'a+b c', 'spaces at the ends': ' a ', 'special': 'a&<>"\'?#=;:@$,!*()[]{}|^`~b',
    '1024 ASCII bytes in segments': '/'.join(['x' * 127] * 7 + ['x' * 128]), '1024 bytes in one segment': 'x' * 1024, '255-byte segment': 'x' * 255, '256-byte segment': 'x' * 256,
    '1024 bytes of UTF-8': 'é' * 512, '1025 bytes': '/'.join(['x' * 127] * 7 + ['x' * 129]), '400 levels': 'a/' * 400 + 'b', 'soap': 'soap',
}


def key_story(s3, key: str, body: bytes) -> str:
    b = fresh(s3)
    put = s3.put(b, key, body)
    if not put.ok:
        return f'refused: {put.verdict()}'
    seen = s3.get(b, key)
    faults = [] if seen.status == 200 and seen.body == body else [f'GET {seen.verdict()} {seen.body[:20]!r}']
    try:
        keys = s3.keys(b)
        if keys != [key]:
            faults.append(f'listed as {[k if len(k) < 40 else k[:20] + "…" for k in keys]}')
    except ElementTree.ParseError as error:
        faults.append(f'listing is not XML: {error}')
    gone = s3.call('DELETE', b, key)
    if gone.status not in (200, 204) or s3.head(b, key).status != 404:
        faults.append(f'DELETE {gone.verdict()}, HEAD after {s3.head(b, key).verdict()}')
    return 'DAMAGED: ' + '; '.join(faults) if faults else 'faithful'


@fact
def keys(s3):
    return {name: attempt(lambda key=key, name=name: key_story(s3, key, b'' if name.endswith('empty') else b'abc')) for name, key in KEYS.items()}


def twins(s3, *names: str) -> str:
    b = fresh(s3)
    puts = [s3.put(b, key, b'' if key.endswith('/') else key.encode()).verdict() for key in names]
    wrong = [f'{key!r}: {a.verdict()} {a.body[:20]!r}' for key in names if (a := s3.get(b, key)).body != (b'' if key.endswith('/') else key.encode()) or a.status != 200]
    listed = s3.keys(b)
    faults = ([f'PUTs {puts}'] if set(puts) != {'200'} else []) + wrong + ([f'listed {listed}'] if listed != sorted(names, key=str.encode) else [])
    return '; '.join(faults) or 'both faithful'


@fact
def key_pairs(s3):
    nfc, nfd = unicodedata.normalize('NFC', 'é'), unicodedata.normalize('NFD', 'é')
    pairs = {
        'NFC and NFD': (nfc, nfd), 'a then a/b': ('a', 'a/b'), 'a/b then a': ('a/b', 'a'), 'a/ then a/b': ('a/', 'a/b'), 'a then a/': ('a', 'a/'),
        'A and a': ('A', 'a'), 'a/b and a//b': ('a/b', 'a//b'), 'a and /a': ('a', '/a'), 'b and a/../b': ('b', 'a/../b'),
    }
    out = {name: attempt(lambda pair=pair: twins(s3, *pair)) for name, pair in pairs.items()}
    b = fresh(s3)
    s3.put(b, 'a/b/c', b'x')
    s3.call('DELETE', b, 'a/b/c')
    out['after deleting a/b/c, listed'] = s3.keys(b)
    s3.put(b, 'a/b/c', b'x')
    control = fresh(s3)
    s3.put(control, 'a\x01b', b'x')
    plain = s3.call('GET', control, query={'list-type': 2})
    out['U+0001 listed without encoding-type'] = attempt(lambda: repr([k.text for k in plain.xml.findall('.//Contents/Key')])) + ' ' + repr(plain.body[plain.body.find(b'<Key>'):][:40])
    out['HEAD of the prefix a/b'] = s3.head(b, 'a/b').verdict()
    out['HEAD of the prefix a/b/'] = s3.head(b, 'a/b/').verdict()
    return out


@fact
def tagging(s3):
    b = fresh(s3)
    out = {'PUT x-amz-tagging': s3.put(b, 'k', b'x', x_amz_tagging='colour=red&naam=b%20c%2Bd').verdict()}

    def tags(key):
        answer = s3.call('GET', b, key, {'tagging': ''})
        if not answer.ok:
            return answer.verdict()
        if not answer.body:
            return '200 with an empty body'
        return {t.findtext('Key'): t.findtext('Value') for t in answer.xml.findall('.//Tag')}

    out['GetObjectTagging'] = tags('k')
    head = s3.head(b, 'k')
    out['x-amz-tagging-count on HEAD'] = head.headers.get('x-amz-tagging-count')
    out['x-amz-tagging-count on GET'] = s3.get(b, 'k').headers.get('x-amz-tagging-count')
    upload, parts = two_parts(s3, b, 'm', x_amz_tagging='a=b')
    s3.complete(b, 'm', upload, parts)
    out['CreateMultipartUpload x-amz-tagging'] = tags('m')
    copy = {'x-amz-copy-source': f'/{b}/k'}
    s3.call('PUT', b, 'c', headers=copy)
    out['copy keeps tags'] = tags('c')
    s3.call('PUT', b, 'c2', headers={**copy, 'x-amz-tagging-directive': 'REPLACE', 'x-amz-tagging': 'n=1'})
    out['copy with REPLACE'] = tags('c2')
    body = b'<Tagging><TagSet><Tag><Key>p</Key><Value>q</Value></Tag></TagSet></Tagging>'
    out['PutObjectTagging'] = s3.call('PUT', b, 'k', {'tagging': ''}, {'content-md5': base64.b64encode(hashlib.md5(body).digest()).decode()}, body).verdict()
    out['after it'] = tags('k')
    out['11 tags'] = s3.put(b, 'many', b'x', x_amz_tagging='&'.join(f't{n}=v' for n in range(11))).verdict()
    out['PUT with a non-ASCII tag'] = f"{s3.put(b, 'na', b'x', x_amz_tagging='naam=b%C3%A9').verdict()} {tags('na')}"
    s3.put(b, 'untagged', b'x')
    out['untagged'] = tags('untagged')
    return out


@fact
def metadata(s3):
    b = fresh(s3)
    meta = {'x-amz-meta-ascii': 'plain', 'x-amz-meta-empty': '', 'x-amz-meta-inner': 'a  b', 'x-amz-meta-quoted': 'a "b", c=d;e'}
    system = {'content-type': 'text/x-own; charset=utf-8', 'cache-control': 'max-age=9', 'content-disposition': 'attachment; filename="a.txt"',
              'content-encoding': 'x-own', 'content-language': 'nl', 'expires': 'Wed, 21 Oct 2037 07:28:00 GMT', 'x-amz-website-redirect-location': '/there'}
    answer = s3.call('PUT', b, 'k', headers={**meta, **system}, body=b'x')
    head = s3.head(b, 'k').headers
    out = {'PUT': answer.verdict(), 'lost or changed': {k: head.get(k) for k, v in {**meta, **system}.items() if head.get(k) != v}}
    for name, value in (('UTF-8 bytes', 'blå 日本'), ('RFC 2047', '=?UTF-8?B?YmzDpQ==?='), ('percent', 'bl%C3%A5')):
        put = s3.call('PUT', b, 'n', headers={'x-amz-meta-n': value}, body=b'x')
        got = s3.head(b, 'n').headers.get('x-amz-meta-n')
        if got is not None and name == 'UTF-8 bytes':
            got = got.encode('latin-1', 'replace').decode('utf-8', 'replace')
        out[f'non-ASCII as {name}'] = f"{put.verdict()} -> {'same' if got == value else repr(got)}"
    for size in (2048, 2049, 8192):
        out[f'{size} bytes of metadata'] = s3.call('PUT', b, 'big', headers={'x-amz-meta-a': 'v' * (size - 1)}, body=b'x').verdict()
    out['x-amz-meta-Mixed-Case comes back as'] = [k for k in (s3.call('PUT', b, 'mc', headers={'x-amz-meta-Mixed_case-A': '1'}, body=b'') and s3.head(b, 'mc').headers) if 'meta' in k]
    s3.put(b, 'plain', b'x')
    out['default content-type'] = s3.head(b, 'plain').headers.get('content-type')
    out['STANDARD_IA'] = f"{s3.put(b, 'ia', b'x', x_amz_storage_class='STANDARD_IA').verdict()} HEAD says {s3.head(b, 'ia').headers.get('x-amz-storage-class')}"
    copy = s3.call('PUT', b, 'c', headers={'x-amz-copy-source': f'/{b}/k'})
    after = s3.head(b, 'c').headers
    out['copy loses'] = {k: after.get(k) for k, v in {**meta, **system}.items() if after.get(k) != head.get(k)} if copy.ok else copy.verdict()
    copy = s3.call('PUT', b, 'c2', headers={'x-amz-copy-source': f'/{b}/k', 'x-amz-metadata-directive': 'REPLACE', 'x-amz-meta-new': '1', 'content-type': 'text/new'})
    after = s3.head(b, 'c2').headers
    out['copy REPLACE'] = f"{copy.verdict()} {[k for k in after if 'meta' in k]} {after.get('content-type')}"
    upload, parts = two_parts(s3, b, 'mp', **{'x_amz_meta_a': 'v', 'content_type': 'text/own', 'cache_control': 'max-age=9'})
    s3.complete(b, 'mp', upload, parts)
    after = s3.head(b, 'mp').headers
    out['multipart keeps'] = {k: after.get(k) for k in ('x-amz-meta-a', 'content-type', 'cache-control')}
    return out


@fact
def versioning(s3):
    b = fresh(s3)
    body = b'<VersioningConfiguration xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Status>Enabled</Status></VersioningConfiguration>'
    out = {'PutBucketVersioning': s3.call('PUT', b, query={'versioning': ''}, body=body).verdict(), 'status': s3.call('GET', b, query={'versioning': ''}).text('Status')}
    versions = [s3.put(b, 'k', data).headers.get('x-amz-version-id') for data in (b'one', b'two')]
    out['PUT gives a version id'] = all(versions)
    if versions[0]:
        out['GET of the first version'] = s3.call('GET', b, 'k', {'versionId': versions[0]}).body.decode(errors='replace')
    out['DELETE marker'] = s3.call('DELETE', b, 'k').headers.get('x-amz-delete-marker')
    answer = s3.call('GET', b, query={'versions': ''})
    out['ListObjectVersions'] = [(v.tag, v.findtext('Key'), v.findtext('IsLatest')) for v in answer.xml if v.tag in ('Version', 'DeleteMarker')] if answer.ok else answer.verdict()
    out['GET after'] = s3.get(b, 'k').verdict()
    plain = s3.call('GET', fresh(s3), query={'versioning': ''})
    out['GetBucketVersioning of a plain bucket'] = f"{plain.verdict()} {plain.text('Status')!r}"
    return out


@fact
def deletes(s3):
    b = fresh(s3)
    for key in ('x', 'y/z', 'a&b'):
        s3.put(b, key, b'')
    body = b'<Delete><Object><Key>x</Key></Object><Object><Key>y/z</Key></Object><Object><Key>a&amp;b</Key></Object><Object><Key>missing</Key></Object></Delete>'
    md5 = base64.b64encode(hashlib.md5(body).digest()).decode()
    answer = s3.call('POST', b, query={'delete': ''}, headers={'content-md5': md5}, body=body)
    out = {'DeleteObjects': f"{answer.verdict()} deleted={[d.findtext('Key') for d in answer.xml.findall('.//Deleted')]}", 'left': s3.keys(b)}
    crc = s3.call('POST', b, query={'delete': ''}, headers={'x-amz-checksum-crc32': checksum('crc32', body), 'x-amz-sdk-checksum-algorithm': 'CRC32'}, body=body)
    out['DeleteObjects with crc32 in place of Content-MD5'] = crc.verdict()
    s3.put(b, 'k', b'x')
    out['DeleteBucket not empty'] = s3.call('DELETE', b).verdict()
    return out


@fact
def service(s3):
    b = fresh(s3)
    answer = s3.put(b, 'k', b'x')
    out = {'headers of PUT': {k: v for k, v in answer.headers.items() if k not in ('date', 'content-length')}}
    head = s3.head(b, 'k')
    out['headers of HEAD'] = {k: v for k, v in head.headers.items() if k not in ('date',)}
    out['HeadBucket'] = {k: v for k, v in s3.call('HEAD', b).headers.items() if 'region' in k}
    out['HeadBucket missing'] = s3.call('HEAD', prefix + '-missing').verdict()
    out['GetBucketLocation'] = (lambda a: f"{a.verdict()} {a.body[-120:].decode(errors='replace')}")(s3.call('GET', b, query={'location': ''}))
    out['create existing bucket'] = s3.call('PUT', b).verdict()
    out['GET missing key'] = s3.get(b, 'missing').verdict()
    out['wrong secret'] = S3('http://' + s3.netloc, s3.access, 'wrong', s3.region).get(b, 'k').verdict()
    out['unknown access key'] = S3('http://' + s3.netloc, 'WHOISTHIS', s3.secret, s3.region).get(b, 'k').verdict()
    out['wrong region'] = S3('http://' + s3.netloc, s3.access, s3.secret, 'mars-1').get(b, 'k').verdict()
    late = S3('http://' + s3.netloc, s3.access, s3.secret, s3.region)
    late.clock_ahead = datetime.timedelta(minutes=-20)
    out['clock 20 minutes behind'] = late.get(b, 'k').verdict()
    out['GetBucketEncryption'] = s3.call('GET', b, query={'encryption': ''}).verdict()
    out['GetObjectLockConfiguration'] = s3.call('GET', b, query={'object-lock': ''}).verdict()
    out['GetBucketLifecycle'] = s3.call('GET', b, query={'lifecycle': ''}).verdict()
    out['GetObjectAcl'] = s3.call('GET', b, 'k', {'acl': ''}).verdict()
    out['SSE AES256'] = s3.put(b, 'sse', b'x', x_amz_server_side_encryption='AES256').verdict()
    out['PutObject 6 MiB'] = s3.put(b, 'six', b'x' * (6 * MIB)).verdict()
    return out


def attempt(work):
    try:
        return work()
    except Exception as error:  # a fact that cannot be measured is a finding, not an end
        traceback.print_exc(file=sys.stderr)
        return f'could not be measured: {type(error).__name__}: {error}'


def main() -> None:
    global prefix
    parser = argparse.ArgumentParser()
    for name in ('endpoint', 'access', 'secret'):
        parser.add_argument('--' + name, required=True)
    parser.add_argument('--region', default='us-east-1')
    parser.add_argument('--prefix', default=prefix, help='of the buckets made')
    parser.add_argument('--only', action='append', choices=sorted(FACTS))
    args = parser.parse_args()
    prefix = args.prefix
    s3 = S3(args.endpoint, args.access, args.secret, args.region)
    json.dump({name: attempt(lambda work=work: work(s3)) for name, work in FACTS.items() if not args.only or name in args.only}, sys.stdout, indent=1, ensure_ascii=False)
    print()


if __name__ == '__main__':
    main()
