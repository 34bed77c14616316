/** What can go wrong between a client and an object store. Bytes count from 0, times are milliseconds. */
export type Fault =
  /** An error document; with `body` that body instead. The target is not asked. */
  | { readonly kind: 'status'; readonly status: number; readonly code?: string; readonly message?: string; readonly headers?: Record<string, string>; readonly body?: string }
  /** 200 without a byte. */
  | { readonly kind: 'empty' }
  /** 200 with a web page, as captive portals and load balancers send. */
  | { readonly kind: 'html' }
  /** 200 with an <Error> document (Complete, Copy). `performed`: the target did the work all the same. */
  | { readonly kind: 'error in 200'; readonly code?: string; readonly message?: string; readonly performed?: boolean }
  /** A redirect; Location defaults to the target's own address. */
  | { readonly kind: 'redirect'; readonly status: 301 | 302 | 307 | 308; readonly location?: string; readonly headers?: Record<string, string> }
  /** The XML ends early, with a Content-Length that fits what is left. */
  | { readonly kind: 'truncated xml'; readonly keep?: number }
  /** IsTruncated is true and no token or marker is given. */
  | { readonly kind: 'truncated without token' }
  /** The next token is the one that was just used. Without one in the request the page passes. */
  | { readonly kind: 'repeated token' }
  /** The page just as the target wrote it, changed by hand. */
  | { readonly kind: 'rewrite'; readonly edit: (text: string) => string }
  /** The connection closes in an orderly way after so many body bytes, the announced length unchanged. */
  | { readonly kind: 'cut'; readonly after: number }
  /** Nothing more comes after so many body bytes; with `ms` it goes on later. */
  | { readonly kind: 'stall'; readonly after: number; readonly ms?: number }
  /** No Content-Length; the connection closes after so many bytes, as if that were all. */
  | { readonly kind: 'short close'; readonly after: number }
  /** The connection is reset before the target is asked, or after so many bytes of the answer. */
  | { readonly kind: 'reset'; readonly after?: number }
  /** The target does the work; the client gets a reset connection, or `status`. */
  | { readonly kind: 'lost answer'; readonly status?: number }
  /** One bit of one byte is turned over, in the answer or in the request. Default place: drawn from the seed, for requests in the
   * middle half (clear of chunk headers). */
  | { readonly kind: 'flip'; readonly on: 'read' | 'write'; readonly at?: number }
  /** The body comes in pieces of `bytes` every `ms`. */
  | { readonly kind: 'drip'; readonly bytes: number; readonly ms: number }
  /** 200 with the whole body although a range was asked. Needs the proxy's credentials when the client signs Range. */
  | { readonly kind: 'ignore range' }
  /** Content-Range shifted by so many bytes (default 1); the body is unchanged. */
  | { readonly kind: 'wrong content range'; readonly shift?: number }
  /** The body is compressed on the way: Content-Encoding gzip and no length. */
  | { readonly kind: 'gzip' }
  /** A body stored compressed is unpacked on the way: no Content-Encoding and no length (Google Cloud Storage does this). */
  | { readonly kind: 'gunzip' }
  /** The Date header is off. */
  | { readonly kind: 'skewed date'; readonly ms: number }
  /** The endpoint's clock is off by `ms`: requests signed more than 15 minutes from its time get RequestTimeTooSkewed, answers carry its Date.
   * Requests signed for its time pass on as they are: a target that checks the time itself must allow for as much. */
  | { readonly kind: 'clock skew'; readonly ms: number }
  /** 503 SlowDown without any hint above so many requests a second; with a range the limit is drawn anew every `everyMs` (default 10 s). */
  | { readonly kind: 'rate limit'; readonly perSecond: number | readonly [least: number, most: number]; readonly everyMs?: number }
  /** Headers of the answer set, or removed when undefined. */
  | { readonly kind: 'headers'; readonly set: Readonly<Record<string, string | undefined>> }
  /** The request waits before it goes on; other rules may hit it too. */
  | { readonly kind: 'latency'; readonly ms: number };
