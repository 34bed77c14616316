/** The chunked coding (RFC 9112 §7.1), for small answers: without extensions and trailers, of which stores send none. */
import { HeadError } from './head.ts';

const MOST_LINE = 16;
const SIZE = /^[0-9a-fA-F]{1,8}$/;

export class Dechunker {
  #line = '';
  #left = 0;
  #state: 'size' | 'data' | 'behind data' | 'end' | 'over' = 'size';

  get over(): boolean {
    return this.#state === 'over';
  }

  /** Hands the content in `bytes` to `give`. @throws HeadError, also for bytes behind the end. */
  feed(bytes: Buffer, give: (content: Buffer) => void): void {
    for (let at = 0; at < bytes.length;) {
      if (this.#state === 'over') throw new HeadError('bytes behind the last chunk');
      if (this.#state === 'data') {
        const count = Math.min(this.#left, bytes.length - at);
        give(bytes.subarray(at, at + count));
        at += count;
        this.#left -= count;
        if (this.#left === 0) this.#state = 'behind data';
        continue;
      }
      this.#character(bytes[at] as number);
      at++;
    }
  }

  #character(code: number): void {
    this.#line += String.fromCharCode(code);
    if (this.#line.length > MOST_LINE) throw new HeadError('the line of a chunk');
    if (code !== 10) return;
    if (!this.#line.endsWith('\r\n')) throw new HeadError('the line of a chunk');
    const line = this.#line.slice(0, -2);
    this.#line = '';
    this.#endOfLine(line);
  }

  #endOfLine(line: string): void {
    if (this.#state === 'size') {
      if (!SIZE.test(line)) throw new HeadError('the size of a chunk');
      this.#left = Number.parseInt(line, 16);
      this.#state = this.#left === 0 ? 'end' : 'data';
      return;
    }
    if (line !== '') throw new HeadError('the end of a chunk');
    this.#state = this.#state === 'end' ? 'over' : 'size';
  }
}
