/**
 * Writes docs/lab.md: a tutorial whose every screen is captured from a lab that is run here. `node scripts/docs-lab.ts`, about a minute.
 * Not part of `npm run docs`: times and ports are others each time.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { stripVTControlCharacters } from 'node:util';
import { main } from '../src/cli/command-line.ts';
import { type Io, Output } from '../src/cli/io.ts';
import { NAMED_FAULTS } from '../src/faults/catalogue.ts';
import { systemClock } from '../src/telemetry/clock.ts';
import { systemRandom } from '../src/telemetry/random.ts';

const WIDTH = 110;
const PORT = /127\.0\.0\.1:(\d+)/g;

/** A terminal that remembers all that was written to it. */
class Terminal {
  readonly isTTY = true;
  readonly columns = WIDTH;
  readonly rows = 40;
  readonly writes: string[] = [];

  write(text: string, done?: (error?: Error | null) => void): boolean {
    this.writes.push(text);
    done?.();
    return true;
  }
}

interface Screen { readonly out: string; readonly progress: string }

class Session {
  readonly cwd = mkdtempSync(join(tmpdir(), 'brigade-docs-'));

  async run(line: string, expected = 0): Promise<Screen> {
    const [out, err] = [new Terminal(), new Terminal()];
    const io: Io = {
      // A PATH that knows brigade, as on the machine of who has installed it.
      out: new Output(out), err: new Output(err), env: { ...process.env, PATH: `${join(import.meta.dirname, '../node_modules/.bin')}:${this.cwd}`, TERM: 'xterm' }, cwd: this.cwd,
      clock: systemClock(), random: systemRandom(), onSignal: () => () => undefined, onHangup: () => () => undefined, die: (code) => process.exit(code),
    };
    const exit = await main([...line.split(' '), '--no-color'], io);
    if (exit !== expected) throw new Error(`brigade ${line}: exit ${exit}\n${out.writes.join('')}${err.writes.join('')}`);
    return { out: this.#tidy(out.writes.join('')), progress: this.#tidy(fullestFrame(err.writes)) };
  }

  #tidy(text: string): string {
    return stripVTControlCharacters(text).replaceAll(this.cwd, '~').trimEnd();
  }

  [Symbol.dispose](): void {
    rmSync(this.cwd, { recursive: true, force: true });
  }
}

/** Of all frames that were drawn, the one in the middle of those that show most pairs at work. */
function fullestFrame(writes: readonly string[]): string {
  const atWork = (text: string): number => text.split('\n').filter((line) => /transferring: [\d,]*[1-9]\d*\/[\d,]+ objects/.test(line)).length;
  const most = Math.max(0, ...writes.map(atWork));
  const best = most === 0 ? [] : writes.filter((text) => atWork(text) === most);
  return best[Math.floor(best.length / 2)] ?? '';
}

const screen = (line: string, text: string): string => `\`\`\`\n$ brigade ${line}\n${text}\n\`\`\`\n`;

const kinds = NAMED_FAULTS.map(({ name, summary, operations, amount }) => `| \`${name}\` | ${summary} | ${operations?.join(', ') ?? 'all'} | ${amount === undefined ? '–' : `${amount.meaning}; ${amount.standard}`} |`).join('\n');

/** Plays the whole tutorial. */
async function capture(session: Session) {
  const state = '--state brigade-lab/.brigade';
  const shot = async (line: string, expected = 0): Promise<string> => screen(line, (await session.run(line, expected)).out);
  const up = await shot('lab up');
  const run = await session.run('lab run', 1);
  if (run.progress === '') throw new Error('no frame shows a pair at work');
  const status = await shot(`${state} status user-uploads`);
  const objects = await shot(`${state} objects user-uploads --state failed --limit 3`);
  const list = await shot('lab fault list');
  const clear = await shot('lab fault clear');
  const retry = await shot(`${state} retry user-uploads --class E_ACCESS_DENIED`);
  const verify = await shot(`${state} verify ml-models`);
  const again = await session.run('lab run --exercise missing-bucket', 5);
  await session.run('lab fault clear');
  const resumed = await shot(`${state} run brigade-lab/migrations/logs-archive.yml`);
  const awkward = await shot(`${state} run brigade-lab/exercises/awkward-keys.yml`);
  const add = await shot('lab fault add 503-storm --at source --probability 0.3 --for 60s');
  const labStatus = await shot('lab status');
  await session.run('lab reset');
  return { up, run, status, objects, list, clear, retry, verify, again, resumed, awkward, add, labStatus };
}

type Shots = Awaited<ReturnType<typeof capture>>;

function tutorial({ up, run, status, objects, list, clear, retry, verify, again, resumed, awkward }: Shots): string {
  return `# The lab: a whole migration on a laptop, with faults

<!-- The screens are captured by scripts/docs-lab.ts, which writes this page. Change it there. -->

\`brigade lab\` starts two S3 endpoints on this machine, each a process of its own with faults built in, and writes four migrations between them.
It needs no network, no cloud account and no container; everything is in one folder, and \`brigade lab reset\` removes it. \`npm run demo\` in a
checkout does what this page does, by itself.

## Five minutes

### 1. Two endpoints, four migrations

${up}
The source has four buckets (100 × 64 KiB, 50 × 1 MiB, 80 × 128 KiB, 120 × 64 to 512 KiB) and one of awkward keys. The destination is empty. Read the four
files in \`brigade-lab/migrations/\`: each is a whole job, and each shows something else that such a file can say. The access keys are in files of
their own, which the migration files only refer to.

### 2. All four at once, and one fails

\`\`\`
$ brigade lab run
${run.progress}
\`\`\`

Each line is a process with a ledger of its own. When they are done:

${screen('lab run', run.out)}
The exit code is 1: the worst of the four.

### 3. What happened?

${status}
${objects}
The pair says what failed, why, and which permission is missing. Here a fault of the lab is the cause:

${list}
### 4. Repair, retry

${clear}
${retry}
### 5. Verify

${verify}
\`verify\` lists both sides again and takes the copying's word for nothing. \`ml-models.yml\` says \`verify: full\`: both ends are read to the last byte.
The others say \`checksum\`, which costs no reading here, since both endpoints vouch for their checksums.

## The second exercise: a bucket vanishes

From the second time on, \`lab run\` first puts another day's objects into the source; what stands at the destination already is not copied again.

${screen('lab run --exercise missing-bucket', again.out)}
A missing bucket is no fault of any object: the run is *paused*, exit code 5, and nothing has failed. Once the cause is gone
(\`brigade lab fault clear\`) it goes on where it was:

${resumed}
## Keys that break tools

${awkward}
Among them \`..\`, \`a//b\`, \`a\` beside \`a/b\`, a leading slash, a key of 1,024 bytes, and two spellings of é.

`;
}

function reference({ add, labStatus }: Pick<Shots, 'add' | 'labStatus'>): string {
  return `## Faults, live

${add}
${labStatus}
A fault hits requests for \`--bucket\`, keys below \`--prefix\` and operations named by \`--operation\`, with \`--probability\`. Chance comes from \`--seed\` and from
what is asked for, not from the clock: the same seed hits the same objects again. \`--at\` chooses the endpoint, \`--for\` ends it by itself, \`lab fault clear\` at once.
They are the faults that the tests of brigade use (\`src/faults/\`).

| kind | what happens | hits, without \`--operation\` | \`--amount\`, and without it |
|---|---|---|---|
${kinds}

Worth trying:

- \`rate-limit --at destination\` during a run: a limit that nobody tells and that changes; the run finds it, slows down, and counts no attempt.
- \`expired-token --for 30s\`: the run pauses, or waits with \`--on-pause wait\`.
- \`flip-write --probability 0.2\`: every turned bit is refused by its checksum and sent again; verify finds nothing.
- \`flip-read --at source --probability 0.2\`: wrong before it reached us. \`verify: full\` finds it, exit code 3.
- \`lost-complete --operation PutObject\`: done, but nobody knows; looked at again, never blindly overwritten.
- \`kill -9\` of any \`brigade\` process, or of an endpoint (\`lab status\` shows the pids; \`lab up\` brings it back): run again, and it goes on.

## What is where

| in \`brigade-lab/\` | |
|---|---|
| \`migrations/\`, \`exercises/\` | the migration files; yours to change, \`lab up\` never replaces them (only where a port was taken by another program does it write the new address) |
| \`.brigade/\` | ledgers, as everywhere: inside of the folder, \`brigade status\` needs no \`--state\` |
| \`keys/\` | access keys, made at random, mode 0600 |
| \`processes/\` | pid, ports and control token of each endpoint, mode 0600 |
| \`data/\`, \`reports/\`, \`logs/\` | what the endpoints keep, what \`report:\` writes, what went wrong |
| \`lab.json\` | the mark of a lab: without it \`lab reset\` removes nothing |

Everything listens on 127.0.0.1 only. Endpoints end with \`lab down\`, \`lab reset\`, or when their folder is removed. Several labs stand side by side with \`--dir\`;
\`--scale 0.1\` makes a small one.
`;
}

const session = new Session();
try {
  writeFileSync(join(session.cwd, 'brigade'), '', { mode: 0o755 });
  const ports = new Map<string, string>();
  const steady = (text: string): string => text.replaceAll(PORT, (_, port: string) => {
    if (!ports.has(port)) ports.set(port, String(39_001 + ports.size));
    return `127.0.0.1:${ports.get(port) ?? port}`;
  });
  const shots = await capture(session);
  writeFileSync(join(import.meta.dirname, '..', 'docs', 'lab.md'), steady(tutorial(shots) + reference(shots)));
} finally {
  await session.run('lab reset').catch(() => undefined); // it is gone already where all went well
  session[Symbol.dispose]();
}
