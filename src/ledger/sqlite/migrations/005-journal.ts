/**
 * A ledger that is folded from a journal knows how far it has come, in the same transaction as what it took over.
 *
 * journal_segments  plan segments that were folded, with the first of the tasks they planned; the others have the numbers behind it
 * journal_reports   how many reports of a task, or of a range of its parts (part > 0), were folded
 */
export const journal = `
CREATE TABLE journal_segments (epoch INTEGER NOT NULL, seq INTEGER NOT NULL, first_task INTEGER, tasks INTEGER NOT NULL, PRIMARY KEY (epoch, seq)) WITHOUT ROWID;
CREATE INDEX journal_segments_by_task ON journal_segments (first_task) WHERE first_task IS NOT NULL;
CREATE TABLE journal_reports (task INTEGER NOT NULL, part INTEGER NOT NULL, folded INTEGER NOT NULL, PRIMARY KEY (task, part)) WITHOUT ROWID;
`;
