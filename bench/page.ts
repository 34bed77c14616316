/** The page of figures: docs/benchmarks.md. */
import { execFileSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { cpus, loadavg, release, totalmem } from 'node:os';
import { fileURLToPath } from 'node:url';
import { goalsMissed, goalTable, judge } from './goals.ts';
import type { Section } from './section.ts';

const PAGE = fileURLToPath(new URL('../docs/benchmarks.md', import.meta.url));

/** Tried and left out, with the reason. */
const NOT_COMPARED = 'Not compared: `juicefs sync`. `go install github.com/juicedata/juicefs@latest` fails, since the public Go module proxy refuses its list of versions (403); 1.2.0, the newest it gives, does not compile with Go 1.26 as it is pinned.';

function machine(): string {
  const processors = cpus();
  return `${processors.length} × ${processors[0]?.model ?? 'unknown'}, ${Math.round(totalmem() / 2 ** 30)} GiB, Linux ${release()}, Node ${process.versions.node}, load ${loadavg().map((load) => load.toFixed(1)).join(' ')} at the end`;
}

export interface Made { readonly sections: readonly Section[]; readonly versions: readonly string[]; readonly flags: string; readonly minutes: number }

/** Returns the page; writes it when asked to. */
export function writePage({ sections, versions, flags, minutes }: Made, write: boolean): string {
  const judged = judge(sections);
  const lost = [...goalsMissed(judged), ...sections.flatMap((section) => section.losses)];
  const text = [
    '# Benchmarks', '',
    `Made by \`${['npm run bench', flags].filter((word) => word !== '').join(' -- ')}\` on ${new Date().toISOString().slice(0, 10)}, in ${minutes.toFixed(0)} minutes. Do not edit. Client and server share the machine, and others may: compare only figures of one table.`, '',
    `Machine: ${machine()}. ${versions.join('; ')}; Go ${goVersion()} for the null server. ${NOT_COMPARED}`, '',
    'CPU-s: user and system of the client\'s whole process tree. Figures are medians, lowest and highest in brackets.', '',
    '## Goals', '', goalTable(judged), '',
    ...sections.flatMap(({ title, text: body, commands }) => [`## ${title}`, '', body, '', ...(commands.length === 0 ? [] : ['```', ...commands, '```', ''])]),
    '## Where we lose', '',
    ...(lost.length === 0 ? ['Nowhere in these cases.'] : lost), '',
  ].join('\n');
  if (write) writeFileSync(PAGE, text);
  return text;
}

function goVersion(): string {
  try {
    return execFileSync('go', ['version'], { env: { ...process.env, PATH: `${process.env['PATH']}:/usr/local/go/bin` } }).toString().split(' ')[2]?.replace('go', '') ?? '';
  } catch {
    return 'unknown'; // the binary was built elsewhere; only the version line is poorer
  }
}
