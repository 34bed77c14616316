/** The page of figures: docs/benchmarks.md. */
import { execFileSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { cpus, loadavg, release, totalmem } from 'node:os';
import { fileURLToPath } from 'node:url';
import type { Section } from './run.ts';

const PAGE = fileURLToPath(new URL('../docs/benchmarks.md', import.meta.url));

function machine(): string {
  const processors = cpus();
  return `${processors.length} × ${processors[0]?.model ?? 'unknown'}, ${Math.round(totalmem() / 2 ** 30)} GiB, Linux ${release()}, Node ${process.versions.node}, load ${loadavg().map((load) => load.toFixed(1)).join(' ')} at the end`;
}

/** Returns the page; writes it when asked to. */
export function writePage(sections: readonly Section[], versions: readonly string[], flags: string, write: boolean): string {
  const lost = sections.flatMap((section) => section.losses);
  const text = [
    '# Benchmarks', '',
    `Made by \`npm run bench -- ${flags}\` on ${new Date().toISOString().slice(0, 10)}. Do not edit. Client and server share the machine, and others may: compare only figures of one table.`, '',
    `Machine: ${machine()}. ${versions.join('; ')}; Go ${goVersion()} for the null server.`, '',
    'CPU-s: user and system of the client\'s whole process tree. Figures are medians, lowest and highest in brackets.', '',
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
