/**
 * A shelf: small documents by name in a store that has conditional writes, each proven by a checksum that is bound to its name. What is written once
 * stays as it is: of all who put something under a name exactly one has it. Names are ASCII, parts of them between slashes; their order is that of bytes.
 *
 * Errors are the store's: transient, throttled, premise; besides premise E_JOURNAL_DAMAGED for what stands there and cannot be believed.
 */
import type { Json } from './journal.ts';

export interface Shelf {
  /** For messages: where it is. No secrets. */
  readonly describe: string;
  /** Under a name that is free: true, and so it is when an earlier try of the same stands there. False: somebody else has the name. */
  put(name: string, document: Json, signal?: AbortSignal): Promise<boolean>;
  /** Over whatever stands there: for what one writer says again and again. */
  replace(name: string, document: Json, signal?: AbortSignal): Promise<void>;
  /** Undefined: there is nothing. */
  read(name: string, signal?: AbortSignal): Promise<Json | undefined>;
  /** In their order; `after`: only those behind this name. Who breaks off asks for no further page. */
  names(prefix: string, after?: string, signal?: AbortSignal): AsyncIterable<string>;
  /** What is not there is removed, too. */
  remove(name: string, signal?: AbortSignal): Promise<void>;
}
