/**
 * Parts of large objects, dealt out to whoever has a lane free. The executor that holds the object's task owns its spread: it began the upload,
 * waits here until every part is stored, and completes it. What must survive is in the ledger: the upload and each stored part. This is in
 * memory, since executors end with their coordinator; whoever takes the task next hands out the parts that are still missing.
 */
import { BrigadeError, isKind } from '../../core/errors.ts';
import type { PartRange, Spread } from '../../ports/queue.ts';
import type { Part } from '../../ports/storage.ts';

/** Parts that one lane takes at once: few, so that all lanes end at about the same time. */
const RANGE_PARTS = 4;

interface Leased {
  readonly holder: string;
  readonly range: PartRange;
}

interface Spreading {
  spread: Spread;
  /** Nobody: whoever owned it is gone; those who are at work on its parts go on. */
  owner: string | undefined;
  ready: number[];
  readonly leased: Map<number, Leased>;
  readonly parts: Map<number, Part>;
  failed: BrigadeError | undefined;
  resolve: (parts: readonly Part[]) => void;
  reject: (error: BrigadeError) => void;
}

export class Spreads {
  readonly #open = new Map<string, Spreading>();
  #serial = 0;

  /** Parts are waiting for somebody. */
  get ready(): boolean {
    return [...this.#open.values()].some(({ ready }) => ready.length > 0);
  }

  /** Resolves with these parts once all are stored; rejects with the first error, when nobody is at work on them any more. */
  spread(owner: string, spread: Spread): Promise<readonly Part[]> {
    const before = this.#open.get(spread.upload.id);
    const leased = before?.leased ?? new Map<number, Leased>();
    const parts = before?.parts ?? new Map<number, Part>();
    const taken = new Set([...leased.values()].flatMap(({ range }) => range.numbers));
    const ready = spread.numbers.filter((number) => !parts.has(number) && !taken.has(number));
    return new Promise((resolve, reject) => {
      const spreading: Spreading = { spread, owner, ready, leased, parts, failed: undefined, resolve, reject };
      this.#open.set(spread.upload.id, spreading);
      this.#settle(spreading);
    });
  }

  /** Objects in the order in which they were spread; of each no more to one holder, and to all together, than it wants. */
  claim(most: number, holder: string): readonly PartRange[] {
    const ranges: PartRange[] = [];
    for (const spreading of this.#open.values()) {
      while (ranges.length < most && this.#mayTake(spreading, holder)) ranges.push(this.#lease(spreading, holder));
    }
    return ranges;
  }

  /** Who works on a range. */
  holders(): ReadonlySet<string> {
    return new Set([...this.#open.values()].flatMap(({ leased }) => [...leased.values()].map(({ holder }) => holder)));
  }

  /** Refuses a part of an upload that was given up: nothing more of it is wanted. */
  refuseFailed(uploadId: string): void {
    if (this.#open.get(uploadId)?.failed === undefined) return;
    throw new BrigadeError({ code: 'E_UPLOAD_LOST', kind: 'gone', op: 'putPart', message: 'the upload was given up while its parts were on their way' });
  }

  stored(uploadId: string, part: Part): void {
    const spreading = this.#open.get(uploadId);
    if (spreading === undefined) return;
    spreading.parts.set(part.number, part);
    this.#settle(spreading);
  }

  /** A range ended: all of it is stored, or with an error. Of one that was only given back the rest waits again. */
  end(holder: string, uploadId: string, id: number, error?: BrigadeError): void {
    const spreading = this.#open.get(uploadId);
    const leased = spreading?.leased.get(id);
    if (spreading === undefined || leased?.holder !== holder) return;
    if (error !== undefined && !isKind(error, 'cancelled')) spreading.failed ??= error;
    this.#giveBack(spreading, id, leased);
  }

  /** The upload is completed or aborted. One that nobody owns is remembered until then: its next owner may have been told of fewer parts. */
  forget(uploadId: string): void {
    this.#open.delete(uploadId);
  }

  /** What it owned of this task waits for its next owner; ranges that it is at work on stay its own. */
  disown(holder: string, task: number): void {
    for (const spreading of this.#open.values()) if (spreading.owner === holder && spreading.spread.task === task) this.#disown(spreading);
  }

  /** Gone: its ranges wait for others; what it owned waits for its next owner. */
  forfeit(holder: string): void {
    for (const spreading of this.#open.values()) {
      if (spreading.owner === holder) this.#disown(spreading);
      for (const [id, leased] of spreading.leased) if (leased.holder === holder) this.#giveBack(spreading, id, leased);
      this.#settle(spreading);
    }
  }

  #mayTake({ spread, ready, leased, failed }: Spreading, holder: string): boolean {
    if (ready.length === 0 || failed !== undefined || leased.size >= spread.most) return false;
    return [...leased.values()].filter((one) => one.holder === holder).length < spread.perHolder;
  }

  #lease(spreading: Spreading, holder: string): PartRange {
    const { task, upload, pin, algorithm } = spreading.spread;
    const range: PartRange = { id: ++this.#serial, task, upload, pin, algorithm, numbers: spreading.ready.splice(0, RANGE_PARTS) };
    spreading.leased.set(range.id, { holder, range });
    return range;
  }

  #giveBack(spreading: Spreading, id: number, { range }: Leased): void {
    spreading.leased.delete(id);
    if (spreading.owner !== undefined) spreading.ready.unshift(...range.numbers.filter((number) => !spreading.parts.has(number)));
    this.#settle(spreading);
  }

  #disown(spreading: Spreading): void {
    spreading.owner = undefined;
    spreading.ready = [];
  }

  #settle(spreading: Spreading): void {
    const { spread, owner, leased, parts, failed } = spreading;
    if (failed !== undefined && leased.size === 0) spreading.reject(failed);
    else if (failed === undefined && owner !== undefined && spread.numbers.every((number) => parts.has(number))) spreading.resolve(spread.numbers.map((number) => parts.get(number) as Part));
    else return;
    if (this.#open.get(spread.upload.id) === spreading) this.#open.delete(spread.upload.id);
  }
}
