/** The little XML that S3 speaks: elements and text, entities, no DTD. Values stay strings: `007`, `true` and ` x ` are keys (F039). */

export interface Element {
  readonly name: string;
  /** Everything between the tags, undecoded. */
  readonly inner: string;
}

/** The first element of a document, or undefined when it is not well-formed up to its closing tag. */
export function rootOf(text: string): Element | undefined {
  return elementAt(text, skipProlog(text));
}

/** Direct children, in order. What is not well-formed ends the walk: callers demand the elements they need. */
export function* children(inner: string): Generator<Element> {
  let at = inner.indexOf('<');
  while (at >= 0) {
    const element = elementAt(inner, at);
    if (element === undefined) return;
    yield element;
    at = inner.indexOf('<', endOf(inner, at, element));
  }
}

/** Text of the first direct child with this name. */
export function childText(inner: string, name: string): string | undefined {
  const raw = childInner(inner, name);
  return raw === undefined ? undefined : decodeText(raw);
}

/** What stands in the first direct child with this name, undecoded. */
export function childInner(inner: string, name: string): string | undefined {
  for (const child of children(inner)) if (child.name === name) return child.inner;
  return undefined;
}

const ENTITIES: Readonly<Record<string, string>> = { amp: '&', lt: '<', gt: '>', quot: '"', apos: '\'' };

/** Entities, character references and CDATA become text. An unknown entity stays as it is. */
export function decodeText(raw: string): string {
  if (raw.startsWith('<![CDATA[')) return raw.slice(9, raw.lastIndexOf(']]>'));
  if (!raw.includes('&')) return raw;
  return raw.replace(/&(?:#x([0-9a-fA-F]{1,6})|#([0-9]{1,7})|([a-z]+));/g, (whole, hex?: string, decimal?: string, name?: string) => {
    if (name !== undefined) return ENTITIES[name] ?? whole;
    const code = hex === undefined ? Number(decimal) : parseInt(hex, 16);
    return code <= 0x10ffff ? String.fromCodePoint(code) : whole;
  });
}

/** Text fit for element content; control characters as references, so that any key survives. */
export function escapeText(text: string): string {
  return text.replace(/[&<>"\u0000-\u001f\u007f]/g, (c) => `&#${c.charCodeAt(0)};`);
}

function skipProlog(text: string): number {
  let at = text.charCodeAt(0) === 0xfeff ? 1 : text.startsWith('\u00ef\u00bb\u00bf') ? 3 : 0;
  for (;;) {
    while (text.charCodeAt(at) <= 32) at++;
    if (!text.startsWith('<?', at) && !text.startsWith('<!--', at)) return at;
    const end = text.indexOf(text[at + 1] === '?' ? '?>' : '-->', at);
    if (end < 0) return text.length;
    at = text.indexOf('>', end) + 1;
  }
}

function elementAt(text: string, at: number): Element | undefined {
  if (text.charCodeAt(at) !== 60) return undefined;
  const open = text.indexOf('>', at);
  if (open < 0) return undefined;
  const selfClosing = text.charCodeAt(open - 1) === 47;
  const name = nameOf(text, at + 1, selfClosing ? open - 1 : open);
  if (name === '' || name.startsWith('/') || name.startsWith('!')) return undefined;
  if (selfClosing) return { name, inner: '' };
  const close = closingTag(text, name, open + 1);
  return close < 0 ? undefined : { name, inner: text.slice(open + 1, close) };
}

/** Elements of S3 never nest inside one of the same name, so the first closing tag is ours. */
function closingTag(text: string, name: string, from: number): number {
  return text.indexOf(`</${name}>`, from);
}

function nameOf(text: string, from: number, to: number): string {
  const name = text.slice(from, to);
  const space = name.search(/\s/);
  return space < 0 ? name : name.slice(0, space);
}

function endOf(text: string, at: number, element: Element): number {
  const open = text.indexOf('>', at) + 1;
  return text.charCodeAt(open - 2) === 47 ? open : open + element.inner.length + element.name.length + 3;
}
