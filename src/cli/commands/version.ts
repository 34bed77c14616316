import { readFileSync } from 'node:fs';
import { format, type Invocation } from '../invocation.ts';

export function execute(invocation: Invocation): Promise<number> {
  const { name, version } = JSON.parse(readFileSync(new URL('../../../package.json', import.meta.url), 'utf8')) as { name: string; version: string };
  const { out } = invocation.io;
  if (format(invocation) === 'table') out.line(`brigade ${version} (node ${process.versions.node})`);
  else out.line(JSON.stringify({ name, version, node: process.versions.node, platform: process.platform, arch: process.arch }));
  return Promise.resolve(0);
}
