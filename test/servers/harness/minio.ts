// MinIO over one directory.
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { minioBinary } from './binaries.ts';
import { credentials, freePorts, startServer, untilReady } from './process.ts';
import type { Server } from './process.ts';

/** Starts MinIO. @throws Error when it is not installed or does not come up. */
export function startMinio(): Promise<Server> {
  const binary = minioBinary();
  return startServer('minio', async (place) => {
    const data = join(place.directory, 'data');
    await mkdir(data);
    const [port, console] = await freePorts(2);
    const endpoint = `http://127.0.0.1:${port}`;
    const main = place.start('minio', [
      binary, 'server', '--quiet', '--address', `127.0.0.1:${port}`, '--console-address', `127.0.0.1:${console}`, data,
    ], {
      MINIO_ROOT_USER: credentials.accessKeyId,
      MINIO_ROOT_PASSWORD: credentials.secretAccessKey,
      MINIO_BROWSER: 'off',
      MINIO_UPDATE: 'off',
      MINIO_CALLHOME_ENABLE: 'off',
      HOME: place.directory,
    });
    await untilReady('minio', [main], async () => (await fetch(`${endpoint}/minio/health/cluster`)).status === 200);
    return { name: 'minio', endpoint };
  });
}
