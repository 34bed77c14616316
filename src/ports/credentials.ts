/** Who signs: credentials as a reference that is resolved late, refreshed in one place and never printed (truth 13). */
import type { Secret } from '../core/secret.ts';

export interface Credentials {
  readonly accessKeyId: string;
  /** Revealed by the signer alone, once per day and region. */
  readonly secretAccessKey: Secret;
  /** For temporary credentials (STS). */
  readonly sessionToken?: Secret;
  /** When they stop working, milliseconds since 1970; absent: never, as far as we know. */
  readonly expiresAtMs?: number;
}

export interface CredentialSource {
  /**
   * The credentials to sign with now; `undefined` means anonymous requests. Cheap when nothing expired: it is asked once per request.
   * The same object is returned until the credentials change (signers cache by it). Throws premise E_CREDENTIALS.
   */
  resolve(signal?: AbortSignal): Promise<Credentials | undefined>;
  /** What resolve() would give, where it is at hand and need not be renewed; undefined: ask resolve(). */
  current?(): Credentials | undefined;
  /** These were refused as expired: the next resolve() must fetch new ones. Other credentials are left alone, so that many callers refresh once. */
  invalidate(used: Credentials): void;
  /** For messages: `env:AWS_ACCESS_KEY_ID`, `profile:backup`. No secrets. */
  readonly describe: string;
}
