import { inspect } from 'node:util';

/** What every careless way of printing shows instead of the value (I10). */
export const HIDDEN = '***';

/**
 * A value that must never be seen: it prints `***` in templates, JSON, logs and the inspector. The only way to the text is `reveal()`,
 * so that each use can be found by its name.
 */
export class Secret {
  readonly #value: string;

  constructor(value: string) {
    this.#value = value;
  }

  reveal(): string {
    return this.#value;
  }

  toString(): string {
    return HIDDEN;
  }

  toJSON(): string {
    return HIDDEN;
  }

  [Symbol.toPrimitive](): string {
    return HIDDEN;
  }

  [inspect.custom](): string {
    return HIDDEN;
  }
}

// AWS access key ids have a known four-letter head (IAM User Guide, "Understanding unique ID prefixes").
const ACCESS_KEY_ID = /(?:AKIA|ASIA|ABIA|ACCA|AGPA|AIDA|AROA)[A-Z0-9]{12,}/;
const SECRET_SHAPED = /(?:^|[^A-Za-z0-9/+])(?=[A-Za-z0-9/+]*[a-z])(?=[A-Za-z0-9/+]*[A-Z])(?=[A-Za-z0-9/+]*[0-9+/])[A-Za-z0-9/+]{40}={0,2}(?![A-Za-z0-9/+=])/;
const PRIVATE_KEY = /-----BEGIN [A-Z ]*PRIVATE KEY-----/;

/** Whether a text has the shape of an access key, a 40-character secret key or a private key: then it is not repeated in messages. */
export function looksSecret(text: string): boolean {
  return ACCESS_KEY_ID.test(text) || SECRET_SHAPED.test(text) || PRIVATE_KEY.test(text);
}
