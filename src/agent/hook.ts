/** A hook may look at each verified request and answer it in the endpoint's place: denied actions, held requests, broken connections. */
import type { Reply } from './context.ts';
import { S3Error, s3Error } from './errors.ts';
import type { S3Request } from './request.ts';
import type { Route } from './routing.ts';
import type { Verified } from './sigv4.ts';

/** What a hook sees: after the signature was verified, before anything is done. */
export interface RequestInfo {
  readonly operation: string;
  readonly method: string;
  readonly bucket: string;
  readonly key: string;
  readonly query: ReadonlyMap<string, string>;
  readonly headers: ReadonlyMap<string, string>;
  readonly accessKey: string;
}

/** What a hook may answer instead: an S3 error by code, a canned answer, or a broken connection. */
export type HookAnswer =
  | { readonly code: string; readonly message?: string; readonly headers?: Record<string, string>; readonly status?: number }
  | { readonly status: number; readonly headers?: Record<string, string>; readonly body?: string }
  | { readonly reset: true };

export type RequestHook = (info: RequestInfo) => HookAnswer | undefined | void | Promise<HookAnswer | undefined | void>;

/** Thrown to break the connection without an answer. */
export class ResetConnection extends Error {}

/** The answer of a hook, if it gives one. */
export async function askHook(hook: RequestHook, request: S3Request, route: Route, verified: Verified): Promise<Reply | undefined> {
  const answer = await hook({
    operation: route.operation, method: request.method, bucket: request.bucket, key: request.key,
    query: request.query, headers: request.headers, accessKey: verified.accessKey.id,
  });
  if (!answer) return undefined;
  if ('reset' in answer) throw new ResetConnection();
  if (!('code' in answer)) return answer;
  const error = s3Error(answer.code, { ...(answer.message === undefined ? {} : { message: answer.message }), headers: answer.headers ?? {} });
  throw answer.status === undefined ? error : new S3Error(error.code, answer.status, error.message, error.details, error.headers);
}
