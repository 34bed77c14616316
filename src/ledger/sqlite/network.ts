/** SQLite's locks cannot be trusted on network file systems (sqlite.org/faq.html#q5), so a ledger is refused there (F103). */
import { statfsSync } from 'node:fs';
import { usageError } from '../../core/errors.ts';

/** `statfs` types of file systems that live on another machine, by linux/magic.h and the kernel's fs folders. */
const NETWORK: ReadonlyMap<number, string> = new Map([
  [0x6969, 'NFS'], [0xff534d42, 'CIFS'], [0xfe534d42, 'SMB2'], [0x517b, 'SMB'], [0x01021997, '9p'], [0x00c36400, 'CephFS'], [0x5346414f, 'AFS'],
  [0x6b414653, 'AFS'], [0x73757245, 'Coda'], [0x564c, 'NCP'], [0x0bd00bd0, 'Lustre'], [0x01161970, 'GFS2'], [0x7461636f, 'OCFS2'], [0x013111a8, 'IBRIX'],
  [0x20030528, 'OrangeFS'], [0xaad7aaea, 'PanFS'], [0x47504653, 'GPFS'], [0xbeefdead, 'SNFS'],
  // FUSE tells nothing of what lies behind it; sshfs, s3fs, gcsfuse and rclone mounts all do, and their locks stay on this machine.
  [0x65735546, 'FUSE'],
]);

export type StatFs = (path: string) => { readonly type: number };

/** Throws E_DB_ON_NETWORK_FS. `directory` exists. Elsewhere than on Linux the types mean something else and nothing is refused. */
export function refuseNetworkFs(directory: string, statfs: StatFs = statfsSync, platform: string = process.platform): void {
  if (platform !== 'linux') return;
  const name = NETWORK.get(statfs(directory).type >>> 0);
  if (name === undefined) return;
  throw usageError('E_DB_ON_NETWORK_FS', `the state folder is on ${name}, where SQLite's locks cannot be trusted`, 'put it on a local disk with --state', directory);
}
