/**
 * The AWS SDK lists one bucket, page after page: `node bench/sdk-listing.ts ENDPOINT BUCKET`. Prints one line of JSON: keys, and milliseconds of processor
 * time for all of them, without the start of the process. A peer for figures by the key: what these machines need for it differs by two.
 */
import { ListObjectsV2Command, type ListObjectsV2CommandOutput, S3Client } from '@aws-sdk/client-s3';

const [endpoint = '', Bucket = ''] = process.argv.slice(2);
const client = new S3Client({ endpoint, region: 'us-east-1', forcePathStyle: true, credentials: { accessKeyId: 'null', secretAccessKey: 'null-null-null' } });

let keys = 0;
let after: string | undefined;
const started = process.cpuUsage();
do {
  const page: ListObjectsV2CommandOutput = await client.send(new ListObjectsV2Command({ Bucket, ...(after === undefined ? {} : { ContinuationToken: after }) }));
  keys += page.Contents?.length ?? 0;
  after = page.NextContinuationToken;
} while (after !== undefined);
const { user, system } = process.cpuUsage(started);
console.log(JSON.stringify({ keys, cpuMs: (user + system) / 1000 }));
client.destroy();
