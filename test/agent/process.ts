/** An agent as a process of its own, to be killed: `node test/agent/process.ts '{"layout":"objects","root":"…","state":"…"}'`. Tells its URL as one line. */
import { startEndpoint } from '../../src/agent/endpoint.ts';
import { S3Error } from '../../src/agent/errors.ts';
import { openFilesLayout } from '../../src/agent/files-layout/index.ts';
import { openObjectsLayout } from '../../src/agent/objects-layout/index.ts';
import { credentials, type Site } from './site.ts';

const site = JSON.parse(process.argv[2] ?? '') as Site;
const failed = (error: unknown): never => {
  throw error;
};
const layout = site.layout === 'objects'
  ? await openObjectsLayout({ root: site.root, state: site.state, graceMs: 50, failed })
  : await openFilesLayout({ root: site.root, state: site.state, failed });
const endpoint = await startEndpoint({
  storage: layout, accessKeys: [{ id: credentials.accessKeyId, secret: credentials.secretAccessKey }], limits: { minPartBytes: 64 * 1024 }, countObjects: false,
});
process.on('SIGTERM', () => {
  // Defects, each answered as InternalError; what could be told to a client only by ending the answer is none.
  const defects = endpoint.stats.failures.filter((failure) => !(failure instanceof S3Error));
  for (const defect of defects) console.error(defect);
  void endpoint.close().then(() => layout.close()).then(() => process.exit(defects.length === 0 ? 0 : 1));
});
process.stdout.write(`${endpoint.url}\n`);
