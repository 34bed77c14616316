/**
 * Kills an agent with SIGKILL again and again while clients write to it, and looks after each start whether every object is the old or
 * the whole new one: bytes, metadata and ETag of one and the same write.
 *
 *     node test/agent/kill.ts [--layout objects|files] [--uploads 200] [--kills 40] [--seed N]
 */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { parseArgs } from 'node:util';
import { CompleteMultipartUploadCommand, CreateBucketCommand, CreateMultipartUploadCommand, DeleteObjectCommand, GetObjectCommand, PutObjectCommand, UploadPartCommand } from '@aws-sdk/client-s3';
import type { S3Client } from '@aws-sdk/client-s3';
import { isHarmless } from '../../src/agent/fsck/report.ts';
import { fsck, makeSite, startAgent, type Agent, type Site } from './site.ts';

const Bucket = 'bucket';
const part = 64 * 1024;

export interface KillOptions {
  readonly layout: Site['layout'];
  /** Uploads that are to be tried, cut off or not. */
  readonly uploads: number;
  readonly kills: number;
  readonly seed: number;
}

export interface KillResult {
  readonly tried: number;
  readonly finished: number;
  readonly cutOff: number;
  /** Of those cut off: what was found after the next start. */
  readonly old: number;
  readonly whole: number;
  readonly kills: number;
  readonly objects: number;
}

/** A generator of 32-bit numbers: the same for the same seed (mulberry32). */
function randomOf(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** One write of a key: its bytes follow from its number alone. */
interface Write { readonly number: number; readonly parts: readonly number[]; readonly deletes: boolean }

const bytesOf = (write: Write, index: number): Buffer => {
  const bytes = Buffer.alloc(write.parts[index] ?? 0);
  for (let at = 0, block = 0; at < bytes.length; block++) at += createHash('sha512').update(`${write.number}/${index}/${block}`).digest().copy(bytes, at);
  return bytes;
};
const wholeOf = (write: Write): Buffer => Buffer.concat(write.parts.map((_, index) => bytesOf(write, index)));

async function perform(client: S3Client, Key: string, write: Write): Promise<void> {
  const Metadata = { write: String(write.number) };
  if (write.deletes) await client.send(new DeleteObjectCommand({ Bucket, Key }));
  else if (write.parts.length === 1) await client.send(new PutObjectCommand({ Bucket, Key, Body: bytesOf(write, 0), Metadata }));
  else {
    const { UploadId } = await client.send(new CreateMultipartUploadCommand({ Bucket, Key, Metadata }));
    const Parts = [];
    for (const index of write.parts.keys()) {
      const { ETag } = await client.send(new UploadPartCommand({ Bucket, Key, UploadId, PartNumber: index + 1, Body: bytesOf(write, index) }));
      Parts.push({ ETag, PartNumber: index + 1 });
    }
    await client.send(new CompleteMultipartUploadCommand({ Bucket, Key, UploadId, MultipartUpload: { Parts } }));
  }
}

/** What a reader sees at a key: the number of a write whose every byte, metadata and ETag it is. */
async function seen(client: S3Client, Key: string, candidates: readonly Write[]): Promise<Write> {
  const found = await client.send(new GetObjectCommand({ Bucket, Key })).catch((error: { name?: string }) => {
    if (error.name === 'NoSuchKey') return undefined;
    throw error;
  });
  if (found === undefined) {
    const gone = candidates.find((write) => write.deletes);
    assert.ok(gone, `${Key} is gone, and nobody deleted it`);
    return gone;
  }
  const write = candidates.find(({ number, deletes }) => !deletes && String(number) === found.Metadata?.['write']);
  assert.ok(write, `${Key} has the metadata of write ${found.Metadata?.['write']}, not of one of ${candidates.map(({ number }) => number)}`);
  const whole = wholeOf(write);
  assert.ok(Buffer.from(await found.Body!.transformToByteArray()).equals(whole), `${Key} has other bytes than write ${write.number}`);
  if (write.parts.length === 1) assert.equal(found.ETag, `"${createHash('md5').update(whole).digest('hex')}"`);
  else assert.match(found.ETag ?? '', new RegExp(`-${write.parts.length}"$`));
  return write;
}

class Writers {
  readonly #random: () => number;
  readonly #now = new Map<string, Write>();
  readonly #cut = new Map<string, Write>();
  readonly counts = { tried: 0, finished: 0, cutOff: 0, old: 0, whole: 0 };
  readonly #most: number;

  constructor(seed: number, most: number) {
    this.#random = randomOf(seed);
    this.#most = most;
  }

  get done(): boolean {
    return this.counts.tried >= this.#most;
  }

  /** One of four clients: writes keys of its own until the agent dies. */
  async run(agent: Agent, lane: number, stopped: () => boolean): Promise<void> {
    while (!stopped() && !this.done) {
      const key = `dir-${lane}/${Math.floor(this.#random() * 3)}/key-${Math.floor(this.#random() * 2)}`;
      const write = this.#next(key);
      this.counts.tried++;
      try {
        await perform(agent.client, key, write);
        this.counts.finished++;
        this.#now.set(key, write);
      } catch (error) {
        if (!stopped()) throw error;
        this.counts.cutOff++;
        this.#cut.set(key, write);
        return;
      }
    }
  }

  /** Every key ever written is the last write that was acknowledged, or the one that was cut off. */
  async check(agent: Agent): Promise<void> {
    const nothing: Write = { number: 0, parts: [], deletes: true };
    for (const key of new Set([...this.#now.keys(), ...this.#cut.keys()])) {
      const [before, cut] = [this.#now.get(key) ?? nothing, this.#cut.get(key)];
      const found = await seen(agent.client, key, cut === undefined ? [before] : [before, cut]);
      if (cut !== undefined) this.counts[found === cut ? 'whole' : 'old']++;
      this.#now.set(key, found);
    }
    this.#cut.clear();
  }

  #next(key: string): Write {
    const kind = this.#random();
    const number = this.counts.tried + 1;
    if (kind < 0.1 && this.#now.get(key)?.deletes === false) return { number, parts: [], deletes: true };
    if (kind < 0.55) return { number, parts: [Math.floor(this.#random() ** 3 * 400_000)], deletes: false };
    return { number, parts: [part, part + Math.floor(this.#random() * 100_000), Math.floor(this.#random() * part)], deletes: false };
  }
}

/** Throws an AssertionError where an object is neither old nor new, or fsck finds a problem. */
export async function killRun(options: KillOptions): Promise<KillResult> {
  const site = await makeSite(options.layout);
  const random = randomOf(options.seed + 1);
  const writers = new Writers(options.seed, options.uploads);
  let agent = await startAgent(site);
  let kills = 0;
  try {
    await agent.client.send(new CreateBucketCommand({ Bucket }));
    while (!writers.done) {
      let stopped = false;
      const lanes = Promise.all([0, 1, 2, 3].map((lane) => writers.run(agent, lane, () => stopped)));
      if (kills < options.kills) {
        await Promise.race([lanes, new Promise((resolve) => setTimeout(resolve, 15 + random() * 200))]);
        stopped = true;
        kills++;
        await agent.kill('SIGKILL');
        await lanes;
        const { report, findings } = await fsck(site, true);
        assert.equal(report.problems, 0, `after kill ${kills}: ${JSON.stringify(findings.filter((finding) => !isHarmless(finding)))}`);
        agent = await startAgent(site);
        await writers.check(agent);
      } else await lanes;
    }
    await writers.check(agent);
    assert.equal(await agent.kill('SIGTERM'), 0, 'it ended cleanly');
    const { report, findings } = await fsck(site, true);
    assert.deepEqual(findings.filter(({ kind }) => kind !== 'stale_record'), [], 'fsck is clean');
    return { ...writers.counts, kills, objects: report.objects };
  } finally {
    await agent.kill('SIGKILL');
    await site.remove();
  }
}

if (import.meta.main) {
  const { values } = parseArgs({ options: { layout: { type: 'string' }, uploads: { type: 'string', default: '200' }, kills: { type: 'string', default: '40' }, seed: { type: 'string', default: '1' } } });
  for (const layout of ['objects', 'files'] as const) {
    if (values.layout !== undefined && values.layout !== layout) continue;
    const result = await killRun({ layout, uploads: Number(values.uploads), kills: Number(values.kills), seed: Number(values.seed) });
    console.log(`${layout}: ${JSON.stringify(result)}: every object old or whole new, fsck clean`);
  }
}
