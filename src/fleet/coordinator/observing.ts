import { outcomeCount } from '../../core/outcome-columns.ts';
import type { Events } from '../../ports/events.ts';
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

const NONE = { objects: { copied: 0, unchanged: 0 }, checksums: {} } as const;

/** What became of objects: of each, to who wants to hear of each, or where one of them has something to say of itself; else how many there were. */
export function tellOutcomes(events: Events, report: Report): void {
  const { landed } = report;
  if (outcomeCount(report) === 0) return;
  if (landed !== undefined && events.each !== true) return events.emit({ type: 'reported', objects: landed.objects, bytes: landed.bytesSent, checksums: landed.checksums });
  for (const outcome of report.outcomes) events.emit({ type: 'ended', outcome, size: outcome.size ?? outcome.bytesSent });
  events.emit({ type: 'reported', bytes: report.outcomes.reduce((sum, { bytesSent }) => sum + bytesSent, 0), ...NONE });
}
