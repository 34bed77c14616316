/** What a check of a layout on disk tells. */
export interface Finding {
  readonly kind:
    | 'database' | 'missing_body' | 'wrong_size' | 'wrong_bytes' | 'orphan_body' | 'orphan_row'
    // Harmless: a crash or another program leaves them, and no object is touched by them.
    | 'leftover' | 'stale_record' | 'unfinished_record';
  /** Bucket, key and version, or a file. */
  readonly where: string;
  readonly message: string;
}

const harmless: ReadonlySet<Finding['kind']> = new Set(['leftover', 'stale_record', 'unfinished_record']);
export const isHarmless = (finding: Finding): boolean => harmless.has(finding.kind);

export interface FsckOptions {
  /** Reads every body and compares it with its MD5 and checksum. */
  readonly deep?: boolean;
  /** Removes what is harmless, and bodies that nothing refers to. An object whose bytes are wrong is never touched. */
  readonly repair?: boolean;
  /** Hears of each finding as it is made. */
  readonly found?: (finding: Finding) => void;
}

export interface FsckReport {
  readonly objects: number;
  readonly parts: number;
  /** Bytes of objects and parts. */
  readonly bytes: number;
  /** Findings that are not harmless. */
  readonly problems: number;
  readonly harmless: number;
  readonly repaired: number;
}

/** Counts while a check runs. */
export class Tally {
  objects = 0;
  parts = 0;
  bytes = 0;
  #problems = 0;
  #harmless = 0;
  repaired = 0;
  readonly #found: (finding: Finding) => void;

  constructor(options: FsckOptions) {
    this.#found = options.found ?? (() => undefined);
  }

  tell(kind: Finding['kind'], where: string, message: string): void {
    const finding = { kind, where, message };
    if (isHarmless(finding)) this.#harmless++;
    else this.#problems++;
    this.#found(finding);
  }

  report(): FsckReport {
    return { objects: this.objects, parts: this.parts, bytes: this.bytes, problems: this.#problems, harmless: this.#harmless, repaired: this.repaired };
  }
}
