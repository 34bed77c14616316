/** Samples as text, in the format that Prometheus and whatever understands it reads: https://prometheus.io/docs/instrumenting/exposition_formats/ (version 0.0.4). */
import { FAMILIES, type FamilyName } from './families.ts';
import type { Labels, Sample } from './meter.ts';

export const EXPOSITION_TYPE = 'text/plain; version=0.0.4; charset=utf-8';

/** All rows of one name stand together behind its meaning and kind. */
export function expose(samples: Iterable<Sample>): string {
  const families = new Map<FamilyName, Sample[]>();
  for (const sample of samples) {
    const known = families.get(sample.name);
    if (known === undefined) families.set(sample.name, [sample]);
    else known.push(sample);
  }
  return [...families].map(([name, some]) => familyText(name, some)).join('');
}

function familyText(name: FamilyName, samples: readonly Sample[]): string {
  const { help, type } = FAMILIES[name];
  return `# HELP ${name} ${help}\n# TYPE ${name} ${type}\n${samples.map(({ labels, value }) => `${name}${labelsText(labels)} ${valueText(value)}\n`).join('')}`;
}

function labelsText(labels: Labels): string {
  const pairs = Object.entries(labels).map(([name, value]) => `${name}="${escaped(value)}"`);
  return pairs.length === 0 ? '' : `{${pairs.join(',')}}`;
}

/** A backslash, a quote and an end of line would end the value. */
function escaped(value: string): string {
  return value.replaceAll('\\', String.raw`\\`).replaceAll('"', String.raw`\"`).replaceAll('\n', String.raw`\n`);
}

function valueText(value: number): string {
  if (Number.isNaN(value)) return 'NaN';
  return Number.isFinite(value) ? String(value) : value > 0 ? '+Inf' : '-Inf';
}
