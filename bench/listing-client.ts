/** One listing, as bench/listing.ts measures it: `node bench/listing-client.ts ENDPOINT BUCKET HOW LANES`, HOW being lister, plan or sdk (the AWS SDK, page after page). Prints one line of JSON. */
import { Secret } from '../src/core/secret.ts';
import { plan } from '../src/engine/planner.ts';
import { listAll } from '../src/engine/list-all.ts';
import { createS3Store, profileOf } from '../src/stores/s3/index.ts';
import { systemClock } from '../src/telemetry/clock.ts';

const [endpoint = '', bucket = '', how = 'lister', lanes = '32'] = process.argv.slice(2);
const clock = systemClock();
const never = new AbortController().signal;
/** The same ones each time, as every source of the product gives them: others are derived a day's key for, once for each request. */
const credentials = { accessKeyId: 'null', secretAccessKey: new Secret('null-null-null') };
const open = (name: string) => createS3Store({ endpoint, region: 'us-east-1', bucket: name, profile: profileOf('aws'), pathStyle: true, clock, credentials: { resolve: async () => credentials, current: () => credentials, invalidate: () => undefined, describe: 'none' } });

let keys = 0;
let firstMs: number | undefined;
const started = performance.now();
let cpu = process.cpuUsage();
function saw(count: number): void {
  if (count > 0) firstMs ??= performance.now() - started;
  keys += count;
}

async function listBySdk(): Promise<void> {
  const { S3Client, paginateListObjectsV2 } = await import('@aws-sdk/client-s3');
  const client = new S3Client({ endpoint, region: 'us-east-1', forcePathStyle: true, credentials: { accessKeyId: 'null', secretAccessKey: 'null-null-null' } });
  cpu = process.cpuUsage(); // without loading it
  for await (const { Contents = [] } of paginateListObjectsV2({ client }, { Bucket: bucket })) saw(Contents.length);
  client.destroy();
}

const source = open(bucket);
if (how === 'lister') {
  await listAll(source, { lanes: Number(lanes), clock }, (entries) => saw(entries.length), never);
} else if (how === 'sdk') {
  await listBySdk();
} else {
  const destination = open('empty');
  await plan({
    source, destination, clock, lanes: Number(lanes), events: { emit: () => undefined }, sorter: () => { throw new Error('in order'); }, left: () => () => undefined,
    options: { selection: { include: [], exclude: [] }, batch: { objects: 1000, bytes: 2 ** 30, seconds: 60 }, compare: 'auto', onConflict: 'overwrite', mtimeStepMs: 0 },
    save: ({ tasks }) => { for (const { items } of tasks) saw(items.length); },
  }, [], never);
  await destination.close();
}
const { user, system } = process.cpuUsage(cpu);
console.log(JSON.stringify({ keys, wallMs: performance.now() - started, cpuMs: (user + system) / 1000, systemMs: system / 1000, firstMs, rss: process.resourceUsage().maxRSS * 1024 }));
await source.close();
