import type { BrigadeError } from '../../core/errors.ts';
import type { Body, CompleteRequest, Multipart, OpenUpload, Part, Upload, UploadRequest, Written } from '../../ports/storage.ts';
import { digest, stopIfAborted, type MemoryState } from './state.ts';

interface HeldUpload {
  readonly upload: Upload;
  readonly request: UploadRequest;
  readonly parts: Map<number, { readonly bytes: Buffer; readonly part: Part }>;
  readonly initiatedMs?: number;
}

export class MemoryMultipart implements Multipart {
  readonly #state: MemoryState;
  readonly #uploads = new Map<string, HeldUpload>();

  constructor(state: MemoryState) {
    this.#state = state;
  }

  async create(request: UploadRequest): Promise<Upload> {
    stopIfAborted(request.signal, 'create');
    const { facts } = this.#state;
    this.#state.admit(request.key, request.size, request.attributes, 'create');
    if (request.partSize < facts.minPartSize || request.partSize > facts.maxPartSize || Math.ceil(request.size / request.partSize) > facts.maxParts) {
      throw this.#state.error('E_PART_PLAN', 'object', 'create', request.key, `parts of ${request.partSize} bytes do not fit this store`);
    }
    const { signal: _, attributes: __, ...rest } = request;
    const upload: Upload = { ...rest, id: `u${this.#state.next()}` };
    const initiatedMs = this.#state.nowMs();
    this.#uploads.set(upload.id, { upload, request, parts: new Map(), ...(initiatedMs === undefined ? {} : { initiatedMs }) });
    return upload;
  }

  async putPart(upload: Upload, number: number, body: Body, signal?: AbortSignal): Promise<Part> {
    const state = this.#state;
    this.#held(upload, 'putPart');
    if (!Number.isInteger(number) || number < 1 || number > state.facts.maxParts) throw state.error('E_PART_NUMBER', 'object', 'putPart', upload.key, `no part can have the number ${number}`);
    if (body.size > state.facts.maxPartSize) throw state.error('E_PART_TOO_LARGE', 'object', 'putPart', upload.key, 'the part is too large');
    return this.keep(upload, number, await state.take(upload.key, body, 'putPart', signal));
  }

  /** Holds bytes that have arrived whole. The upload may have been aborted meanwhile. */
  keep(upload: Upload, number: number, bytes: Buffer): Part {
    const { parts } = this.#held(upload, 'putPart');
    const algorithm = upload.checksumAlgorithm ?? this.#state.facts.checksums[0];
    const checksum = algorithm === undefined || !this.#state.facts.checksums.includes(algorithm) ? {} : { checksum: { algorithm, hex: digest(algorithm, bytes) } };
    const part: Part = { number, size: bytes.length, token: `p${this.#state.next()}`, ...checksum };
    parts.set(number, { bytes, part });
    return part;
  }

  async complete(request: CompleteRequest): Promise<Written> {
    stopIfAborted(request.signal, 'complete');
    const { key } = request.upload;
    const bytes = this.#assemble(request);
    this.#state.checkGuard(key, request.guard, 'complete');
    const { attributes } = this.#held(request.upload, 'complete').request;
    const written = this.#state.commit(key, bytes, attributes, request.checksum, 'complete');
    this.#uploads.delete(request.upload.id);
    return written;
  }

  async abort(upload: Upload): Promise<void> {
    this.#uploads.delete(upload.id);
  }

  async listParts(upload: Upload): Promise<readonly Part[]> {
    const { parts } = this.#held(upload, 'listParts');
    return [...parts.values()].map(({ part }) => part).sort((a, b) => a.number - b.number);
  }

  async *listUploads(): AsyncGenerator<OpenUpload> {
    for (const { upload, initiatedMs } of [...this.#uploads.values()]) yield { key: upload.key, id: upload.id, ...(initiatedMs === undefined ? {} : { initiatedMs }) };
  }

  #held(upload: Upload, op: string): HeldUpload {
    const held = this.#uploads.get(upload.id);
    if (held === undefined || held.upload.key !== upload.key) throw this.#state.error('E_NO_SUCH_UPLOAD', 'gone', op, upload.key, 'no such upload');
    return held;
  }

  /** Parts 1…n without a gap, each the one that is held, together the declared size (F011). */
  #assemble(request: CompleteRequest): Buffer {
    const held = this.#held(request.upload, 'complete');
    const pieces = request.parts.map((wanted, i) => {
      const found = held.parts.get(i + 1);
      if (found === undefined || wanted.number !== i + 1 || wanted.token !== found.part.token) throw this.#invalid(request, `part ${i + 1} is not the one that was sent`);
      if (found.bytes.length < this.#state.facts.minPartSize && i < request.parts.length - 1) throw this.#invalid(request, `part ${i + 1} is too small`);
      return found.bytes;
    });
    const bytes = Buffer.concat(pieces);
    if (pieces.length === 0 || bytes.length !== request.upload.size) throw this.#invalid(request, `parts make ${bytes.length} of ${request.upload.size} bytes`);
    return bytes;
  }

  #invalid(request: CompleteRequest, message: string): BrigadeError {
    return this.#state.error('E_PARTS_INVALID', 'object', 'complete', request.upload.key, message);
  }
}
