/** Counts and measures of one process, by name and labels. Those of several processes are added up where they are shown. */
import type { Events, RunEvent } from '../ports/events.ts';
import { FAMILIES, type FamilyName } from './families.ts';

/** Never a secret, and never a key: there are as many rows as there are values. */
export type Labels = Readonly<Record<string, string>>;

export interface Sample {
  readonly name: FamilyName;
  readonly labels: Labels;
  readonly value: number;
}

interface Cell {
  readonly name: FamilyName;
  readonly labels: Labels;
  value: number;
}

export class Meter {
  readonly #cells = new Map<string, Cell>();

  add(name: FamilyName, labels: Labels = {}, by = 1): void {
    this.#cell(name, labels).value += by;
  }

  /** Also of a counter whose count somebody else keeps. */
  set(name: FamilyName, labels: Labels, value: number): void {
    this.#cell(name, labels).value = value;
  }

  /** Nothing is known of it now. */
  drop(name: FamilyName): void {
    for (const [key, cell] of this.#cells) if (cell.name === name) this.#cells.delete(key);
  }

  samples(): readonly Sample[] {
    return [...this.#cells.values()].map(({ name, labels, value }) => ({ name, labels, value }));
  }

  /** Counts what is told. `endpoint`: where the requests go, when that is neither source nor destination. */
  events(labels: Labels, endpoint?: string): Events {
    // Of these there is one for each piece of a body.
    const bytes = this.#cell('brigade_bytes_sent_total', labels);
    const requests = new Map<string, Cell>();
    const request = (side: string, op: string): Cell => {
      const key = `${side} ${op}`;
      const known = requests.get(key) ?? this.#cell('brigade_requests_total', { ...labels, endpoint: endpoint ?? side, op });
      requests.set(key, known);
      return known;
    };
    const asked = (event: Extract<RunEvent, { type: 'request' }>): void => {
      request(event.side, event.op).value++;
      if (event.error !== undefined) this.add('brigade_request_errors_total', { ...labels, endpoint: endpoint ?? event.side, op: event.op, code: event.error });
      else if (endpoint === 'journal' && event.op === 'write') this.add('brigade_journal_writes_total', labels);
    };
    return {
      emit: (event) => {
        if (event.type === 'bytes' || event.type === 'landed') bytes.value += event.bytes;
        else if (event.type === 'request') asked(event);
        else if (event.type === 'requests') for (const [op, by] of Object.entries(event.counts)) request(event.side, op).value += by;
        else this.#rare(event, labels, endpoint);
      },
    };
  }

  #rare(event: RunEvent, labels: Labels, endpoint: string | undefined): void {
    if (event.type === 'retry') this.add('brigade_retries_total', { ...labels, endpoint: endpoint ?? event.side, op: event.op, code: event.problem.code });
    else if (event.type === 'throttled') this.add('brigade_throttles_total', { ...labels, endpoint: endpoint ?? event.side });
    else if (event.type === 'stalled') this.add('brigade_stalls_total', labels);
    else if (event.type === 'ended') this.#ended(event.outcome.state, 1, labels);
    else if (event.type === 'reported') for (const [state, objects] of Object.entries(event.objects)) this.#ended(state, objects, labels);
    else if (event.type === 'lease') this.add(event.what === 'extended' ? 'brigade_lease_extensions_total' : 'brigade_leases_lost_total', labels);
    else if (event.type === 'task') this.#task(event, labels);
  }

  #ended(state: string, objects: number, labels: Labels): void {
    if (objects > 0) this.add('brigade_objects_ended_total', { ...labels, state }, objects);
  }

  #task({ what, ms }: Extract<RunEvent, { type: 'task' }>, labels: Labels): void {
    this.add('brigade_tasks_total', { ...labels, what });
    if (what === 'done') this.add('brigade_task_seconds_total', labels, ms / 1000);
  }

  #cell(name: FamilyName, labels: Labels): Cell {
    const key = keyOf(name, labels);
    const known = this.#cells.get(key) ?? { name, labels, value: 0 };
    this.#cells.set(key, known);
    return known;
  }
}

/** Those of several processes: the same name and labels added up. */
export function summed(samples: Iterable<Sample>): readonly Sample[] {
  const sums = new Meter();
  for (const { name, labels, value } of samples) sums.add(name, labels, value);
  return sums.samples();
}

/** What stays of a process that is gone: what only grows. */
export function countersOf(samples: readonly Sample[]): readonly Sample[] {
  return samples.filter(({ name }) => FAMILIES[name].type === 'counter');
}

function keyOf(name: FamilyName, labels: Labels): string {
  return JSON.stringify([name, ...Object.entries(labels).sort(([a], [b]) => (a < b ? -1 : 1))]);
}
