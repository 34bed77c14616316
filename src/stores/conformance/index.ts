/**
 * The conformance suite of the storage port. A driver's test file is one call:
 *
 *     describeStore({ name: 'memory', create: async () => ({ store: createMemoryStore(), cleanup: async () => {} }) });
 *
 * The store's declared facts drive it: an ability that the store says it lacks is asserted as lacking, never left out in silence.
 */
import { randomBytes } from 'node:crypto';
import { describe, test } from 'node:test';
import { attributeChecks } from './attributes.ts';
import { errorChecks } from './errors.ts';
import { guardChecks } from './guards.ts';
import { keyChecks } from './keys.ts';
import { listingChecks } from './listing.ts';
import { multipartChecks } from './multipart.ts';
import { readingChecks } from './reading.ts';
import { readOnlyChecks } from './read-only.ts';
import { serverCopyChecks } from './server-copy.ts';
import { Bench, type Check, type Checks, type Subject } from './subject.ts';
import { writingChecks } from './writing.ts';

export type { ConformanceOptions, Flaw, OpenedStore, Subject } from './subject.ts';

const WRITABLE: Readonly<Record<string, Checks>> = {
  listing: listingChecks,
  keys: keyChecks,
  reading: readingChecks,
  writing: writingChecks,
  guards: guardChecks,
  attributes: attributeChecks,
  multipart: multipartChecks,
  'server copy': serverCopyChecks,
  errors: errorChecks,
};

const READ_ONLY: Readonly<Record<string, Checks>> = { 'read-only': readOnlyChecks };

export function describeStore(subject: Subject): void {
  const topics = subject.options?.readOnly === true ? READ_ONLY : WRITABLE;
  void describe(`store ${subject.name}`, () => {
    for (const [topic, checks] of Object.entries(topics)) {
      void describe(topic, () => {
        for (const [title, check] of Object.entries(checks)) void test(title, () => run(subject, check));
      });
    }
  });
}

async function run(subject: Subject, check: Check): Promise<void> {
  const opened = await subject.create({ prefix: `conformance-${randomBytes(6).toString('hex')}/` });
  try {
    await check(new Bench(opened, subject.options ?? {}));
  } finally {
    await opened.store.close();
    await opened.cleanup();
  }
}
