// SeaweedFS as four processes: master, volume server, filer and S3 gateway.
// One `weed server` would do, but its master then sleeps 18 s over an election it cannot lose.
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { weedBinary } from './binaries.ts';
import { answers, credentials, freePorts, startServer, untilReady } from './process.ts';
import type { Server } from './process.ts';

const loopback = ['-ip=127.0.0.1', '-ip.bind=127.0.0.1'];

/** Starts SeaweedFS 3.39 (January 2023). @throws Error when it is not installed or does not come up. */
export function startSeaweedfs(): Promise<Server> {
  const binary = weedBinary();
  return startServer('seaweedfs', async (place) => {
    const data = join(place.directory, 'data');
    const identities = join(place.directory, 's3.json');
    await Promise.all([mkdir(data), writeFile(identities, JSON.stringify(identity()))]);
    const [master, masterGrpc, volume, volumeGrpc, filer, filerGrpc, s3, s3Grpc] = await freePorts(8);
    const masterAddress = `127.0.0.1:${master}.${masterGrpc}`;
    place.start('master', [
      binary, 'master', ...loopback, `-port=${master}`, `-port.grpc=${masterGrpc}`, `-mdir=${data}`, '-volumeSizeLimitMB=1024',
      '-raftHashicorp', '-raftBootstrap', '-electionTimeout=100ms', '-heartbeatInterval=50ms',
    ]);
    await untilReady('seaweedfs master', place.processes, () => answers(`http://127.0.0.1:${master}/cluster/healthz`));
    place.start('volume', [
      binary, 'volume', ...loopback, `-port=${volume}`, `-port.grpc=${volumeGrpc}`, `-dir=${data}`, `-mserver=${masterAddress}`, '-max=2000',
      '-minFreeSpace=0',
    ]);
    place.start('filer', [
      binary, 'filer', ...loopback, `-port=${filer}`, `-port.grpc=${filerGrpc}`, `-master=${masterAddress}`, `-defaultStoreDir=${data}`,
    ]);
    await untilReady('seaweedfs filer', place.processes, () => answers(`http://127.0.0.1:${filer}/`));
    place.start('s3', [
      binary, 's3', '-ip.bind=127.0.0.1', `-port=${s3}`, `-port.grpc=${s3Grpc}`, `-filer=127.0.0.1:${filer}.${filerGrpc}`, `-config=${identities}`,
    ]);
    const endpoint = `http://127.0.0.1:${s3}`;
    // The S3 gateway answers before any volume can be written to; only the master knows.
    await untilReady('seaweedfs', place.processes, async () => (await answers(endpoint)) && (await canWrite(`http://127.0.0.1:${master}`)));
    return { name: 'seaweedfs', endpoint };
  });
}

function identity(): unknown {
  const { accessKeyId: accessKey, secretAccessKey: secretKey } = credentials;
  return { identities: [{ name: 'test', credentials: [{ accessKey, secretKey }], actions: ['Admin', 'Read', 'Write', 'List', 'Tagging'] }] };
}

async function canWrite(master: string): Promise<boolean> {
  const response = await fetch(`${master}/dir/assign`, { signal: AbortSignal.timeout(5000) });
  const answer = await response.json() as { fid?: string };
  return answer.fid !== undefined;
}
