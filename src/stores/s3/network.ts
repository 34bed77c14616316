/** What went wrong below HTTP, as facts. Nothing here ever means "not found" (F029). */
import { BrigadeError, cancelled, oneLine } from '../../core/errors.ts';
import type { ErrorKind } from '../../core/errors.ts';

interface Rule {
  readonly code: string;
  readonly kind: ErrorKind;
  readonly message: string;
  readonly hint?: string;
}

const network = (message: string): Rule => ({ code: 'E_NETWORK', kind: 'transient', message });
const dns: Rule = { code: 'E_DNS', kind: 'transient', message: 'the host name does not resolve', hint: 'check the endpoint, or wait for the name service' };
const tls = (message: string, hint = 'trust its certificate with ca_file, or correct the endpoint'): Rule => ({ code: 'E_TLS', kind: 'premise', message, hint });
const protocol = (message: string): Rule => ({ code: 'E_PROTOCOL', kind: 'transient', message });

const RULES: Readonly<Record<string, Rule>> = {
  ECONNREFUSED: network('connection refused'),
  ECONNRESET: network('connection reset'),
  ECONNABORTED: network('connection aborted'),
  EPIPE: network('connection closed while sending'),
  ETIMEDOUT: network('connection timed out'),
  EHOSTUNREACH: network('host unreachable'),
  EHOSTDOWN: network('host down'),
  ENETUNREACH: network('network unreachable'),
  ENETDOWN: network('network down'),
  EADDRNOTAVAIL: network('no local port or address free'),
  EMFILE: network('too many open files in this process'),
  ENFILE: network('too many open files on this machine'),
  UND_ERR_CONNECT_TIMEOUT: network('no connection in time'),
  UND_ERR_HEADERS_TIMEOUT: network('no answer in time'),
  UND_ERR_BODY_TIMEOUT: { code: 'E_STALLED', kind: 'transient', message: 'no byte for too long' },
  UND_ERR_SOCKET: network('connection closed by the other side'),
  UND_ERR_RES_CONTENT_LENGTH_MISMATCH: { code: 'E_SHORT_READ', kind: 'transient', message: 'the body ended before its declared length' },
  UND_ERR_REQ_CONTENT_LENGTH_MISMATCH: { code: 'E_BODY_SIZE', kind: 'transient', message: 'the body did not have its declared size' },
  UND_ERR_HEADERS_OVERFLOW: protocol('the answer has more than 16 KiB of headers'),
  UND_ERR_PRX_TLS: tls('the proxy showed a certificate for another name'),
  UND_ERR_PRX_CONN: network('the proxy refused the connection'),
  ENOTFOUND: dns,
  EAI_AGAIN: dns,
  EAI_NODATA: dns,
  DEPTH_ZERO_SELF_SIGNED_CERT: tls('the certificate is self-signed'),
  SELF_SIGNED_CERT_IN_CHAIN: tls('the certificate chain ends in an unknown authority'),
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: tls('the certificate is signed by an unknown authority'),
  UNABLE_TO_GET_ISSUER_CERT: tls('the certificate is signed by an unknown authority'),
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: tls('the certificate is signed by an unknown authority'),
  CERT_HAS_EXPIRED: tls('the certificate has expired', 'have it renewed, or correct this machine\'s clock'),
  CERT_NOT_YET_VALID: tls('the certificate is not valid yet', 'correct this machine\'s clock'),
  CERT_REVOKED: tls('the certificate is revoked'),
  CERT_UNTRUSTED: tls('the certificate is not trusted'),
  CERT_REJECTED: tls('the certificate is rejected'),
  ERR_TLS_CERT_ALTNAME_INVALID: tls('the certificate is for another name', 'correct the endpoint, or use path_style: true where the bucket name has dots'),
  ERR_SSL_WRONG_VERSION_NUMBER: tls('the endpoint does not speak TLS on this port', 'use http:// for it'),
  EPROTO: tls('the TLS handshake failed'),
};

/** Anything that a transport threw, as a BrigadeError. Our own errors pass through (a body that failed while being sent). */
export function networkError(thrown: unknown, location?: string): BrigadeError {
  if (thrown instanceof BrigadeError) return thrown;
  if (isAbort(thrown)) return cancelled();
  const code = codeOf(thrown);
  const rule = RULES[code] ?? fallback(code);
  const { hint, ...facts } = rule;
  return new BrigadeError({ ...facts, ...(hint === undefined ? {} : { hint }), ...(location === undefined ? {} : { location }), message: `${rule.message}${detail(thrown, code)}`, cause: thrown });
}

/** A connection that breaks after the head of the answer has cut the body (F001). */
export function cutShort(cause: BrigadeError, location: string): BrigadeError {
  return new BrigadeError({ code: 'E_SHORT_READ', kind: 'transient', message: `the body was cut: ${cause.message}`, location, cause });
}

function fallback(code: string): Rule {
  if (code.startsWith('HPE_')) return protocol('the answer is not HTTP/1.1');
  if (code.startsWith('ERR_SSL') || code.startsWith('ERR_TLS') || code.startsWith('CERT_')) return tls('the TLS handshake failed');
  return network('the request failed');
}

/** An AggregateError of several addresses has no code of its own at times: then its first member's. */
function codeOf(thrown: unknown): string {
  const { code, cause, errors, name } = (thrown ?? {}) as { code?: unknown; cause?: unknown; errors?: readonly unknown[]; name?: unknown };
  if (name === 'HTTPParserError') return 'HPE_INVALID'; // undici leaves the code out at times
  if (typeof code === 'string') return code;
  if (errors?.[0] !== undefined) return codeOf(errors[0]);
  return cause === undefined ? '' : codeOf(cause);
}

function detail(thrown: unknown, code: string): string {
  const text = code === '' && thrown instanceof Error ? thrown.message : code;
  return text === '' ? '' : ` (${oneLine(text, 120)})`;
}

function isAbort(thrown: unknown): boolean {
  const { name, code } = (thrown ?? {}) as { name?: unknown; code?: unknown };
  return name === 'AbortError' || code === 'ABORT_ERR' || code === 'UND_ERR_ABORTED';
}
