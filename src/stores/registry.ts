/** The one file that knows all drivers. Each is loaded when it is first asked for: who copies directories never loads an HTTP client. */
import type { Store } from '../ports/storage.ts';
import type { FilesystemOptions } from './filesystem/index.ts';
import type { MemoryOptions } from './memory/index.ts';
import type { S3Options } from './s3/index.ts';
import type { SyntheticOptions } from './synthetic/index.ts';

/** What each driver must be told. */
export interface DriverOptions {
  readonly filesystem: FilesystemOptions;
  readonly memory: MemoryOptions;
  readonly s3: S3Options;
  readonly synthetic: SyntheticOptions;
}

export type DriverName = keyof DriverOptions;

type Drivers = { readonly [Name in DriverName]: (options: DriverOptions[Name]) => Promise<Store> };

const drivers: Drivers = {
  filesystem: async (options) => (await import('./filesystem/index.ts')).createFilesystemStore(options),
  memory: async (options) => (await import('./memory/index.ts')).createMemoryStore(options),
  s3: async (options) => (await import('./s3/index.ts')).createS3Store(options),
  synthetic: async (options) => (await import('./synthetic/index.ts')).createSyntheticStore(options),
};

/** A raw store: one request per call. Rely on it only through stack(). No request is made here. */
export function openStore<Name extends DriverName>(driver: Name, options: DriverOptions[Name]): Promise<Store> {
  return drivers[driver](options);
}
