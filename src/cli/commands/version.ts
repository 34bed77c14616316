import { format, type Invocation } from '../invocation.ts';
import { product } from '../product.ts';

export function execute(invocation: Invocation): Promise<number> {
  const { name, version } = product();
  const { out } = invocation.io;
  if (format(invocation) === 'table') out.line(`brigade ${version} (node ${process.versions.node})`);
  else out.line(JSON.stringify({ name, version, node: process.versions.node, platform: process.platform, arch: process.arch }));
  return Promise.resolve(0);
}
