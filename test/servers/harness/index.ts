// Real S3 servers, queues and real clients for tests: start one, use it, stop it.
import { startMinio } from './minio.ts';
import { startMoto } from './moto.ts';
import { startNats, startNatsCluster } from './nats.ts';
import { startNetwork } from './network.ts';
import type { Server } from './process.ts';
import { startRadosgw } from './radosgw.ts';
import { startSeaweedfs } from './seaweedfs.ts';
import { startVersitygw } from './versitygw.ts';

export { binaries, installCommand } from './binaries.ts';
export type { Binaries } from './binaries.ts';
export { startMinio, startMoto, startNats, startNatsCluster, startNetwork, startRadosgw, startSeaweedfs, startVersitygw };
export type { NatsCluster, NatsServer } from './nats.ts';
export type { Link, Network } from './network.ts';
export type { RadosgwOptions } from './radosgw.ts';
export type { VersitygwOptions } from './versitygw.ts';
export type { Server } from './process.ts';

export interface ServerKind {
  readonly name: string;
  start(): Promise<Server>;
}

const kinds: readonly ServerKind[] = [
  { name: 'minio', start: startMinio },
  { name: 'radosgw', start: startRadosgw },
  { name: 'seaweedfs', start: startSeaweedfs },
  { name: 'versitygw', start: startVersitygw },
];

/** The kinds of server to test: all, or those BRIGADE_TEST_ONLY names (comma-separated). @throws Error on an unknown name. */
export function serverKinds(): readonly ServerKind[] {
  const only = process.env['BRIGADE_TEST_ONLY'];
  if (only === undefined || only === '') return kinds;
  return only.split(',').map((name) => {
    const kind = kinds.find((k) => k.name === name);
    if (kind === undefined) throw new Error(`BRIGADE_TEST_ONLY: no server "${name}"; there are ${kinds.map((k) => k.name).join(', ')}`);
    return kind;
  });
}

/** Whether tests with gigabytes are wanted (BRIGADE_TEST_LARGE=1). */
export const largeTests = (): boolean => process.env['BRIGADE_TEST_LARGE'] === '1';
