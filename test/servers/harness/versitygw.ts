// Versity S3 Gateway over a plain directory: objects are files, metadata is extended attributes.
import { once } from 'node:events';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { connect } from 'node:tls';
import { versitygwBinary } from './binaries.ts';
import { selfSigned } from './certificate.ts';
import { answers, credentials, freePort, startServer, untilReady } from './process.ts';
import type { Server } from './process.ts';

export interface VersitygwOptions {
  /** Allows buckets to be versioned. */
  readonly versioning?: boolean;
  /** Serves https with a certificate of its own; trust `caFile`. */
  readonly tls?: boolean;
}

/** Starts Versity S3 Gateway. @throws Error when it is not installed or does not come up. */
export function startVersitygw({ versioning = false, tls = false }: VersitygwOptions = {}): Promise<Server> {
  const binary = versitygwBinary();
  return startServer('versitygw', async (place) => {
    const data = join(place.directory, 'data');
    const versions = join(place.directory, 'versions');
    await Promise.all([mkdir(data), mkdir(versions)]);
    const certificate = tls ? await selfSigned(place.directory) : undefined;
    const port = await freePort();
    const main = place.start('versitygw', [
      binary, '--port', `127.0.0.1:${port}`, '--quiet', '--keep-alive',
      ...(certificate === undefined ? [] : ['--cert', certificate.cert, '--key', certificate.key]),
      'posix', ...(versioning ? ['--versioning-dir', versions] : []), data,
    ], { ROOT_ACCESS_KEY: credentials.accessKeyId, ROOT_SECRET_KEY: credentials.secretAccessKey, VGW_REGION: credentials.region });
    await untilReady('versitygw', [main], () => (tls ? shakesHands(port) : answers(`http://127.0.0.1:${port}/`)));
    return certificate === undefined
      ? { name: 'versitygw', endpoint: `http://127.0.0.1:${port}` }
      : { name: 'versitygw', endpoint: `https://127.0.0.1:${port}`, caFile: certificate.cert };
  });
}

/** Only whether a TLS server listens: trusting its certificate is the client's matter. */
async function shakesHands(port: number): Promise<boolean> {
  const socket = connect({ host: '127.0.0.1', port, rejectUnauthorized: false });
  try {
    await once(socket, 'secureConnect');
    return true;
  } finally {
    socket.destroy();
  }
}
