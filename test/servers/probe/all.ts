// node test/servers/probe/all.ts [fact...]: starts every server in turn and prints what facts.py measures of it, as one JSON object.
import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { binaries, serverKinds, startVersitygw } from '../harness/index.ts';

const factsProgram = fileURLToPath(new URL('facts.py', import.meta.url));
const only = process.argv.slice(2).flatMap((fact) => ['--only', fact]);
const facts: Record<string, unknown> = {};
for (const kind of serverKinds()) {
  await using server = await (kind.name === 'versitygw' ? startVersitygw({ versioning: true }) : kind.start());
  const { stdout, stderr } = await promisify(execFile)(binaries().python, [
    factsProgram, '--endpoint', server.endpoint, '--access', server.accessKeyId, '--secret', server.secretAccessKey, '--region', server.region, ...only,
  ], { maxBuffer: 64 * 1024 * 1024, env: { ...process.env, PYTHONIOENCODING: 'utf-8' } });
  process.stderr.write(stderr);
  facts[kind.name] = JSON.parse(stdout);
}
console.log(JSON.stringify(facts, null, 1));
