// Ceph Object Gateway over the smallest Ceph cluster: one monitor, one OSD, one gateway, no manager.
import { execFile } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { systemBinary } from './binaries.ts';
import { answers, credentials, freePorts, startServer, untilReady } from './process.ts';
import type { Server, Workplace } from './process.ts';

const run = promisify(execFile);

export interface RadosgwOptions {
  /** `memory` starts in a second or two; `disk` (BlueStore in a sparse file) takes some seconds more. */
  readonly store?: 'memory' | 'disk';
}

const programs = ['monmaptool', 'ceph-authtool', 'ceph-mon', 'ceph-osd', 'ceph', 'radosgw', 'radosgw-admin'] as const;
type Ceph = (program: typeof programs[number], ...args: string[]) => Promise<string>;

/** Starts radosgw 16.2.15 (Pacific). @throws Error when it is not installed or does not come up. */
export function startRadosgw({ store = 'memory' }: RadosgwOptions = {}): Promise<Server> {
  const paths = new Map(programs.map((name) => [name, systemBinary(name)]));
  const path = (name: typeof programs[number]): string => paths.get(name) ?? name;
  return startServer('radosgw', async (place) => {
    const [monitorPort = 0, port = 0] = await freePorts(2);
    const endpoint = `http://127.0.0.1:${port}`;
    const config = join(place.directory, 'ceph.conf');
    const ceph: Ceph = async (program, ...args) =>
      (await run(path(program), ['-c', config, ...args], { cwd: place.directory, timeout: 60_000 })).stdout;
    const fsid = randomUUID();
    await writeFile(config, configuration({ directory: place.directory, fsid, monitorPort, port, store }));
    await makeKeys(place, path('ceph-authtool'));

    await run(path('monmaptool'), ['--create', '--fsid', fsid, '--addv', 'a', `[v2:127.0.0.1:${monitorPort}]`, 'monmap'], { cwd: place.directory });
    await mkdir(join(place.directory, 'mon'));
    await ceph('ceph-mon', '--mkfs', '-i', 'a', '--monmap', 'monmap', '--keyring', 'keyring');
    place.start('ceph-mon', [path('ceph-mon'), '-c', config, '-i', 'a', '-f']);

    const osd = randomUUID();
    await mkdir(join(place.directory, 'osd'));
    await ceph('ceph', 'osd', 'new', osd);
    await ceph('ceph-osd', '-i', '0', '--mkfs', '--osd-uuid', osd);
    place.start('ceph-osd', [path('ceph-osd'), '-c', config, '-i', '0', '-f']);
    await untilReady('ceph osd', place.processes, async () => (await ceph('ceph', 'osd', 'stat')).includes('1 up'));

    place.start('radosgw', [path('radosgw'), '-c', config, '-n', 'client.rgw', '-f']);
    await ceph('radosgw-admin', 'user', 'create', '--uid=test', '--display-name=test',
      `--access-key=${credentials.accessKeyId}`, `--secret-key=${credentials.secretAccessKey}`);
    await untilReady('radosgw', place.processes, () => answers(endpoint));
    return { name: 'radosgw', endpoint };
  });
}

async function makeKeys(place: Workplace, authtool: string): Promise<void> {
  const key = async (name: string, ...caps: string[]): Promise<void> => {
    await run(authtool, ['keyring', '--create-keyring', '--gen-key', '-n', name, ...caps.flatMap((cap) => ['--cap', ...cap.split('=')])]
      .filter((arg) => name === 'mon.' || arg !== '--create-keyring'), { cwd: place.directory });
  };
  await key('mon.', 'mon=allow *');
  await key('client.admin', 'mon=allow *', 'osd=allow *', 'mgr=allow *');
  await key('osd.0', 'mon=allow profile osd', 'osd=allow *');
  await key('client.rgw', 'mon=allow rw', 'osd=allow rwx');
}

interface Settings {
  readonly directory: string;
  readonly fsid: string;
  readonly monitorPort: number;
  readonly port: number;
  readonly store: 'memory' | 'disk';
}

/** One replica, small pools, no quorum to wait for: everything a cluster of one must be told. */
function configuration({ directory, fsid, monitorPort, port, store }: Settings): string {
  return `[global]
fsid = ${fsid}
mon host = [v2:127.0.0.1:${monitorPort}/0]
public addr = 127.0.0.1
cluster addr = 127.0.0.1
keyring = ${directory}/keyring
auth allow insecure global id reclaim = false
run dir = ${directory}
admin socket = ${directory}/$name.$pid.asok
crash dir = ${directory}/crash
pid file =
log file =
log to stderr = true
err to stderr = true
mon cluster log file = ${directory}/cluster.log
debug default = 0
mon data = ${directory}/mon
mon data avail crit = 1
mon data avail warn = 1
mon allow pool size one = true
mon max pg per osd = 1000
paxos propose interval = 0.02
paxos min wait = 0.01
osd data = ${directory}/osd
osd objectstore = ${store === 'memory' ? 'memstore' : 'bluestore'}
osd pool default size = 1
osd pool default min size = 1
osd pool default pg num = 4
osd pool default pgp num = 4
osd crush chooseleaf type = 0
memstore device bytes = 17179869184
bluestore block size = 34359738368
rgw data = ${directory}
rgw frontends = beast endpoint=127.0.0.1:${port}
rgw run sync thread = false
`;
}
