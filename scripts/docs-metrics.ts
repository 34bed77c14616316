/** docs/metrics.md, from the list of what is measured. */
import { FAMILIES } from '../src/telemetry/families.ts';

const HEAD = `# Metrics

\`brigade coordinator\`, \`brigade run\` and \`brigade worker\` show theirs with \`--metrics 127.0.0.1:9464\`, at \`/metrics\`, in Prometheus’ text format. The endpoint is plain HTTP
without a password: it says how much and how quickly, never which objects; give it an address that only your network reaches. Several migrations of one coordinator, and the
processes of one worker, are shown in one place. What runs of one machine do not have (queue, workers, journal) is absent there.

Labels: \`migration\`; \`state\` of objects; \`endpoint\` (\`source\`, \`destination\`, \`journal\`) and \`op\` of requests; \`code\` of errors; \`what\` became of a task.

## How many workers

A coordinator knows from its ledger what is to be done. The queue does not: it holds no more than a window of it, and counts approximately. An autoscaler follows one of these:

- \`brigade_workers_wanted\`: with \`--drain-target 4h\` as many worker processes as end the run in that time, at the pace of the last ten minutes; without it one for 100 tasks.
  It is 0 when nothing is left and at least 1 while something is, so that a fleet of none begins.
- \`brigade_backlog_per_worker\`, to be held at a number of tasks.

A worker is a process: a machine with \`--processes 6\` counts as six. While the listing goes on (\`brigade_listing_complete\` 0) both are lower bounds. \`brigade status NAME -o json\` has the
same numbers under \`fleet\`, and \`trouble\` when nothing goes on: credentials that no worker can resolve, or no worker at all for 30 s.

\`brigade_needless_ratio\` above 0.01 means that tasks are sent again that somebody has in hand: leases that are too short, or a queue that counts wrongly. What was purged is needed
again, and does not count.

## All of them

| name | kind | meaning |
|---|---|---|
`;

export function metricsPage(): string {
  return HEAD + Object.entries(FAMILIES).map(([name, { type, help }]) => `| \`${name}\` | ${type} | ${help} |\n`).join('');
}
