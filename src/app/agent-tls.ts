/** The certificate files of an agent. */
import { X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createSecureContext } from 'node:tls';
import type { Tls } from '../agent/endpoint.ts';
import { usageError } from '../core/errors.ts';

export interface TlsFiles {
  readonly cert: string | undefined;
  readonly key: string | undefined;
  readonly clientCa: string | undefined;
}

function readPem(option: string, path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch (thrown) {
    throw usageError('E_TLS_FILE', `the file cannot be read (${(thrown as NodeJS.ErrnoException).code ?? 'error'})`, 'check the path and its owner', `${option} ${path}`);
  }
}

/** Says which of the files is at fault; what OpenSSL says of it is of no use to most. */
function checkTogether({ cert, key, clientCa }: Tls, files: TlsFiles): void {
  const attempts: readonly (readonly [option: string, what: string, attempt: () => unknown])[] = [
    [`--tls-cert ${files.cert}`, 'there is no certificate in PEM form', () => createSecureContext({ cert })],
    [`--tls-key ${files.key}`, 'there is no private key in PEM form, or it has a passphrase', () => createSecureContext({ key })],
    [`--tls-key ${files.key}`, 'the key does not belong to the certificate', () => createSecureContext({ cert, key })],
    [`--client-ca ${files.clientCa}`, 'there is no certificate in PEM form', () => clientCa === undefined || new X509Certificate(clientCa)],
  ];
  for (const [option, what, attempt] of attempts) {
    try {
      attempt();
    } catch {
      // OpenSSL's own words name neither the file nor what to do.
      throw usageError('E_TLS_FILE', what, 'name PEM files that belong together', option);
    }
  }
}

/** Reads and checks the files; undefined when there are none. @throws BrigadeError E_USAGE, E_TLS_FILE */
export function readTls(files: TlsFiles): Tls | undefined {
  const { cert, key, clientCa } = files;
  if (cert === undefined && key === undefined) {
    if (clientCa !== undefined) throw usageError('E_USAGE', '--client-ca asks clients for certificates, which only TLS carries', 'add --tls-cert and --tls-key', '--client-ca');
    return undefined;
  }
  if (cert === undefined || key === undefined) throw usageError('E_USAGE', '--tls-cert and --tls-key belong together', `add ${cert === undefined ? '--tls-cert' : '--tls-key'}`, 'agent');
  const tls: Tls = { cert: readPem('--tls-cert', cert), key: readPem('--tls-key', key), ...(clientCa === undefined ? {} : { clientCa: readPem('--client-ca', clientCa) }) };
  checkTogether(tls, files);
  return tls;
}
