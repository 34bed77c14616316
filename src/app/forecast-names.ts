/** Names that are carried as they are, and that other tools, shells or file systems stumble over. */
import { isUtf8Key, type Key, keyLength } from '../core/key.ts';

interface Rule {
  readonly code: string;
  readonly message: string;
  readonly applies: (key: Key) => boolean;
}

const LONG_BYTES = 900;

const RULES: readonly Rule[] = [
  { code: 'control_characters', message: 'control characters in the name', applies: (key) => /[\u0000-\u001f\u007f-\u009f\ufffe\uffff]/.test(key) },
  { code: 'not_utf8', message: 'the name is not UTF-8', applies: (key) => !isUtf8Key(key) },
  { code: 'leading_slash', message: 'the name begins with a slash', applies: (key) => key.startsWith('/') },
  { code: 'double_slash', message: 'two slashes in a row', applies: (key) => key.includes('//') },
  { code: 'trailing_slash', message: 'the name of an object ends with a slash', applies: (key) => key.endsWith('/') },
  { code: 'dot_segment', message: '`.` or `..` between slashes', applies: (key) => /(?:^|\/)\.\.?(?:\/|$)/.test(key) },
  { code: 'backslash', message: 'a backslash in the name', applies: (key) => key.includes('\\') },
  { code: 'edge_space', message: 'a space at the edge of a segment', applies: (key) => /(?:^|\/) | (?:\/|$)/.test(key) },
  { code: 'not_nfc', message: 'not in Unicode form NFC: looks like another name', applies: (key) => /[^\u0000-\u007f]/.test(key) && key !== key.normalize('NFC') },
  { code: 'long_name', message: `more than ${LONG_BYTES} bytes`, applies: (key) => key.length > LONG_BYTES / 4 && keyLength(key) > LONG_BYTES },
];

/** Nearly all keys: letters, digits and harmless signs, no empty or dotted segment, not long. */
const PLAIN = /^(?:[!-.0-[\]-~]+)(?:\/[!-.0-[\]-~]+)*$/;

export function awkwardIn(key: Key): readonly { readonly code: string; readonly message: string }[] {
  if (key.length <= LONG_BYTES / 4 && PLAIN.test(key) && !key.startsWith('.') && !key.includes('/.')) return [];
  return RULES.filter(({ applies }) => applies(key));
}
