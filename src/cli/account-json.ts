/** The account of a run for programs: `run -o json`, `status -o json`, `report -o json`. Times are ISO 8601, sizes bytes, durations milliseconds. */
import type { Account } from '../app/account.ts';
import type { Explanation } from '../app/explain.ts';
import type { ObjectRow, Run } from '../ports/ledger.ts';
import { identityText } from './summary.ts';

/** What nobody may read out of a report. */
export const NOT_PROMISED: readonly string[] = [
  'a picture of one moment: a source that is written to during the run is copied object by object, each as one of its versions',
  'exactly-once delivery: an object may be sent more than once; what stands at the destination is one whole version',
  'equal modification times on object stores: LastModified is the time of the copy',
  'evidence by ETag: ETags are compared as version marks only, never as checksums',
  'that the whole migration becomes visible at once',
];

export function runJson(run: Run): object {
  const { number, kind, state, stage, startedMs, endedMs, pause, activeMs, resumes, listing } = run;
  return {
    number, kind, state, stage, started: iso(startedMs), ...(endedMs === undefined ? {} : { ended: iso(endedMs) }), activeMs, resumes, listingComplete: listing.sealed,
    ...(pause === undefined ? {} : { pause }),
  };
}

export function accountJson(account: Account, more: { readonly exit?: number; readonly source?: string; readonly destination?: string; readonly explain?: Explanation } = {}): object {
  const { migration, run, tally, totals, groups, failures, verify, findings } = account;
  const { byCode: _, evidence, ...counts } = tally;
  return {
    v: 1, migration, ...more, run: runJson(run), tally: counts, identity: identityText(tally), byCode: groups, evidence, totals,
    ...(verify === undefined ? {} : { verify: { ...verify, startedMs: undefined, endedMs: undefined, started: iso(verify.startedMs), ended: iso(verify.endedMs) } }),
    findings, firstFailures: failures, notPromised: NOT_PROMISED,
  };
}

/** One object as one line. Keys are as in the store; bytes that are not UTF-8 are lone surrogates U+DC80…U+DCFF, escaped. */
export function objectJson({ key, kind, size, state, source, destination, checksum, evidence, code, attempts, storageClass, problem, lost }: ObjectRow): object {
  return { key, kind, size, state, code: problem?.code ?? code, message: problem?.message, hint: problem?.hint, class: problem?.kind, evidence, checksum, source: source.token === '' ? undefined : source, destination, attempts, storageClass, lost };
}

function iso(ms: number): string {
  return new Date(ms).toISOString();
}
