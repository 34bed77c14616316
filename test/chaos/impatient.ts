// A coordinator that takes a silent executor for frozen after some seconds instead of a minute: node impatient.ts FILE STATE SILENCE_MS
import { runMigration } from '../../src/app/migrate.ts';
import { loadMigration } from '../../src/config/index.ts';
import { systemClock } from '../../src/telemetry/clock.ts';
import { systemRandom } from '../../src/telemetry/random.ts';

const [file = '', stateDir = '', silence = ''] = process.argv.slice(2);
const events = { emit: (event: { readonly type: string; readonly text?: string }) => { if (event.type === 'note') console.log(event.text); } };
const { exit } = await runMigration(loadMigration(file, process.env),
  { stateDir, fresh: false, adopt: false, onPause: 'auto', requireObjects: false, drainMs: 0, silenceMs: Number(silence) },
  { env: process.env, clock: systemClock(), random: systemRandom(), events, signal: new AbortController().signal });
process.exit(exit);
