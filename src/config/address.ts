/** What makes two locations the same store, whatever credentials, proxy or spelling leads there. */
import type { Location, S3Location } from './migration.ts';

const THIS_MACHINE = /^(?:localhost|127(?:\.\d{1,3}){3}|\[::1\])$/;

/** `aws`, `aws-cn`, or `host:port` of the server; one word per store of buckets. */
export function serverOf(location: S3Location): string {
  const { endpoint } = location.connection;
  if (endpoint === undefined) return location.connection.region?.startsWith('cn-') === true ? 'aws-cn' : 'aws';
  const url = new URL(endpoint);
  if (/(?:^|\.)amazonaws\.com\.cn$/.test(url.hostname)) return 'aws-cn';
  if (/(?:^|\.)amazonaws\.com$/.test(url.hostname)) return 'aws';
  const host = THIS_MACHINE.test(url.hostname) ? 'localhost' : url.hostname.replace(/\.$/, '');
  // 80 and 443 of one host are the same store with and without TLS.
  return url.port === '' ? host : `${host}:${url.port}`;
}

/** Identity for the ledger: place without any way of getting there. */
export function addressOf(location: Location): Readonly<Record<string, unknown>> {
  switch (location.kind) {
    case 's3': return { kind: 's3', server: serverOf(location), bucket: location.bucket, prefix: location.prefix, ...(location.maybeObject === undefined ? {} : { object: location.maybeObject }) };
    case 'file': return { kind: 'file', path: location.path };
    case 'synthetic': return { kind: 'synthetic', count: location.count, seed: location.seed, size: location.size };
    case 'memory': return { kind: 'memory', name: location.name };
  }
}

/** For people: `s3://bucket/prefix`, a path, `memory://name`. */
export function showLocation(location: Location): string {
  switch (location.kind) {
    case 's3': return `s3://${location.bucket}/${location.maybeObject ?? location.prefix}`;
    case 'file': return location.path;
    case 'synthetic': return `synthetic://?count=${location.count}&seed=${location.seed}&size=${location.size}`;
    case 'memory': return `memory://${location.name}`;
  }
}
