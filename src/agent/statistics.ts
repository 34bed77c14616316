/** What was asked of the endpoint: tests read it to prove what a client did and did not do. */
export interface Counted {
  readonly operation: string;
  readonly bucket: string;
  readonly key: string;
  readonly writes: boolean;
}

export class Statistics {
  /** Requests by operation name. */
  readonly operations = new Map<string, number>();
  /** Answers by status. */
  readonly statuses = new Map<number, number>();
  /** The last errors that were not S3 errors: defects of the endpoint or its layout, answered as InternalError. */
  readonly failures: unknown[] = [];
  private readonly objects = new Map<string, Map<string, number>>();
  private readonly perObject: boolean;
  private writing = 0;

  /** Counting per object takes memory for every key asked for. */
  constructor(perObject: boolean) {
    this.perObject = perObject;
  }

  record(request: Counted): void {
    bump(this.operations, request.operation);
    if (request.writes) this.writing += 1;
    if (request.key === '' || !this.perObject) return;
    const name = `${request.bucket}/${request.key}`;
    const counts = this.objects.get(name) ?? new Map<string, number>();
    this.objects.set(name, counts);
    bump(counts, request.operation);
  }

  answered(status: number): void {
    bump(this.statuses, status);
  }

  failed(error: unknown): void {
    this.failures.push(error);
    if (this.failures.length > 10) this.failures.shift();
  }

  /** Requests of one operation, or of all. */
  count(operation?: string): number {
    if (operation !== undefined) return this.operations.get(operation) ?? 0;
    return [...this.operations.values()].reduce((sum, n) => sum + n, 0);
  }

  /** Requests that are more than a GET, HEAD or LIST, refused ones included. */
  get writes(): number {
    return this.writing;
  }

  /** Requests for one object by operation. */
  object(bucket: string, key: string): ReadonlyMap<string, number> {
    return this.objects.get(`${bucket}/${key}`) ?? new Map<string, number>();
  }

  reset(): void {
    this.operations.clear();
    this.statuses.clear();
    this.objects.clear();
    this.failures.length = 0;
    this.writing = 0;
  }
}

function bump<K>(map: Map<K, number>, key: K): void {
  map.set(key, (map.get(key) ?? 0) + 1);
}
