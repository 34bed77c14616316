import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { openStore } from './registry.ts';

test('every folder of a driver has its line, and the driver opens', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'brigade-registry-'));
  try {
    const stores = {
      memory: await openStore('memory', { name: 'm' }),
      filesystem: await openStore('filesystem', { root: folder, names: 'verbatim', random: { next: () => 0.5 } }),
      synthetic: await openStore('synthetic', { count: 10, seed: 1 }),
    };
    const listed = async (store: (typeof stores)['memory']) => {
      let count = 0;
      for await (const page of store.list({})) count += page.entries.length;
      return count;
    };
    assert.deepEqual([await listed(stores.memory), await listed(stores.filesystem), await listed(stores.synthetic)], [0, 0, 10]);
    assert.equal(stores.memory.address, 'memory://m');
    const folders = readdirSync(import.meta.dirname, { withFileTypes: true }).filter((entry) => entry.isDirectory()).map((entry) => entry.name);
    const drivers = folders.filter((name) => !['conformance', 'decorators'].includes(name));
    assert.deepEqual(new Set(drivers), new Set([...Object.keys(stores), 's3']));
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test('a directory is opened without loading an HTTP client', () => {
  const script = `
    import { registerHooks } from 'node:module';
    const loaded = [];
    registerHooks({ load: (url, context, next) => (loaded.push(url), next(url, context)) });
    const { openStore } = await import(${JSON.stringify(import.meta.resolve('./registry.ts'))});
    await openStore('filesystem', { root: '/tmp', names: 'verbatim', random: { next: () => 0 } });
    process.stdout.write(loaded.filter((url) => /undici|stores\\/s3/.test(url)).join() + '|' + loaded.some((url) => /stores\\/filesystem/.test(url)));
  `;
  const { stdout, stderr } = spawnSync(process.execPath, ['--input-type=module', '--eval', script], { encoding: 'utf8' });
  assert.equal(stdout, '|true', stderr);
});
