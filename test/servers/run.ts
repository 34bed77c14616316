// npm run test:servers [-- --only radosgw] [--large] [files...]: installs the real servers, then tests against them.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { run } from 'node:test';
import { spec } from 'node:test/reporters';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

const here = fileURLToPath(new URL('.', import.meta.url));

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    only: { type: 'string', multiple: true, default: [] },
    large: { type: 'boolean', default: false },
  },
});

interface Outcome {
  readonly tests: number;
  readonly passed: number;
}

/** Runs a phase, prints how long it took. */
async function phase<T>(name: string, work: () => Promise<T>): Promise<T> {
  const started = performance.now();
  try {
    return await work();
  } finally {
    console.log(`test:servers ${name}: ${((performance.now() - started) / 1000).toFixed(1)} s`);
  }
}

async function install(): Promise<void> {
  const child = spawn('bash', [`${here}install.sh`], { stdio: 'inherit' });
  const [code] = await once(child, 'exit') as [number | null];
  if (code !== 0) throw new Error(`install.sh ended with ${code}`);
}

/** Every test must run and pass: a skipped one counts as not passed. */
async function runTests(patterns: readonly string[]): Promise<Outcome> {
  const outcome = { tests: 0, passed: 0 };
  const stream = run({ globPatterns: [...patterns], concurrency: 2, timeout: 20 * 60_000 });
  stream.on('test:summary', ({ file, counts }) => {
    if (file !== undefined) return;
    outcome.tests = counts.tests;
    outcome.passed = counts.passed;
  });
  const report = stream.compose(spec);
  report.pipe(process.stdout, { end: false });
  await once(report, 'end');
  return outcome;
}

process.env['BRIGADE_TEST_ONLY'] = values.only.join(',');
process.env['BRIGADE_TEST_LARGE'] = values.large ? '1' : '';
await phase('install', install);
const { tests, passed } = await phase('tests', () => runTests(positionals.length > 0 ? positionals : [`${here}**/*.test.ts`]));
console.log(`test:servers: ${passed} of ${tests} tests passed`);
if (tests === 0 || passed !== tests) process.exitCode = 1;
