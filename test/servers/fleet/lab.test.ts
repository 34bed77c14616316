// The lab's four pairs over a fleet of six workers, on each engine, by one command, with the migration files that a laptop runs.
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { startMoto, startNats } from '../harness/index.ts';
import { LabBench } from '../../processes/lab-bench.ts';

const PAIRS = ['app-data', 'ml-models', 'logs-archive', 'user-uploads'];

interface Engine {
  readonly queue: string;
  readonly env: Readonly<Record<string, string>>;
  stop(): Promise<void>;
}

const ENGINES: Readonly<Record<string, () => Promise<Engine>>> = {
  nats: async () => {
    const server = await startNats();
    return { queue: `nats:lab@${server.endpoint}?create=true&lease=10s`, env: {}, stop: () => server.stop() };
  },
  sqs: async () => {
    const server = await startMoto();
    return { queue: `sqs:lab?endpoint=${server.endpoint}&region=us-east-1&create=true&lease=20s`, env: { AWS_ACCESS_KEY_ID: 'test', AWS_SECRET_ACCESS_KEY: 'test' }, stop: () => server.stop() };
  },
};

describe('the lab over a fleet', () => {
  for (const [name, start] of Object.entries(ENGINES)) {
    test(`${name}: four pairs, six workers, one command, files unchanged`, async () => {
      const engine = await start();
      const lab = new LabBench({ ...engine.env, BRIGADE_MESSAGE_KEY: randomBytes(32).toString('hex') });
      try {
        await lab.ends('lab up --scale 0.1');
        const journal = join(lab.dir, 'journal');
        mkdirSync(journal);
        const places = `--queue ${engine.queue} --journal ${journal}`;
        const said = await lab.ends(`${lab.state} run ${join(lab.dir, 'migrations')} ${places} --workers 6 --progress none`);
        for (const pair of PAIRS) assert.match(said, new RegExp(`\\[  OK\\] ${pair} `));
        for (const pair of PAIRS) {
          assert.match(await lab.ends(`${lab.state} verify ${pair}`), /0 differences/);
          await lab.ends(`${lab.state} ledger check ${pair} --journal ${journal}`);
        }
        const again = await lab.ends(`${lab.state} run ${join(lab.dir, 'migrations')} ${places} --workers 2 --progress none`);
        assert.match(again, /0 of 4 failed/);
        assert.match(again, /0 copied/, 'a second run finds everything there');
      } finally {
        await lab.ends('lab down');
        await engine.stop();
      }
    });
  }
});
