/** Name and version of this program, as its package says. */
import { readFileSync } from 'node:fs';

interface Product {
  readonly name: string;
  readonly version: string;
}

export function product(): Product {
  return JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')) as Product;
}

export function productVersion(): string {
  return product().version;
}
