/** An error as the document that S3 clients read. */
import type { S3Error } from './errors.ts';
import { el, errorDocument } from './xml.ts';

/** `id` may be empty, where there was no request to give one to. */
export function errorXml(error: S3Error, id: string, resource: string): string {
  const details = Object.entries(error.details).map(([name, value]) => el(name, value));
  const named = id === '' ? [] : [el('Resource', resource), el('RequestId', id), el('HostId', id)];
  return errorDocument(el('Code', error.code), el('Message', error.message), details, named);
}
