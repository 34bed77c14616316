/**
 * Threads for calls to file systems. Node has four, which is right for a disk: more of them take a fifth more CPU per file looked at, and
 * nothing goes faster. Across a network each waits for the server, and what runs at once is as many as there are threads; a walk has 64
 * looks on their way. They are made when the first is needed, and never again, so this comes before everything else. Executors inherit it.
 */
import type { Migration } from '../config/index.ts';
import { filesystemTypeNow, type FilesystemType } from '../stores/filesystem/probe.ts';

const NETWORK_THREADS = '32';
const NAME = 'UV_THREADPOOL_SIZE';

/** What the operator set holds. */
export function threadsFor({ source, destination }: Pick<Migration, 'source' | 'destination'>, env: NodeJS.ProcessEnv = process.env, typeOf: (path: string) => FilesystemType | undefined = filesystemTypeNow): void {
  if (env[NAME] !== undefined) return;
  const isFar = [source, destination].some((location) => location.kind === 'file' && typeOf(location.path)?.network === true);
  if (isFar) env[NAME] = NETWORK_THREADS;
}
