/** Keys and query values on the wire: RFC 3986 unreserved characters stay, everything else becomes %XX, once (F036). */
import { keyToBytes } from '../../core/key.ts';
import type { Key } from '../../core/key.ts';

const UNRESERVED = /^[A-Za-z0-9\-._~]*$/;
const UNRESERVED_PATH = /^[A-Za-z0-9\-._~/]*$/;
const HEX = Array.from({ length: 256 }, (_, byte) => {
  const character = String.fromCharCode(byte);
  return UNRESERVED.test(character) ? character : `%${byte.toString(16).toUpperCase().padStart(2, '0')}`;
});

/** One query name or value, or one path segment: `/` is encoded too. */
export function encodeValue(text: string): string {
  return UNRESERVED.test(text) ? text : escapeBytes(keyToBytes(text));
}

/** A key as a path: `/` stays, and nothing is normalised (`//`, `..` and a leading `/` travel verbatim, F033, F035). */
export function encodePath(key: Key): string {
  return UNRESERVED_PATH.test(key) ? key : escapeBytes(keyToBytes(key)).replaceAll('%2F', '/');
}

/** Sorted and encoded, as SigV4 wants it and as it is sent. Undefined values are left out. */
export function encodeQuery(parameters: Readonly<Record<string, string | undefined>>): string {
  return Object.keys(parameters)
    .filter((name) => parameters[name] !== undefined)
    .map((name) => `${encodeValue(name)}=${encodeValue(parameters[name] as string)}`)
    .sort((a, b) => (a < b ? -1 : 1))
    .join('&');
}

function escapeBytes(bytes: Uint8Array): string {
  let out = '';
  for (const byte of bytes) out += HEX[byte] as string;
  return out;
}
