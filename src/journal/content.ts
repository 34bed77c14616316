/** What stands in segments: a head of JSON for what occurs once, and columns (core/lines.ts) for what occurs for each object. */
import { ByteReader, ByteWriter } from '../core/bytes.ts';
import { columnsOf, columnTask } from '../core/columns.ts';
import type { Item, Outcome, Problem } from '../core/item.ts';
import { packLines, unpackLines, type Line } from '../core/lines.ts';
import { landedIn, type OutcomeColumns, packOutcomes, unpackOutcomes } from '../core/outcome-columns.ts';
import type { ItemChange, PlanRecord, Report } from '../ports/journal.ts';
import type { PlannedTask } from '../ports/ledger.ts';

/** JSON and the bytes behind it. */
export function joinContent(head: unknown, ...tails: readonly Buffer[]): Buffer {
  const writer = new ByteWriter();
  writer.text(JSON.stringify(head));
  for (const tail of tails) {
    writer.varint(tail.length);
    writer.bytes(tail);
  }
  return Buffer.from(writer.view());
}

/** The head of a content, which its checksum has proven to be one of ours. */
export function headOf<T>(content: Buffer): T {
  return JSON.parse(new ByteReader(content).text()) as T;
}

/** Different problems of a segment, each once. */
class Problems {
  readonly list: Problem[] = [];
  readonly #numbers = new Map<string, number>();

  /** From 1; 0: none. */
  number(problem: Problem | undefined): number {
    if (problem === undefined) return 0;
    const text = JSON.stringify(problem);
    const known = this.#numbers.get(text) ?? this.list.push(problem);
    this.#numbers.set(text, known);
    return known;
  }
}

type Told = readonly (readonly [item: number, problem: number])[];
/** The items of an amendment stand among those of the others, those of a planned task by themselves: so they go to the ledger as they are. */
interface PackedChanges { readonly items: number; readonly problems: Told }
interface PackedTask { readonly problems: Told }
type PackedRecord =
  | Exclude<PlanRecord, { type: 'plan' | 'amend' }>
  | (Omit<Extract<PlanRecord, { type: 'plan' }>, 'page'> & { readonly page: { readonly tasks: readonly PackedTask[]; readonly shards: unknown; readonly listing: unknown } })
  | (Omit<Extract<PlanRecord, { type: 'amend' }>, 'changes'> & { readonly changes: PackedChanges });

interface PlanHead { readonly nonce: string; readonly problems: readonly Problem[]; readonly records: readonly PackedRecord[] }

/** `nonce` names the writer: no other one writes the same bytes. */
export function packPlan(nonce: string, records: readonly PlanRecord[]): Buffer {
  const lines: Line[] = [];
  const planned: Buffer[] = [];
  const problems = new Problems();
  const told = (said: readonly (Problem | undefined)[]): Told => said.map((problem, at) => [at, problems.number(problem)] as const).filter(([, number]) => number > 0);
  const packed = records.map((record): PackedRecord => {
    if (record.type === 'plan') {
      planned.push(...record.page.tasks.map(columnsOf));
      const tasks = record.page.tasks.map((task) => ({ problems: task.problems.size === 0 ? [] : told(task.items.map(({ key }) => task.problems.get(key))) }));
      return { ...record, page: { ...record.page, tasks } };
    }
    if (record.type !== 'amend') return record;
    lines.push(...record.changes.map(({ item }) => ({ item })));
    return { ...record, changes: { items: record.changes.length, problems: told(record.changes.map(({ problem }) => problem)) } };
  });
  const head: PlanHead = { nonce, problems: problems.list, records: packed };
  return joinContent(head, packLines(lines), ...planned);
}

export function unpackPlan(content: Buffer): PlanRecord[] {
  const reader = new ByteReader(content);
  const head = JSON.parse(reader.text()) as PlanHead;
  const lines = unpackLines(reader.bytes(reader.varint()));
  const problem = (number: number): Problem => head.problems[number - 1] as Problem;
  let next = 0;
  const changes = ({ items, problems }: PackedChanges): ItemChange[] => {
    const told = new Map(problems);
    return Array.from({ length: items }, (_, at) => {
      const { item } = lines[next++] as Line;
      const number = told.get(at);
      return number === undefined ? { item } : { item, problem: problem(number) };
    });
  };
  const task = ({ problems }: PackedTask): PlannedTask => {
    const columns = reader.bytes(reader.varint());
    if (problems.length === 0) return columnTask(columns, new Map());
    const { items } = columnTask(columns, new Map());
    return columnTask(columns, new Map(problems.map(([at, number]) => [(items[at] as Item).key, problem(number)])));
  };
  return head.records.map((record) => {
    if (record.type === 'plan') return { ...record, page: { ...record.page, tasks: record.page.tasks.map(task) } } as PlanRecord;
    if (record.type === 'amend') return { ...record, changes: changes(record.changes) };
    return record;
  });
}

interface ReportHead extends Omit<Report, 'outcomes' | 'landed'> { readonly problems: readonly Problem[] }

export function packReport({ outcomes, landed: _, ...rest }: Report): Buffer {
  const problems = new Problems();
  const { lines, flags, numbers } = packOutcomes(outcomes, (problem) => problems.number(problem));
  const head: ReportHead = { ...rest, problems: problems.list };
  return joinContent(head, lines, flags, numbers);
}

/** Outcomes that landed are taken apart only for who asks for them. @throws RangeError, BrigadeError, SyntaxError where this is no content of a report */
export function unpackReport(content: Buffer): Report {
  const reader = new ByteReader(content);
  const { problems, ...rest } = JSON.parse(reader.text()) as ReportHead;
  const [lines, flags, numbers] = [reader.bytes(reader.varint()), reader.bytes(reader.varint()), reader.bytes(reader.varint())];
  const columns: OutcomeColumns = { lines, flags, numbers };
  const landed = landedIn(columns);
  if (landed === undefined) return { ...rest, outcomes: unpackOutcomes(columns, problems) };
  let outcomes: readonly Outcome[] | undefined;
  return { ...rest, landed, get outcomes() { return outcomes ??= unpackOutcomes(columns, problems); } };
}
