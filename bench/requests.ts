/** A second run with nothing left to do (P6): what it asks the stores. */
import { nullJob, withNullServer } from './arenas.ts';
import { RELAY } from './compare.ts';
import { type ObjectRequests, requestsToObjects } from './figures.ts';
import { type Cost, cpuSeconds, measure } from './measure.ts';
import type { Section } from './section.ts';
import { ourRun } from './subjects.ts';

interface Run { readonly cost: Cost; readonly asked: ObjectRequests; readonly bucket: number }

function twice(bin: string, objects: number): Promise<[first: Run, second: Run]> {
  return withNullServer(0, objects, 4096, async (server, dir) => {
    const command = ourRun(bin, nullJob(server, dir), { file: { transfer: RELAY } });
    const run = async (): Promise<Run> => {
      await server.reset();
      const cost = await measure(command);
      const asked = requestsToObjects(await server.counts());
      return { cost, asked, bucket: asked.all - asked.lists - asked.others };
    };
    return [await run(), await run()];
  });
}

export async function requestsSection(bin: string, objects: number): Promise<Section> {
  const [first, second] = await twice(bin, objects);
  const line = (name: string, { cost, asked, bucket }: Run): string => `| ${name} | ${cost.wallSeconds.toFixed(1)} | ${cpuSeconds(cost).toFixed(2)} | ${asked.lists} | ${asked.named === '' ? 'none' : asked.named} | ${bucket} |`;
  return {
    title: 'A run with nothing to do',
    text: ['| | wall s | CPU-s | LISTs, both sides | requests about objects | about buckets and unfinished uploads |', '|---|---|---|---|---|---|', line(`first run of ${objects.toLocaleString('en')} objects`, first), line('the same again', second)].join('\n'),
    losses: [], commands: [],
    reached: [{ aspect: 'rerun', values: [second.asked.others], of: `LISTs ${second.asked.lists} for ${objects.toLocaleString('en')} objects` }],
  };
}
