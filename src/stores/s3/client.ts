/**
 * One signed request, one answer. No retries of failures here (stores/decorators does that); only what a second signature can cure is
 * sent once more: a wrong clock (F083), expired credentials (F082), another region (F078).
 */
import { hash } from 'node:crypto';
import { BrigadeError } from '../../core/errors.ts';
import { FRAMES } from '../../core/frames.ts';
import { isUtf8Key, keyToBytes, showKey } from '../../core/key.ts';
import type { Key } from '../../core/key.ts';
import type { Mutable } from '../../core/mutable.ts';
import { KiB } from '../../core/units.ts';
import type { Clock } from '../../ports/clock.ts';
import type { Credentials, CredentialSource } from '../../ports/credentials.ts';
import { STREAMING_SIGNED, STREAMING_SIGNED_TRAILER, STREAMING_TRAILER, checksumHeader, metered, signedFrames, signedLength, trailerFrames, trailerLength, wrongSize } from './chunked.ts';
import type { Trailer } from './chunked.ts';
import { encodePath } from './encode.ts';
import { classify, failureOf } from './errors.ts';
import type { Circumstances, Failure } from './errors.ts';
import type { WriteDefaults } from './metadata.ts';
import type { ProviderProfile } from './profiles.ts';
import { EMPTY_SHA256, Signer, UNSIGNED } from './sigv4.ts';
import type { Signature } from './sigv4.ts';
import { header, joined } from './transport.ts';
import type { HttpRequest, HttpResponse, ResponseHeaders, Transport } from './transport.ts';

export interface ClientOptions {
  /** `http(s)://host[:port]`; absent: Amazon S3 in `region`. */
  readonly endpoint?: string | undefined;
  readonly region?: string | undefined;
  readonly bucket: string;
  /** The root of the store: keys are relative to it. Verbatim, no slash is added. */
  readonly prefix?: string | undefined;
  readonly pathStyle?: 'auto' | boolean | undefined;
  readonly payloadSigning?: 'auto' | 'signed' | 'unsigned' | undefined;
  readonly nonUtf8?: 'refuse' | 'escape' | undefined;
  /** Between our own ends: data goes compressed where that helps. */
  readonly compress?: boolean | undefined;
  readonly defaults: WriteDefaults;
  readonly profile: ProviderProfile;
  readonly credentials: CredentialSource;
  readonly clock: Clock;
  readonly transport: Transport;
}

export interface Payload {
  readonly size: number;
  readonly bytes?: Uint8Array | undefined;
  open(): AsyncIterable<Uint8Array>;
  /** SHA-256 in hex, where known: it is then the signed payload hash. */
  readonly sha256?: string | undefined;
  /** Streamed bodies only: send this checksum behind the bytes and hand it over. */
  readonly trailer?: Trailer | undefined;
  /** What open() gives says itself where it ends, and `size` is that of the decoded body. */
  readonly framed?: boolean | undefined;
}

export interface S3Call {
  /** The API's name: `GetObject`. */
  readonly op: string;
  readonly method: string;
  /** Relative to the root; absent for requests about the bucket. */
  readonly key?: Key;
  /** From encodeQuery; '' for none. */
  readonly query?: string;
  readonly headers?: readonly string[];
  readonly body?: Payload;
  readonly scope: Circumstances['scope'];
  readonly pinned?: boolean;
  readonly guarded?: boolean;
  readonly headersTimeoutMs?: number;
  readonly answerSize?: HttpRequest['answerSize'];
  readonly into?: HttpRequest['into'];
  readonly signal?: AbortSignal | undefined;
}

const ERROR_BODY = 256 * KiB;
const SKEW_WORTH_LEARNING = 60_000;
/** A bucket that can be one label of a host name: dots break the wildcard of certificates, capitals and underscores are lost. */
const HOST_LABEL = /^[a-z0-9](?:[a-z0-9-]*[a-z0-9])?$/;
const DOT_SEGMENT = /(?:^|\/)\.\.?(?:\/|$)/;

export class S3Client {
  readonly options: ClientOptions;
  readonly bucket: string;
  readonly prefix: string;
  readonly address: string;
  /** Replaced when a probe has measured the endpoint. */
  profile: ProviderProfile;
  readonly #signer = new Signer();
  readonly #transport: Transport;
  #region: string;
  #target: { readonly origin: string; readonly host: string; readonly base: string };
  /** What the server called itself last. */
  #server: string | undefined;
  #speaksFrames = false;
  /** The store's clock minus ours, milliseconds; 0 until it matters. */
  #skewMs = 0;

  constructor(options: ClientOptions) {
    this.options = options;
    this.profile = options.profile;
    this.bucket = options.bucket;
    this.prefix = options.prefix ?? '';
    this.address = `s3://${options.bucket}${this.prefix === '' ? '' : `/${this.prefix}`}`;
    this.#transport = options.transport;
    this.#region = options.region ?? options.profile.region;
    this.#target = this.#resolveTarget();
  }

  get region(): string {
    return this.#region;
  }

  /** Origin the requests go to, for messages and identity. */
  get origin(): string {
    return this.#target.origin;
  }

  get tls(): boolean {
    return this.#target.origin.startsWith('https:');
  }

  /** Whether bodies are covered by the signature. */
  get signsPayloads(): boolean {
    const mode = this.options.payloadSigning ?? 'auto';
    return mode === 'signed' || (mode === 'auto' && !this.tls);
  }

  /** Whether the other end is one of ours and takes bodies in frames, as its last answer said. */
  get speaksFrames(): boolean {
    return this.#speaksFrames;
  }

  get skewMs(): number {
    return this.#skewMs;
  }

  now(): number {
    return this.options.clock.now() + this.#skewMs;
  }

  locate(key?: Key): string {
    return key === undefined ? this.address : `s3://${this.bucket}/${showKey(this.prefix + key).slice(1, -1)}`;
  }

  /** The key as the store knows it. */
  absolute(key: Key): string {
    const whole = this.prefix + key;
    return isUtf8Key(whole) || this.options.nonUtf8 !== 'escape' ? whole : escapeInvalid(whole);
  }

  /** Sends; answers with status 2xx are handed out, everything else is thrown as a BrigadeError. */
  async send(call: S3Call): Promise<HttpResponse> {
    let cured: Set<string> | undefined;
    for (;;) {
      const source = this.options.credentials;
      const credentials = source.current?.() ?? await source.resolve(call.signal);
      const signedFor = this.#region;
      const response = await this.#attempt(call, credentials);
      if (response.status >= 200 && response.status < 300) return response;
      const failure = await readFailure(response);
      const cure = this.#cureFor(failure, credentials, signedFor);
      if (cure !== undefined && cured?.has(cure.name) !== true) {
        (cured ??= new Set()).add(cure.name);
        cure.apply();
        continue;
      }
      throw classify(failure, this.circumstances(call));
    }
  }

  /** The whole body of an answer; what breaks on the way says what was tried and where. */
  async collect(call: S3Call, response: HttpResponse, limit: number): Promise<Buffer> {
    return joined(await this.pieces(call, response, limit));
  }

  /** The same in pieces. */
  async pieces(call: S3Call, response: HttpResponse, limit: number): Promise<readonly Uint8Array[]> {
    const { body } = response;
    try {
      return body.pieces === undefined ? [await body.collect(limit)] : await body.pieces(limit);
    } catch (thrown) {
      if (thrown instanceof BrigadeError) throw located(thrown, call.op, this.locate(call.key));
      throw thrown;
    }
  }

  /** For errors found in the body of a 200 (F009, F010). */
  circumstances(call: S3Call): Circumstances {
    return { op: call.op, location: this.locate(call.key), scope: call.scope, nowMs: this.options.clock.now(), pinned: call.pinned === true, guarded: call.guarded === true };
  }

  close(): Promise<void> {
    return this.#transport.close();
  }

  async #attempt(call: S3Call, credentials: Credentials | undefined): Promise<HttpResponse> {
    const request = this.#prepare(call, credentials);
    try {
      const response = await this.#transport.send(request);
      this.#learn(header(response.headers, 'server'));
      return response;
    } catch (thrown) {
      if (thrown instanceof BrigadeError) throw located(thrown, call.op, this.locate(call.key));
      throw thrown;
    }
  }

  #learn(server: string | undefined): void {
    if (server === this.#server) return;
    this.#server = server;
    this.#speaksFrames = server?.startsWith('brigade ') === true && server.split(' ').includes(FRAMES);
  }

  #prepare(call: S3Call, credentials: Credentials | undefined): HttpRequest {
    const { origin, host, base } = this.#target;
    const path = call.key === undefined ? bucketPath(base) : base + this.#keyPath(call.key);
    const query = call.query ?? '';
    const headers = call.headers === undefined ? [] : [...call.headers];
    const framing = this.#framing(call, credentials, headers);
    let signature: Signature | undefined;
    if (credentials !== undefined) signature = this.#signer.sign({ method: call.method, host, path, query, headers, payloadHash: framing.payloadHash }, credentials, this.#region, this.now());
    headers.push('user-agent', 'bucket-brigade');
    const request: Mutable<HttpRequest> = { origin, method: call.method, path: query === '' ? path : `${path}?${query}`, headers, bodySize: framing.size };
    const { body } = framing.body(signature);
    if (body !== undefined) request.body = body;
    if (call.answerSize !== undefined) request.answerSize = call.answerSize;
    if (call.into !== undefined) request.into = call.into;
    if (call.headersTimeoutMs !== undefined) request.headersTimeoutMs = call.headersTimeoutMs;
    if (call.signal !== undefined) request.signal = call.signal;
    return request;
  }

  /** How the body goes out; adds the headers that say so. */
  #framing(call: S3Call, credentials: Credentials | undefined, headers: string[]): Framing {
    const { body } = call;
    if (body === undefined) return NO_BODY;
    const where = (): string => this.locate(call.key);
    const signed = this.signsPayloads && credentials !== undefined;
    if (body.bytes !== undefined || body.size === 0) return wholeBody(body, signed, where);
    if (body.framed === true) return { payloadHash: UNSIGNED, size: undefined, body: () => ({ body: body.open() }) };
    const { size, trailer } = body;
    if (trailer !== undefined) headers.push('x-amz-trailer', checksumHeader(trailer.algorithm));
    if (trailer !== undefined && !signed) {
      pushChunked(headers, size);
      return { payloadHash: STREAMING_TRAILER, size: trailerLength(size, trailer.algorithm), body: () => ({ body: trailerFrames(metered(body.open(), size, where), size, trailer) }) };
    }
    if (signed && (body.sha256 === undefined || trailer !== undefined)) {
      pushChunked(headers, size);
      const payloadHash = trailer === undefined ? STREAMING_SIGNED : STREAMING_SIGNED_TRAILER;
      return { payloadHash, size: signedLength(size, trailer), body: (seed) => ({ body: signedFrames(metered(body.open(), size, where), size, seed as Signature, trailer) }) };
    }
    return { payloadHash: signed ? body.sha256 as string : UNSIGNED, size, body: () => ({ body: metered(body.open(), size, where) }) };
  }

  #keyPath(key: Key): string {
    const absolute = this.absolute(key);
    const why = unaddressable(key, absolute, this.profile);
    if (why !== undefined) throw new BrigadeError({ code: why.code, kind: 'object', message: why.message, location: this.locate(key) });
    return encodePath(absolute);
  }

  /** `signedFor`: the region; another request may have learnt a better one meanwhile. */
  #cureFor(failure: Failure, credentials: Credentials | undefined, signedFor: string): Cure | undefined {
    const { code } = failure;
    if (code === 'RequestTimeTooSkewed' || (failure.status === 403 && code === '' && Math.abs(this.#measureSkew(failure.headers)) > 5 * SKEW_WORTH_LEARNING)) {
      return { name: 'clock', apply: () => { this.#skewMs += this.#measureSkew(failure.headers); } };
    }
    if (REFRESHABLE.has(code) && credentials !== undefined) return { name: 'credentials', apply: () => this.options.credentials.invalidate(credentials) };
    const { region } = failure;
    if (region !== undefined && region !== signedFor && (failure.status < 400 || MISDIRECTED.has(code) || code === '')) return { name: 'region', apply: () => this.#moveTo(region) };
    return undefined;
  }

  /** Server time minus our corrected time. */
  #measureSkew(headers: ResponseHeaders): number {
    const date = Date.parse(header(headers, 'date') ?? '');
    const skew = date - this.now();
    return Number.isNaN(skew) || Math.abs(skew) < SKEW_WORTH_LEARNING ? 0 : skew;
  }

  #moveTo(region: string): void {
    this.#region = region;
    this.#target = this.#resolveTarget();
  }

  #resolveTarget(): { origin: string; host: string; base: string } {
    const { endpoint, pathStyle = 'auto' } = this.options;
    const url = new URL(endpoint ?? awsEndpoint(this.#region));
    const own = endpoint !== undefined && (this.profile.pathStyle || isAddress(url.hostname));
    const inPath = pathStyle === 'auto' ? own || !HOST_LABEL.test(this.bucket) : pathStyle;
    const host = inPath ? url.host : `${this.bucket}.${url.host}`;
    const root = url.pathname.replace(/\/+$/, '');
    return { origin: `${url.protocol}//${host}`, host, base: inPath ? `${root}/${encodePath(this.bucket)}/` : `${root}/` };
  }
}

interface Framing {
  readonly payloadHash: string;
  readonly size: number | undefined;
  body(signature: Signature | undefined): { body?: Uint8Array | AsyncIterable<Uint8Array> };
}

interface Cure {
  readonly name: string;
  apply(): void;
}

const NO_BODY: Framing = { payloadHash: EMPTY_SHA256, size: 0, body: () => ({}) };
const REFRESHABLE = new Set(['ExpiredToken', 'ExpiredTokenException', 'TokenRefreshRequired', 'InvalidToken', 'InvalidAccessKeyId', 'SignatureDoesNotMatch']);
const MISDIRECTED = new Set(['AuthorizationHeaderMalformed', 'IllegalLocationConstraintException', 'PermanentRedirect', 'TemporaryRedirect', 'Redirect']);

function wholeBody(body: Payload, signed: boolean, where: () => string): Framing {
  const bytes = body.bytes ?? new Uint8Array(0);
  if (bytes.length !== body.size) throw wrongSize(bytes.length, body.size, where());
  const payloadHash = !signed ? UNSIGNED : body.sha256 ?? (bytes.length === 0 ? EMPTY_SHA256 : hash('sha256', bytes, 'hex'));
  return { payloadHash, size: bytes.length, body: () => ({ body: bytes }) };
}

/** A user's own Content-Encoding stays behind the token that describes the transfer. */
function pushChunked(headers: string[], size: number): void {
  headers.push('x-amz-decoded-content-length', String(size));
  for (let i = 0; i < headers.length; i += 2) {
    if (headers[i] === 'content-encoding') {
      headers[i + 1] = `aws-chunked,${headers[i + 1] as string}`;
      return;
    }
  }
  headers.push('content-encoding', 'aws-chunked');
}

/** Why a key can never be sent, whatever the provider's rules for names. */
export function unaddressable(key: Key, absolute: string, profile: ProviderProfile): { readonly code: string; readonly message: string } | undefined {
  if (key === '') return { code: 'E_KEY_EMPTY', message: 'the key is empty below the prefix' };
  if (!isUtf8Key(absolute)) return { code: 'E_NAME_NOT_UTF8', message: 'the name is not valid UTF-8, and keys of object stores are' };
  if (profile.normalisesDots && absolute.includes('.') && DOT_SEGMENT.test(absolute)) {
    return { code: 'E_KEY_UNADDRESSABLE', message: `${profile.name} rewrites \`.\` and \`..\` in paths, so this key would name something else` };
  }
  return undefined;
}

/** Reversible (F046): in a name that is not UTF-8, each invalid byte and each percent sign becomes %XX. */
function escapeInvalid(key: Key): string {
  let out = '';
  for (const character of key) {
    const escape = character === '%' || !isUtf8Key(character);
    out += escape ? `%${keyToBytes(character).toString('hex').toUpperCase()}` : character;
  }
  return out;
}


function bucketPath(base: string): string {
  return base === '/' ? base : base.slice(0, -1);
}

function isAddress(hostname: string): boolean {
  return hostname === 'localhost' || /^[\d.]+$/.test(hostname) || hostname.startsWith('[');
}

function awsEndpoint(region: string): string {
  return `https://s3.${region}.amazonaws.com${region.startsWith('cn-') ? '.cn' : ''}`;
}

async function readFailure(response: HttpResponse): Promise<Failure> {
  let text = '';
  try {
    text = (await response.body.collect(ERROR_BODY)).toString('utf8');
  } catch (thrown) {
    if (thrown instanceof BrigadeError && thrown.kind === 'cancelled') throw thrown;
    response.body.discard(); // the status alone still says what failed
  }
  return failureOf(response.status, response.headers, text);
}

/** The same error with what was tried and where. */
function located(error: BrigadeError, op: string, location: string): BrigadeError {
  const { code, kind, message, hint, status, retryAfterMs, cause } = error;
  return new BrigadeError({
    code, kind, op, location, message: kind === 'cancelled' || error.op !== undefined ? message : `${op}: ${message}`,
    ...(hint === undefined ? {} : { hint }), ...(status === undefined ? {} : { status }), ...(retryAfterMs === undefined ? {} : { retryAfterMs }), cause: cause ?? error,
  });
}
