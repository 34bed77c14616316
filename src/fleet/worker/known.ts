/** What the reports of one task say was done before: by this worker or another one, under this lease or an earlier. Asked for only where a message came again. */
import type { Outcome } from '../../core/item.ts';
import type { Key } from '../../core/key.ts';
import type { Begun, Journal, Report, TaskName } from '../../ports/journal.ts';
import type { MessageDelivery } from '../../ports/message-queue.ts';
import type { RecordedUpload } from '../../ports/queue.ts';
import type { Part, Upload } from '../../ports/storage.ts';

const MOST_AT_ONCE = 16;

interface OpenUpload {
  readonly upload: Upload;
  readonly sourceToken: string;
  readonly parts: Map<number, Part>;
}

export class Known {
  readonly name: TaskName;
  /** Which sending of the task this hand has. */
  readonly sending: number;
  readonly after: number;
  /** Of a plain message: what the queue calls it. */
  readonly message: string | undefined;
  readonly #done = new Set<Key>();
  readonly #failed = new Map<Key, Outcome>();
  readonly #uploads = new Map<string, OpenUpload>();
  readonly #over = new Set<string>();
  /** By worker. */
  readonly #begun = new Map<string, Begun>();
  readonly #dead = new Set<string>();
  /** Deliveries whose holders had their last word. */
  readonly #givenBack = new Set<string>();
  /** Who told something of the task, and not that it is over. */
  readonly #unended = new Set<string>();
  readonly #doubtful = new Set<Key>();
  #next = 0;
  #reading: Promise<void> = Promise.resolve();
  #closed = false;
  #told = false;
  #damaged = false;

  /** `after`: so many reports had been folded when the task was sent. What they say of objects is in its items, and does not end it. */
  constructor(name: TaskName, after: number, sending = 0, message?: string) {
    this.name = name;
    this.sending = sending;
    this.after = after;
    this.message = message;
  }

  /** Somebody had the last word on what was sent. */
  get closed(): boolean {
    return this.#closed;
  }

  /** So many were read: the first ones. */
  get reports(): number {
    return this.#next;
  }

  /** Objects that failed, of those that were read and those that this worker tells. */
  get failed(): Iterable<Outcome> {
    return this.#failed.values();
  }

  /** They lie among the dead letters. */
  get told(): boolean {
    return this.#told;
  }

  /** What this worker is about to report. */
  note(outcomes: readonly Outcome[]): void {
    for (const outcome of outcomes) {
      if (outcome.state === 'failed') this.#failed.set(outcome.key, outcome);
      else this.#failed.delete(outcome.key);
    }
  }

  /** Not pending any more. */
  isDone(key: Key): boolean {
    return this.#done.has(key);
  }

  /** What workers told that they begin, and nothing more since: they are at work on it, or died of it. */
  get begun(): readonly (Begun & { readonly worker: string })[] {
    return [...this.#begun].map(([worker, begun]) => ({ worker, ...begun }));
  }

  /** Somebody found it dead, with this task in hand. */
  isDead(worker: string): boolean {
    return this.#dead.has(worker);
  }

  foundDead(worker: string): void {
    this.#dead.add(worker);
  }

  /** It began the task and has it no more, or is at work on it: none of it is a death. */
  lives(worker: string): void {
    this.#begun.delete(worker);
    this.#dead.delete(worker);
  }

  /**
   * Which objects an earlier holder of this delivery's message may have written without a word; undefined: any. Known where each delivery before had its last
   * word. Of other messages of the same task nobody knows: of them a fresh delivery does not know either, and the destination's guards see to it.
   */
  doubtful({ id, receives }: Pick<MessageDelivery, 'id' | 'receives'>): ReadonlySet<Key> | undefined {
    if (this.sending > 0 || this.after > 0 || this.#damaged || this.#unended.size > 0) return undefined;
    for (let delivery = 1; delivery < receives; delivery++) if (!this.#givenBack.has(wordOf(id, delivery))) return undefined;
    return this.#doubtful;
  }

  /** Reads the reports that were not read yet, in their order. One that is damaged says nothing: its objects are in doubt. */
  catchUp(journal: Journal, signal?: AbortSignal): Promise<void> {
    // Objects of one task ask side by side: one after the other, so that none of the reports is counted twice and the one behind it passed over.
    const mine = this.#reading.then(() => this.#read(journal, signal));
    this.#reading = mine.catch(() => undefined);
    return mine;
  }

  async #read(journal: Journal, signal: AbortSignal | undefined): Promise<void> {
    // Few tasks have more than one. Of many, more and more are asked for at once: one after the other they could take longer than the lease of the message.
    for (let width = 1; ; width = Math.min(MOST_AT_ONCE, width * 2)) {
      const from = this.#next;
      const reads = await Promise.all(Array.from({ length: width }, (_, i) => journal.readReport({ work: this.name, nth: from + i }, signal)));
      for (const read of reads) {
        if (read === undefined) return;
        if (read.report === undefined) this.#damaged = true;
        else this.#take(read.report, read.nth >= this.after);
        this.#next++;
      }
      // Nothing of it is to be done, whatever else was said; but for what an operator is to hear.
      if (this.#closed && (this.#failed.size === 0 || this.#told)) return;
    }
  }

  addUpload(upload: Upload, sourceToken: string): void {
    if (!this.#uploads.has(upload.id)) this.#uploads.set(upload.id, { upload, sourceToken, parts: new Map() });
  }

  addPart(uploadId: string, part: Part): void {
    this.#uploads.get(uploadId)?.parts.set(part.number, part);
  }

  partsOf(uploadId: string): ReadonlyMap<number, Part> {
    return this.#uploads.get(uploadId)?.parts ?? new Map<number, Part>();
  }

  dropUpload(uploadId: string): void {
    this.#over.add(uploadId);
  }

  /** Nobody has completed or aborted them. */
  uploads(): readonly RecordedUpload[] {
    const open = [...this.#uploads.values()].filter(({ upload }) => !this.#over.has(upload.id));
    return open.map(({ upload, sourceToken, parts }) => ({ upload, sourceToken, parts: [...parts.values()].sort((a, b) => a.number - b.number) }));
  }

  #take(report: Report, counts: boolean): void {
    const { outcomes, close, parts, uploads = [], uploadsOver = [] } = report;
    for (const { upload, sourceToken } of uploads) this.addUpload(upload, sourceToken);
    for (const { uploadId, part } of parts) this.addPart(uploadId, part);
    for (const upload of uploadsOver) this.dropUpload(upload);
    if (!counts) {
      // Deaths are the task's, whichever sending it was; but what is begun anew once it was ended has none.
      if (close) this.#forgetDeaths();
      else this.#follow(report);
      return;
    }
    for (const { key, state } of outcomes) if (state !== 'pending') this.#done.add(key);
    this.note(outcomes);
    this.#closed ||= close;
    this.#told ||= report.told === true;
    this.#follow(report);
    this.#remember(report);
  }

  #remember({ worker, outcomes, gaveBack }: Report): void {
    for (const { key, state } of outcomes) if (state === 'pending') this.#doubtful.add(key);
    if (gaveBack === undefined) return void this.#unended.add(worker);
    this.#unended.delete(worker);
    this.#givenBack.add(wordOf(gaveBack.message, gaveBack.delivery));
    for (const key of gaveBack.begun) this.#doubtful.add(key);
  }

  #forgetDeaths(): void {
    this.#begun.clear();
    this.#dead.clear();
  }

  /** Whoever gets further does not die of it: not there. */
  #follow({ worker, begun, over, outcomes, parts }: Report): void {
    for (const dead of begun?.dead ?? []) this.#dead.add(dead);
    if (begun !== undefined) this.#begun.set(worker, begun);
    else if (over === true || parts.length > 0 || outcomes.some(({ state }) => state !== 'pending')) this.#begun.delete(worker);
  }
}

function wordOf(message: string, delivery: number): string {
  return `${delivery} ${message}`;
}
