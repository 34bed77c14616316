/** Signs a changed request anew: only where a fault has to touch what the client signed. SigV4, header form. */
import { createHash, createHmac } from 'node:crypto';

export interface ProxyKey { readonly id: string; readonly secret: string; readonly sessionToken?: string; readonly region: string }

const hmac = (key: string | Buffer, text: string): Buffer => createHmac('sha256', key).update(text, 'latin1').digest();
const byText = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);

function canonicalQuery(search: string): string {
  const pairs = search.split('&').filter((p) => p !== '').map((p) => (p.includes('=') ? p : `${p}=`));
  return pairs.sort(byText).join('&');
}

/** The Authorization header for a request with these headers (lower-case names), which must hold x-amz-date and x-amz-content-sha256. */
export function authorization(key: ProxyKey, method: string, target: string, headers: ReadonlyMap<string, string>): string {
  const [path = '/', search = ''] = target.split('?');
  const names = [...headers.keys()].filter((name) => name === 'host' || name.startsWith('x-amz-')).sort(byText);
  const canonical = [method, path, canonicalQuery(search), ...names.map((n) => `${n}:${headers.get(n) ?? ''}`), '', names.join(';'), headers.get('x-amz-content-sha256') ?? ''].join('\n');
  const amzDate = headers.get('x-amz-date') ?? '';
  const scope = `${amzDate.slice(0, 8)}/${key.region}/s3/aws4_request`;
  const toSign = ['AWS4-HMAC-SHA256', amzDate, scope, createHash('sha256').update(canonical, 'latin1').digest('hex')].join('\n');
  const signing = hmac(hmac(hmac(hmac(`AWS4${key.secret}`, amzDate.slice(0, 8)), key.region), 's3'), 'aws4_request');
  return `AWS4-HMAC-SHA256 Credential=${key.id}/${scope},SignedHeaders=${names.join(';')},Signature=${hmac(signing, toSign).toString('hex')}`;
}
