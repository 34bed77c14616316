/** Requests that want out of the root: traversal in every spelling, bytes that end or split names, links in the way. The same for the same seed. */

export interface HostileRequest {
  readonly method: 'GET' | 'HEAD' | 'PUT' | 'DELETE' | 'POST';
  /** As it goes on the wire. */
  readonly path: string;
  readonly query?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
}

const up = ['..', '%2e%2e', '%2E%2E', '.%2e', '%2e.', '%252e%252e', '%25252e%25252e', '%c0%ae%c0%ae', '%e0%80%ae%e0%80%ae', '%ef%bc%8e%ef%bc%8e', '..;', '...', '....', '..%00', '%00..', '..%0a', '..%20', '%u002e%u002e', '.%00.'];
const slash = ['/', '/', '/', '/', '//', '%2f', '%2F', '%252f', '%5c', '\\', '%c0%af', '/./', '%e2%88%95'];
const names = ['canary', 'secret', 'secret/canary', 'state', 'state/files.db', 'etc/passwd', 'proc/self/environ', 'proc/self/root/etc/passwd', 'proc/self/cwd', 'dev/stdin', 'a', 'new', '.brigade', '.brigade/canaries', '.',
  '', '%00', 'a%00b', '~', '~root', 'C:', 'con', 'nul.txt', 'a::$DATA', '-rf', '%2d', '%0d%0a', 'x'.repeat(255), 'x'.repeat(256), '%c3%a9', '%ff', '%f0%9f%98%80', '.a.0123456789abcdef.brigade.part'];
const links = ['out', 'out/canary', 'out/new', 'filelink', 'up', 'up/canary', 'up/secret/canary', 'loop', 'loop/x', 'dangling', 'deep/out/canary', 'abs', 'abs/passwd', 'fifo', 'swap', 'swap/canary', 'swap/new', 'swap/sub/new', 'swapfile', 'inner/canary'];
const buckets = ['bucket', 'bucket', 'bucket', 'bucket', 'bucket', 'swapbucket', 'linkbucket', '..', '%2e%2e', '.', '.brigade', '%2f', 'bucket%2f..%2f..', 'bucket%00', '%00', '...'];

export type Random = () => number;
const pick = <T>(random: Random, list: readonly T[]): T => list[Math.floor(random() * list.length)] as T;

function hostileKey(random: Random, outside: string): string {
  const kind = random();
  if (kind < 0.25) return pick(random, links);
  if (kind < 0.3) return outside.split('/').map(encodeURIComponent).join(pick(random, ['/', '%2f']));
  const depth = 1 + Math.floor(random() * 6);
  let key = random() < 0.3 ? pick(random, ['a', 'deep', 'out', 'swap', 'inner', '']) + pick(random, slash) : '';
  for (let level = 0; level < depth; level++) key += pick(random, up) + pick(random, slash);
  return key + pick(random, random() < 0.8 ? names : links);
}

const escapeXml = (text: string): string => text.replace(/[&<>"]/g, (c) => `&#${c.charCodeAt(0)};`);
/** What a server that decodes once makes of it; what cannot be decoded stays. */
const decoded = (text: string): string => {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
};

/** One request of many kinds. `outside`: the path of a directory beside the root. */
export function hostileRequest(random: Random, outside: string): HostileRequest {
  const key = hostileKey(random, outside);
  const bucket = pick(random, buckets);
  const path = `/${bucket}/${key}`;
  const kind = random();
  if (kind < 0.3) return { method: 'GET', path };
  if (kind < 0.35) return { method: 'HEAD', path };
  if (kind < 0.6) return { method: 'PUT', path, body: 'planted' };
  if (kind < 0.7) return { method: 'DELETE', path };
  if (kind < 0.76) return { method: 'PUT', path: `/bucket/copy-${Math.floor(random() * 20)}`, headers: { 'x-amz-copy-source': `/${bucket}/${key}` } };
  if (kind < 0.8) return { method: 'PUT', path, headers: { 'x-amz-copy-source': '/bucket/a' } };
  if (kind < 0.84) return { method: 'POST', path, query: 'uploads=' };
  if (kind < 0.9) return { method: 'GET', path: `/${bucket}`, query: `${random() < 0.5 ? 'delimiter=%2F&' : ''}list-type=2&prefix=${encodeURIComponent(decoded(key))}` };
  if (kind < 0.94) return { method: 'GET', path: `/${bucket}`, query: `list-type=2&start-after=${encodeURIComponent(decoded(key))}` };
  if (kind < 0.98) return { method: 'POST', path: '/bucket', query: 'delete=', body: `<Delete><Object><Key>${escapeXml(decoded(key))}</Key></Object></Delete>` };
  return { method: random() < 0.5 ? 'PUT' : 'DELETE', path: `/${bucket}` };
}
