/** A small XML writer and a strict, bounded reader: no DTD, no entities but the five of XML, a depth limit. */
import { s3Error } from './errors.ts';

const named: Record<string, string> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;' };

/** Escapes text; control characters become numeric references, as S3 writes them (not legal in XML 1.0, hence encoding-type). */
export const escapeXml = (text: string): string => (special.test(text) ? escapeAll(text) : text);

const special = /[&<>"\u0000-\u0008\u000b-\u001f\u007f\ufffe\uffff]/;

const escapeAll = (text: string): string =>
  text.replace(/[&<>"\u0000-\u0008\u000b-\u001f\u007f\ufffe\uffff]/g, (c) => named[c] ?? `&#x${c.charCodeAt(0).toString(16)};`);

/** Markup that is already escaped. */
export interface Xml { readonly markup: string }

/** Characters of a piece: below what V8 keeps apart as a large object, of which each would wait for a full collection. */
const PIECE = 48 * 1024;

/** Markup of many elements, in pieces that are each one flat text: what they were put together from can go. */
export class Markup {
  /** Elements. */
  length = 0;
  readonly #pieces: string[] = [];
  #fresh: string[] = [];
  #characters = 0;

  /** Text that is already escaped. */
  add(element: string): void {
    this.length += 1;
    this.#fresh.push(element);
    this.#characters += element.length;
    if (this.#characters >= PIECE) this.#flatten();
  }

  /** The document that has these elements between others. */
  document(root: string, before: readonly XmlContent[], after: readonly XmlContent[]): readonly string[] {
    const [head, tail] = [documentHead(root) + render(before), `${render(after)}</${root}>`];
    if (this.#pieces.length === 0) return [head + this.#fresh.join('') + tail];
    this.#flatten();
    return [head, ...this.#pieces, tail];
  }

  #flatten(): void {
    this.#pieces.push(this.#fresh.join(''));
    [this.#fresh, this.#characters] = [[], 0];
  }
}

export type XmlContent = string | number | boolean | Xml | readonly XmlContent[] | undefined;

function render(content: XmlContent): string {
  if (content === undefined) return '';
  if (typeof content === 'object') return 'markup' in content ? content.markup : content.map(render).join('');
  return escapeXml(String(content));
}

/** `<name>content</name>`; a list of contents is written one after the other. */
export const el = (name: string, ...content: XmlContent[]): Xml => ({ markup: `<${name}>${render(content)}</${name}>` });

/** The element, or nothing when the content is undefined. */
export const optional = (name: string, content: XmlContent): XmlContent => (content === undefined ? undefined : el(name, content));

const namespace = 'http://s3.amazonaws.com/doc/2006-03-01/';

const documentHead = (root: string): string => `<?xml version="1.0" encoding="UTF-8"?>\n<${root} xmlns="${namespace}">`;

/** A whole document with the S3 namespace on its root. */
export const xmlDocument = (root: string, ...content: XmlContent[]): string => `${documentHead(root)}${render(content)}</${root}>`;

/** S3 writes error documents without a namespace. */
export const errorDocument = (...content: XmlContent[]): string =>
  `<?xml version="1.0" encoding="UTF-8"?>\n<Error>${render(content)}</Error>`;

export interface XmlNode { readonly name: string; readonly children: XmlNode[]; text: string }

const entities: Record<string, string> = { amp: '&', lt: '<', gt: '>', quot: '"', apos: "'" };
const malformed = (): Error => s3Error('MalformedXML');

function decodeEntity(body: string): string {
  const found = entities[body];
  if (found !== undefined) return found;
  const number = /^#(?:x([0-9a-fA-F]{1,6})|([0-9]{1,7}))$/.exec(body);
  const code = number === null ? NaN : number[1] === undefined ? Number(number[2]) : parseInt(number[1], 16);
  if (!(code <= 0x10ffff)) throw malformed();
  return String.fromCodePoint(code);
}

const decodeText = (raw: string): string => {
  if (/&(?![#a-zA-Z0-9]{1,9};)/.test(raw)) throw malformed();
  return raw.replace(/&([^;]{1,9});/g, (_, body: string) => decodeEntity(body));
};

const token = /<\?[^>]*\?>|<!--[\s\S]*?-->|<\/([\w:.-]+)\s*>|<([\w:.-]+)((?:\s+[\w:.-]+\s*=\s*(?:"[^"<]*"|'[^'<]*'))*)\s*(\/?)>|([^<]+)|</g;
const maxDepth = 16;

interface Reading { readonly stack: XmlNode[]; root: XmlNode | undefined }

function open(state: Reading, name: string, closed: boolean): void {
  const node: XmlNode = { name: name.slice(name.indexOf(':') + 1), children: [], text: '' };
  const parent = state.stack.at(-1);
  if (parent === undefined && state.root !== undefined) throw malformed();
  if (parent === undefined) state.root = node;
  else parent.children.push(node);
  if (!closed) state.stack.push(node);
  if (state.stack.length > maxDepth) throw malformed();
}

function close(state: Reading, name: string): void {
  if (state.stack.pop()?.name !== name.slice(name.indexOf(':') + 1)) throw malformed();
}

function addText(state: Reading, raw: string): void {
  const node = state.stack.at(-1);
  if (node !== undefined) node.text += decodeText(raw);
  else if (raw.trim() !== '') throw malformed();
}

/** Reads a document whose root is `root`, in any namespace. Throws MalformedXML. */
export function parseXml(text: string, root: string): XmlNode {
  const state: Reading = { stack: [], root: undefined };
  for (const match of text.replace(/^\ufeff/, '').matchAll(token)) {
    const [whole, closing, opening, , selfClosed, chars] = match;
    if (closing !== undefined) close(state, closing);
    else if (opening !== undefined) open(state, opening, selfClosed === '/');
    else if (chars !== undefined) addText(state, chars);
    else if (whole === '<') throw malformed();
  }
  if (state.root?.name !== root || state.stack.length > 0) throw malformed();
  return state.root;
}

export const childText = (node: XmlNode, name: string): string | undefined => node.children.find((c) => c.name === name)?.text;
export const childrenNamed = (node: XmlNode, name: string): XmlNode[] => node.children.filter((c) => c.name === name);
