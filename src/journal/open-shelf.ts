/** A shelf in a store, in the frames and by the conditional writes of a journal: see ports/shelf.ts for what each call promises. */
import { isKind } from '../core/errors.ts';
import type { Json } from '../ports/journal.ts';
import type { Shelf } from '../ports/shelf.ts';
import type { Store } from '../ports/storage.ts';
import { headOf, joinContent } from './content.ts';
import { encodeSegment, isDamage } from './frame.ts';
import { listed, putOnce, putOver, readSegment, unbelievable } from './shelf.ts';

export function openShelf(store: Store): Shelf {
  const encode = (name: string, document: Json): Buffer => encodeSegment(name, { kind: 'Q', content: joinContent(document) });
  return {
    describe: store.address,
    put: async (name, document, signal) => await putOnce(store, name, encode(name, document), signal) === undefined,
    replace: (name, document, signal) => putOver(store, name, encode(name, document), signal),
    read: async (name, signal) => {
      const segment = await readSegment(store, name, signal);
      if (segment === undefined) return undefined;
      if (isDamage(segment)) throw unbelievable(segment);
      return headOf<Json>(segment.content);
    },
    names: async function* (prefix, after, signal) {
      for await (const { key } of listed(store, prefix, after, signal)) yield key;
    },
    remove: async (name, signal) => {
      try {
        await store.remove(name, signal);
      } catch (thrown) {
        if (!isKind(thrown, 'gone')) throw thrown;
      }
    },
  };
}
