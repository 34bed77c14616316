import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describeStore, type Subject } from '../conformance/index.ts';
import { createFilesystemStore, type FilesystemOptions } from './index.ts';

function subject(name: string, more: Partial<FilesystemOptions>): Subject {
  return {
    name,
    options: { manyObjects: 250 },
    async create() {
      const root = await mkdtemp(join(tmpdir(), 'brigade-fs-'));
      const open = (): ReturnType<typeof createFilesystemStore> => createFilesystemStore({ root, names: 'escaped', random: { next: Math.random }, durability: 'none', pageSize: 100, ...more });
      return { store: open(), again: async () => open(), cleanup: () => rm(root, { recursive: true, force: true }) };
    },
  };
}

describeStore(subject('filesystem, escaped names', {}));
describeStore(subject('filesystem, verbatim names, fsync', { names: 'verbatim', durability: 'fsync' }));
describeStore(subject('filesystem that follows links', { links: 'follow' }));
describeStore(subject('filesystem without /proc', { procfs: false }));
