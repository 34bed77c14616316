"""A plain S3 client that sends exactly what it is told: no path normalising, no retries, no added headers."""
import base64
import datetime
import hashlib
import hmac
import http.client
import urllib.parse
import zlib
from xml.etree import ElementTree

from awscrt import checksums

ALGORITHMS = ('crc32', 'crc32c', 'crc64nvme', 'sha1', 'sha256')


def checksum(algorithm: str, data: bytes) -> str:
    """Base64 as in the x-amz-checksum-* headers."""
    if algorithm in ('sha1', 'sha256'):
        return base64.b64encode(hashlib.new(algorithm, data).digest()).decode()
    value, size = {'crc32': (zlib.crc32, 4), 'crc32c': (checksums.crc32c, 4), 'crc64nvme': (checksums.crc64nvme, 8)}[algorithm]
    return base64.b64encode(value(data).to_bytes(size, 'big')).decode()


class Answer:
    def __init__(self, status: int, headers: dict, body: bytes):
        self.status = status
        self.headers = headers
        self.body = body

    @property
    def ok(self) -> bool:
        return 200 <= self.status < 300 and b'<Error' not in self.body[:300]

    @property
    def xml(self):
        root = ElementTree.fromstring(self.body)
        for node in root.iter():
            node.tag = node.tag.split('}')[-1]
        return root

    def text(self, name: str) -> str:
        found = self.xml.find('.//' + name)
        return '' if found is None else (found.text or '')

    @property
    def etag(self) -> str:
        return self.headers.get('etag', '').strip('"')

    def verdict(self) -> str:
        """Status, and the S3 error code if there is one."""
        if self.status == 200 and b'<Error' not in self.body[:300]:
            return '200'
        try:
            code = self.text('Code')
        except ElementTree.ParseError:
            code = ''
        return f'{self.status} {code}'.strip()


class S3:
    def __init__(self, endpoint: str, access: str, secret: str, region: str):
        self.netloc = urllib.parse.urlsplit(endpoint).netloc
        self.access, self.secret, self.region = access, secret, region
        self.clock_ahead = datetime.timedelta()

    def call(self, method: str, bucket: str, key: str = '', query: dict | None = None, headers: dict | None = None,
             body: bytes = b'', payload_hash: str | None = None) -> Answer:
        path = '/' + bucket + ('/' + urllib.parse.quote(key, safe='/-_.~') if key else '')
        pairs = sorted((urllib.parse.quote(k, safe='-_.~'), urllib.parse.quote(str(v), safe='-_.~')) for k, v in (query or {}).items())
        search = '&'.join(f'{k}={v}' for k, v in pairs)
        signed = self._signed(method, path, search, headers or {}, payload_hash or hashlib.sha256(body).hexdigest())
        connection = http.client.HTTPConnection(self.netloc, timeout=60)
        try:
            connection.putrequest(method, path + ('?' + search if search else ''), skip_host=True, skip_accept_encoding=True)
            for name, value in signed.items():
                connection.putheader(name, value.encode() if isinstance(value, str) else value)
            if 'content-length' not in signed:
                connection.putheader('content-length', str(len(body)))
            connection.endheaders(body)
            response = connection.getresponse()
            return Answer(response.status, {k.lower(): v for k, v in response.getheaders()}, response.read())
        finally:
            connection.close()

    def _signed(self, method: str, path: str, search: str, headers: dict, payload_hash: str) -> dict:
        now = (datetime.datetime.now(datetime.timezone.utc) + self.clock_ahead).strftime('%Y%m%dT%H%M%SZ')
        every = {k.lower(): v for k, v in headers.items()}
        every |= {'host': self.netloc, 'x-amz-date': now, 'x-amz-content-sha256': payload_hash}
        names = sorted(every)
        canonical = '\n'.join([method, path, search, *(n + ':' + ' '.join(every[n].split()) for n in names), '', ';'.join(names), payload_hash])
        scope = f'{now[:8]}/{self.region}/s3/aws4_request'
        key = ('AWS4' + self.secret).encode()
        for word in scope.split('/'):
            key = hmac.new(key, word.encode(), hashlib.sha256).digest()
        to_sign = f'AWS4-HMAC-SHA256\n{now}\n{scope}\n{hashlib.sha256(canonical.encode()).hexdigest()}'
        signature = hmac.new(key, to_sign.encode(), hashlib.sha256).hexdigest()
        every['authorization'] = f'AWS4-HMAC-SHA256 Credential={self.access}/{scope}, SignedHeaders={";".join(names)}, Signature={signature}'
        return every

    def bucket(self, name: str) -> str:
        answer = self.call('PUT', name)
        if answer.status != 200:
            raise RuntimeError(f'create bucket {name}: {answer.verdict()} {answer.body[:300]!r}')
        return name

    def put(self, bucket: str, key: str, body: bytes = b'old', **headers) -> Answer:
        return self.call('PUT', bucket, key, headers={k.replace('_', '-'): v for k, v in headers.items()}, body=body)

    def get(self, bucket: str, key: str, **headers) -> Answer:
        return self.call('GET', bucket, key, headers={k.replace('_', '-'): v for k, v in headers.items()})

    def head(self, bucket: str, key: str, **headers) -> Answer:
        return self.call('HEAD', bucket, key, headers={k.replace('_', '-'): v for k, v in headers.items()})

    def keys(self, bucket: str, **query) -> list[str]:
        """One listing page with encoding-type=url, decoded."""
        answer = self.call('GET', bucket, query={'list-type': 2, 'encoding-type': 'url', **{k.replace('_', '-'): v for k, v in query.items()}})
        encoded = answer.text('EncodingType') == 'url'
        names = [node.text or '' for node in answer.xml.findall('.//Contents/Key')]
        return [urllib.parse.unquote_plus(name) if encoded else name for name in names]

    def create_upload(self, bucket: str, key: str, **headers) -> str:
        answer = self.call('POST', bucket, key, {'uploads': ''}, {k.replace('_', '-'): v for k, v in headers.items()})
        if answer.status != 200:
            raise RuntimeError(f'CreateMultipartUpload: {answer.verdict()}')
        return answer.text('UploadId')

    def part(self, bucket: str, key: str, upload: str, number: int, body: bytes, **headers) -> Answer:
        return self.call('PUT', bucket, key, {'uploadId': upload, 'partNumber': number}, {k.replace('_', '-'): v for k, v in headers.items()}, body)

    def complete(self, bucket: str, key: str, upload: str, parts: list[tuple[int, str]], extra: dict | None = None, **headers) -> Answer:
        """extra: part number -> XML to add to that part, e.g. its checksum."""
        inner = ''.join(f'<Part><PartNumber>{n}</PartNumber><ETag>"{e}"</ETag>{(extra or {}).get(n, "")}</Part>' for n, e in parts)
        body = f'<CompleteMultipartUpload xmlns="http://s3.amazonaws.com/doc/2006-03-01/">{inner}</CompleteMultipartUpload>'.encode()
        return self.call('POST', bucket, key, {'uploadId': upload}, {k.replace('_', '-'): v for k, v in headers.items()}, body)
