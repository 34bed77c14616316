/**
 * HEAD has no body, so its refusals have no code: a session that ended looks like a malformed request (F082). The same question as a GET
 * tells the code, and is cured on the way where a second signature can; HEAD is then asked once more.
 */
import { BrigadeError } from '../../core/errors.ts';
import { encodeQuery } from './encode.ts';
import { classify, failureOf } from './errors.ts';
import type { S3Call, S3Client } from './client.ts';
import type { HttpResponse } from './transport.ts';

/** A question about the object of `key`, or about the bucket. Errors are those of a GET; a missing object is `gone` only while its bucket answers (F028). */
export async function askHead(client: S3Client, call: Omit<S3Call, 'method'>): Promise<HttpResponse> {
  const head: S3Call = { ...call, method: 'HEAD' };
  try {
    return await client.send(head);
  } catch (thrown) {
    if (!(thrown instanceof BrigadeError)) throw thrown;
    if (thrown.status === 404 && call.scope === 'object') throw await explainMissing(client, head);
    if (thrown.status !== 400 && thrown.status !== 403) throw thrown;
    await askByGet(client, head);
    return await client.send(head);
  }
}

/** Throws what a GET says of the same; a GET that has nothing against the request, or nothing to read, is no explanation. */
async function askByGet(client: S3Client, head: S3Call): Promise<void> {
  const headers = head.headers ?? [];
  const least: S3Call = head.scope === 'bucket' ? { ...head, method: 'GET', query: encodeQuery({ 'list-type': '2', 'max-keys': '1' }) } : { ...head, method: 'GET', headers: [...headers, 'range', 'bytes=0-0'] };
  try {
    (await client.send(least)).body.discard();
  } catch (thrown) {
    if (!(thrown instanceof BrigadeError && (thrown.kind === 'gone' || thrown.code === 'E_RANGE'))) throw thrown;
  }
}

async function explainMissing(client: S3Client, head: S3Call): Promise<BrigadeError> {
  await bucketAnswers(client, head);
  return classify(failureOf(404, {}, '<Error><Code>NoSuchKey</Code></Error>'), client.circumstances(head));
}

/** Throws when the bucket is missing; a refusal to list it proves that it is there. */
async function bucketAnswers(client: S3Client, { headers = [], signal }: S3Call): Promise<void> {
  try {
    (await askHead(client, { op: 'HeadBucket', headers, scope: 'bucket', signal })).body.discard();
  } catch (thrown) {
    if (!(thrown instanceof BrigadeError && thrown.status === 403)) throw thrown;
  }
}
