import type { FoldTarget, Report, ReportPlace } from '../../ports/journal.ts';

/** The ledger, where somebody listens to the reports that are folded into it. */
export function observing(ledger: FoldTarget, onReport: (place: ReportPlace, report: Report | undefined) => void): FoldTarget {
  return new Proxy(ledger, {
    get(target, name) {
      const member: unknown = Reflect.get(target, name);
      if (typeof member !== 'function') return member;
      if (name !== 'foldReport') return member.bind(target) as unknown;
      return async (place: ReportPlace, report: Report | undefined) => {
        await target.foldReport(place, report);
        onReport(place, report);
      };
    },
  });
}
