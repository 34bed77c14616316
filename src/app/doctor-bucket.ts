/**
 * What both buckets of a migration have in common: is the endpoint there, are we let in, does the bucket exist, in which region, by which
 * clock. A check that cannot run because an earlier one failed has no line: the earlier line says why.
 */
import { describeCredentials, type S3Location, showLocation, usesEnvironment } from '../config/index.ts';
import { BrigadeError } from '../core/errors.ts';
import { together } from '../core/together.ts';
import { showDuration } from '../core/units.ts';
import type { ListPage, Store } from '../ports/storage.ts';
import type { BucketFacts, S3Control } from '../stores/s3/index.ts';
import { type Examination, fail, failure, type Findings, isDenied, ok, patiently, settle, type Side, warn } from './doctor-lines.ts';
import { credentialsOf, openRawSide, type ProbedSide, providerOf } from './doctor-open.ts';

export interface ExaminedBucket {
  readonly store: Store;
  readonly control: S3Control;
  readonly provider: ProbedSide;
  /** The first page of the listing; absent where listing is denied. */
  readonly page: ListPage | undefined;
}

const WARN_SKEW_MS = 60_000;
const MOST_SKEW_MS = 10 * 60_000;

/** The opened bucket, or undefined where nothing more can be asked of it. The caller closes the store. */
export async function* examineBucket(exam: Examination, side: Side, location: S3Location): Findings<ExaminedBucket | undefined> {
  const { migration, around } = exam;
  const resolved = await settle(Promise.resolve(credentialsOf(location, around).resolve(around.signal)));
  if (resolved.error !== undefined) {
    yield failure(`${side}: credentials`, resolved.error, 'check credentials: of this connection');
    return undefined;
  }
  let provider: ProbedSide = { provider: await providerOf(location), ...optionalRegion(location.connection.region) };
  const opened = await settle(openRawSide(migration, side, around, provider));
  if (opened.error !== undefined) {
    yield failure(`${side}: reach`, opened.error);
    return undefined;
  }
  const answer = await knock(exam, opened.value);
  if (answer.facts?.server !== undefined) provider = { ...provider, provider: await providerOf(location, answer.facts.server) };
  const region = location.connection.region ?? answer.facts?.region;
  const entered = yield* judge(exam, side, location, answer, provider.provider);
  await opened.value.close();
  if (!entered) return undefined;
  provider = { provider: provider.provider, ...optionalRegion(answer.facts?.region ?? region) };
  const store = await openRawSide(migration, side, around, provider);
  return { store, control: await controlFor(store), provider, page: answer.page };
}

function optionalRegion(region: string | undefined): { readonly region?: string } {
  return region === undefined ? {} : { region };
}

interface Answer {
  readonly facts?: BucketFacts;
  readonly page?: ListPage;
  /** Why there is no page. */
  readonly error?: BrigadeError;
  readonly requesterPays?: boolean;
}

/** HEAD of the bucket and one page of its listing: the page's error has the code that an answer to HEAD cannot have. */
async function knock(exam: Examination, store: Store): Promise<Answer> {
  const { clock, signal } = exam.around;
  const control = await controlFor(store);
  const [asked, page] = await together(settle(patiently(clock, signal, () => control.headBucket(signal))), settle(patiently(clock, signal, () => firstPage(store, signal))));
  let head = asked;
  if (head.error !== undefined && head.error.status === undefined) return { error: head.error };
  // A listing may have taught the region that the HEAD did not.
  if (head.error !== undefined && page.error === undefined) head = await settle(control.headBucket(signal));
  const facts = head.value === undefined ? {} : { facts: head.value };
  if (page.error === undefined) return { ...facts, page: page.value };
  return { ...facts, error: page.error, requesterPays: isDenied(page.error) && await asksRequesterToPay(exam, store) };
}

export async function controlFor(store: Store): Promise<S3Control> {
  const control = (await import('../stores/s3/index.ts')).controlOf(store);
  if (control === undefined) throw new TypeError('the store was not made by the S3 driver');
  return control;
}

/** A store that shows here that it keeps no order is listed once more, as one (F050). */
export async function firstPage(store: Store, signal: AbortSignal, prefix?: string): Promise<ListPage> {
  try {
    return await pageOf(store, signal, prefix);
  } catch (thrown) {
    if (thrown instanceof BrigadeError && thrown.code === 'E_LIST_ORDER' && !store.facts.ordered) return pageOf(store, signal, prefix);
    throw thrown;
  }
}

async function pageOf(store: Store, signal: AbortSignal, prefix?: string): Promise<ListPage> {
  for await (const page of store.list({ signal, ...(prefix === undefined ? {} : { prefix }) })) return page;
  return { entries: [] };
}

/** F077: the bucket says so, or lets in who offers to pay (one HEAD). */
async function asksRequesterToPay(exam: Examination, denied: Store): Promise<boolean> {
  const { migration, around } = exam;
  if (migration.requesterPays) return false;
  const said = await settle((await controlFor(denied)).requesterPays(around.signal));
  if (said.value !== undefined) return said.value;
  const location = migration.source;
  if (location.kind !== 's3' || !denied.address.startsWith(`s3://${location.bucket}`)) return false;
  const paying = await openRawSide({ ...migration, requesterPays: true }, 'source', around, { provider: denied.facts.provider, ...optionalRegion(location.connection.region) });
  try {
    return (await settle(firstPage(paying, around.signal))).error === undefined;
  } finally {
    await paying.close();
  }
}

/** The lines of an answer; true when the bucket can be worked in. */
async function* judge(exam: Examination, side: Side, location: S3Location, answer: Answer, provider: string): Findings<boolean> {
  const { error, facts } = answer;
  if (error !== undefined && (error.status === undefined && !error.code.startsWith('E_LIST'))) {
    yield failure(`${side}: reach`, error, `check the endpoint, the network and any proxy (${route(location, exam.around.env)})`);
    return false;
  }
  yield ok(`${side}: reach`, `${endpointOf(location)} answered, ${route(location, exam.around.env)}; provider ${provider}`);
  if (error !== undefined && !isDenied(error)) return yield* judgeRefusal(exam, side, location, error, facts);
  if (answer.requesterPays === true) {
    yield fail(`${side}: requester pays`, 'the bucket is requester-pays, so every request is denied', 'set requester_pays: true (you will be billed)');
    return false;
  }
  yield credentialsLine(side, location, error === undefined ? 'accepted' : 'known to the store');
  yield ok(`${side}: bucket`, error === undefined ? `${showLocation(location)} exists` : `${showLocation(location)}: whether it exists is not told to these credentials`);
  yield* judgeFacts(side, location, facts);
  return true;
}

function credentialsLine(side: Side, location: S3Location, state: string) {
  const { credentials } = location.connection;
  const caution = usesEnvironment(credentials) ? '; from the environment: for a laptop or a lab, in a fleet use a secret store or a role' : '';
  return ok(`${side}: credentials`, `${describeCredentials(credentials)}: ${state}${caution}`);
}

async function* judgeRefusal(exam: Examination, side: Side, location: S3Location, error: BrigadeError, facts: BucketFacts | undefined): Findings<boolean> {
  if (error.code === 'E_CREDENTIALS') {
    yield failure(`${side}: credentials`, new BrigadeError({ ...factsOf(error), message: `${describeCredentials(location.connection.credentials)}: ${error.message}` }));
  } else if (error.code === 'E_BUCKET_MISSING') {
    yield credentialsLine(side, location, 'accepted');
    if (side === 'destination' && exam.migration.createBucket) yield warn(`${side}: bucket`, `${showLocation(location)} does not exist yet; the run creates it`, 'create it now to have what can be done in it checked too, or go on');
    else yield fail(`${side}: bucket`, `${showLocation(location)} does not exist`, side === 'destination' ? 'create it, correct its name, or set create_bucket: true' : 'correct its name or the endpoint');
  } else if (error.code === 'E_CLOCK_SKEW') {
    yield facts?.skewMs === undefined ? failure(`${side}: clock`, error) : skewLine(side, facts.skewMs);
  } else if (error.code === 'E_REGION') {
    yield failure(`${side}: region`, error);
  } else {
    yield failure(`${side}: list`, error, 'check the endpoint and any proxy between');
  }
  return false;
}

function factsOf(error: BrigadeError) {
  return { code: error.code, kind: error.kind, ...(error.hint === undefined ? {} : { hint: error.hint }) };
}

async function* judgeFacts(side: Side, location: S3Location, facts: BucketFacts | undefined): Findings {
  const named = location.connection.region;
  const learnt = facts?.region;
  if (named !== undefined && learnt !== undefined && named !== learnt) {
    yield warn(`${side}: region`, `the bucket is in ${learnt}, the connection says ${named}; each process learns it anew`, `set region: ${learnt}, or leave region out`);
  } else {
    yield ok(`${side}: region`, learnt ?? named ?? 'the store names none');
  }
  if (facts?.skewMs !== undefined) yield skewLine(side, facts.skewMs);
}

function skewLine(side: Side, skewMs: number) {
  const name = `${side}: clock`;
  const off = Math.abs(skewMs);
  const says = `this machine's clock is ${showDuration(off)} ${skewMs > 0 ? 'behind' : 'ahead of'} the store's`;
  const fix = 'set this machine\'s clock (chronyc makestep, or timedatectl set-ntp true)';
  if (off > MOST_SKEW_MS) return fail(name, says, fix);
  return off > WARN_SKEW_MS ? warn(name, says, fix) : ok(name, `within ${showDuration(Math.max(off, 1000))} of the store's`);
}

function endpointOf({ connection }: S3Location): string {
  return connection.endpoint ?? `Amazon S3${connection.region === undefined ? '' : ` in ${connection.region}`}`;
}

/** F087: only `proxy:` of the connection is used; a proxy in the environment that is not used is worth a word. */
function route({ connection }: S3Location, env: Examination['around']['env']): string {
  const tls = connection.insecureTls ? ', its certificate unchecked (insecure_tls)' : '';
  if (connection.proxy !== undefined) return `through the proxy ${proxyHost(connection.proxy)}${tls}`;
  const ignored = ['HTTPS_PROXY', 'https_proxy', 'HTTP_PROXY', 'http_proxy', 'ALL_PROXY'].find((name) => env[name] !== undefined && env[name] !== '');
  return `directly${ignored === undefined ? '' : ` (${ignored} of the environment is not used: write proxy: in the connection)`}${tls}`;
}

/** Without user and password. */
function proxyHost(proxy: string): string {
  return new URL(proxy).host;
}
