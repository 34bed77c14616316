// docs/s3-compatibility.md: what the suites said, and why what does not pass does not.
import type { AgentLayout } from '../harness/agent.ts';
import { reasonFor, type Explanation } from './explanations.ts';
import type { Case, Suite } from './suites.ts';

export interface Result {
  readonly layout: AgentLayout;
  readonly suite: Suite;
  readonly cases: readonly Case[];
}

const count = (cases: readonly Case[], outcome: Case['outcome']): number => cases.filter((one) => one.outcome === outcome).length;

const sums = (results: readonly Result[]): string[] => [
  '| suite | layout | cases | pass | not served by the suite\'s own word | fail, each explained below |', '|---|---|---|---|---|---|',
  ...results.map(({ suite, layout, cases }) => `| ${suite.name} | ${layout} | ${cases.length} | ${count(cases, 'pass')} | ${count(cases, 'n/a')} | ${count(cases, 'fail')} |`),
];

/** Cases of one suite by their explanation, with the layouts in which they fail. */
function failures(results: readonly Result[]): Map<Explanation, Map<string, AgentLayout[]>> {
  const found = new Map<Explanation, Map<string, AgentLayout[]>>();
  for (const { suite, layout, cases } of results) {
    for (const { name } of cases.filter(({ outcome }) => outcome === 'fail')) {
      const reason = reasonFor(suite.explanations, name);
      if (reason === undefined) continue;
      const names = found.get(reason) ?? new Map<string, AgentLayout[]>();
      names.set(name, [...(names.get(name) ?? []), layout]);
      found.set(reason, names);
    }
  }
  return found;
}

function section(suite: Suite, results: readonly Result[]): string[] {
  const ours = results.filter((result) => result.suite === suite);
  const lines = [`## ${suite.name}`, '', '```sh', suite.command, '```', '', '| kind | why | cases |', '|---|---|---|'];
  for (const [{ kind, why }, names] of failures(ours)) {
    const shown = [...names].map(([name, layouts]) => (layouts.length === ours.length ? name : `${name} (${layouts.join(', ')})`));
    lines.push(`| ${kind} | ${why} | ${shown.join(', ')} |`);
  }
  return [...lines, ''];
}

export function compatibilityPage(results: readonly Result[]): string {
  const suites = [...new Set(results.map(({ suite }) => suite))];
  return [
    '# S3 compatibility of the agent', '',
    '<!-- Made by BRIGADE_WRITE_DOCS=1 node --test test/servers/strangers/suites.test.ts. Change test/servers/strangers. -->', '',
    'Programs that know nothing of us, against `brigade agent` as an operator starts it. The clients (aws cli, boto3, AWS SDK for JavaScript, rclone, s5cmd, MinIO\'s',
    'JavaScript client, `curl --aws-sigv4`) list, put, get, upload in parts, copy, delete and sync in both directions, `rclone check --download` included, without a',
    'difference in both layouts and over TLS (test/servers/strangers/clients.test.ts). The suites below are those of other servers; *not served*: the agent does not',
    'do this and says so (501 or the error S3 has for it); *on purpose*: S3\'s documentation has it otherwise, or stricter is safer; *not of S3*: the case asks for what',
    'only that server has.', '',
    'The signature vectors in src/agent/sigv4.test.ts are those published in the S3 API Reference. Suites that could not be installed here: ceph s3-tests (only on GitHub).', '',
    ...sums(results), '', ...suites.flatMap((suite) => section(suite, results)),
  ].join('\n');
}
