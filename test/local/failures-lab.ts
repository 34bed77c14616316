/**
 * A whole migration in this process as `brigade run` does it (configuration, stores with all decorators, ledger, coordinator), between
 * two buckets of the in-process endpoint, with the fault proxy in between, and folders. What the failure rows are proven on.
 */
import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach } from 'node:test';
import type { EndpointOptions, RequestHook, RequestInfo } from '../../src/agent/endpoint.ts';
import { type Endpoint, startEndpoint } from '../../src/agent/endpoint.ts';
import { type MemoryLayout, memoryLayout } from '../../src/agent/memory.ts';
import { seedBucket, seedObject, type SeedObject } from '../../src/agent/seeding.ts';
import { type Preflight, preflight } from '../../src/app/doctor.ts';
import { DoctorCache } from '../../src/app/doctor-cache.ts';
import { type RunFlags, type RunResult, runMigration } from '../../src/app/migrate.ts';
import { type Migration, parseMigration } from '../../src/config/index.ts';
import { BrigadeError } from '../../src/core/errors.ts';
import { main } from '../../src/cli/command-line.ts';
import { Output } from '../../src/cli/io.ts';
import { inspectLedger } from '../../src/ledger/sqlite/index.ts';
import type { Clock } from '../../src/ports/clock.ts';
import type { RunEvent } from '../../src/ports/events.ts';
import type { ObjectRow, Run, RunTotals } from '../../src/ports/ledger.ts';
import { systemClock } from '../../src/telemetry/clock.ts';
import { seededRandom } from '../../src/telemetry/random.ts';
import type { Rule } from '../../src/faults/rules.ts';
import { type FaultProxy, startFaultProxy } from '../../src/faults/proxy.ts';

export const ACCESS = { id: 'AKIAEXAMPLE', secret: 'right-secret' };

/** Waits pass so many times faster than on the wall: 30 s of silence take 0.3 s. Polls keep a pace that lets others work. */
const FASTER = 100;
/** Set by who runs the tests of a file once more with every request over lanes. */
const OVER_LANES = process.env['BRIGADE_TEST_LANES'] === undefined ? '' : `, lanes: ${process.env['BRIGADE_TEST_LANES']}`;
const SHORTEST_MS = 15;

export function fastClock(faster = FASTER): Clock {
  const system = systemClock();
  return { now: () => system.now(), monotonic: () => system.monotonic() * faster, sleep: (ms, signal) => system.sleep(Math.max(ms / faster, Math.min(ms, SHORTEST_MS)), signal) };
}

export interface Setup {
  readonly source?: string;
  readonly destination?: string;
  /** More lines of the migration file. */
  readonly more?: string;
  /** More keys of the connection, in YAML's flow style. */
  readonly connection?: string;
  readonly name?: string;
}

export interface Ended extends RunResult {
  readonly rows: ReadonlyMap<string, ObjectRow>;
  readonly events: readonly RunEvent[];
  readonly totals: RunTotals;
  readonly ms: number;
}

export interface LabOptions extends Partial<EndpointOptions> {
  readonly rules?: readonly Rule[];
  readonly env?: Readonly<Record<string, string>>;
  /** Default true: the checks before the run see no fault. */
  readonly calm?: boolean;
}

/** One endpoint is like the other: what the checks measured of a set-up holds for all of its kind. */
const measured = new Map<string, Preflight>();

const open: Lab[] = [];
afterEach(async () => { for (const lab of open.splice(0)) await lab.close(); });

export class Lab {
  readonly dir = mkdtempSync(join(tmpdir(), 'brigade-failures-'));
  readonly layout: MemoryLayout;
  readonly endpoint: Endpoint;
  readonly proxy: FaultProxy;
  readonly env: Readonly<Record<string, string>>;
  /** Every request that reached the endpoint, as it saw it. */
  readonly requests: RequestInfo[];
  /** False: faults hit the checks before the run too. */
  readonly calm: boolean;
  private rules: readonly Rule[];
  private readonly hook: RequestHook;
  private readonly behaviours: unknown;

  constructor(layout: MemoryLayout, endpoint: Endpoint, proxy: FaultProxy, requests: RequestInfo[], { env = {}, rules = [], calm = true, onRequest, behaviours, region, limits }: LabOptions) {
    this.layout = layout;
    this.endpoint = endpoint;
    this.proxy = proxy;
    this.requests = requests;
    this.calm = calm;
    this.behaviours = { behaviours, region, limits };
    this.rules = rules;
    this.hook = (info) => { requests.push(info); return onRequest?.(info); };
    endpoint.setHook(this.hook);
    this.env = { ID: ACCESS.id, SECRET: ACCESS.secret, ...env };
    mkdirSync(join(this.dir, 'in'));
  }

  /** Buckets `from` and `dest`, empty. */
  static async open(options: LabOptions = {}): Promise<Lab> {
    const layout = memoryLayout();
    await seedBucket(layout, 'from');
    await seedBucket(layout, 'dest');
    const requests: RequestInfo[] = [];
    const { rules = [], env: _, calm: __, onRequest: ___, ...rest } = options;
    const endpoint = await startEndpoint({ storage: layout, accessKeys: [{ ...ACCESS }], limits: { minPartBytes: 1 }, ...rest });
    const proxy = await startFaultProxy({ target: endpoint.url, rules, key: { ...ACCESS, region: 'us-east-1' } });
    const lab = new Lab(layout, endpoint, proxy, requests, options);
    open.push(lab);
    return lab;
  }

  get in(): string { return join(this.dir, 'in'); }
  get out(): string { return join(this.dir, 'out'); }
  get state(): string { return join(this.dir, 'state'); }

  async put(key: string, content: string | Buffer = `content of ${key}`, more: Partial<SeedObject> = {}): Promise<void> {
    await this.putAt('from', key, content, more);
  }

  async putAt(bucket: string, key: string, content: string | Buffer, more: Partial<SeedObject> = {}): Promise<void> {
    await seedObject(this.layout, bucket, { key, ...more }, content);
  }

  async putMany(count: number): Promise<string[]> {
    const keys = Array.from({ length: count }, (_, i) => `k${String(i).padStart(5, '0')}`);
    for (const key of keys) await this.put(key);
    return keys;
  }

  bytes(bucket: string, key: string): Buffer | undefined {
    const version = this.layout.entry(bucket, key)?.versions[0];
    return version === undefined || version.deleteMarker ? undefined : Buffer.concat([...(version.body.read(0, version.body.size) as Iterable<Buffer>)]);
  }

  keys(bucket: string): string[] {
    return [...this.layout.scan(bucket, Buffer.alloc(0))].filter(({ versions }) => versions[0]?.deleteMarker === false).map(({ key }) => key);
  }

  migration(setup: Setup = {}): Migration {
    return parseMigration(Buffer.from(this.file(setup)), join(this.dir, 'pair.yml'), this.env);
  }

  /** Source bucket → destination bucket, bytes through us, one process. */
  file({ source = '{ s3: from, connection: here }', destination = '{ s3: dest, connection: here }', more = '', connection = '', name = 'pair' }: Setup = {}): string {
    const transfer = /^transfer:/m.test(more) ? '' : 'transfer: { server_side_copy: never }\n';
    return `name: ${name}
connections:
  here: { endpoint: "${this.proxy.url}", credentials: { access_key_id: env:ID, secret_access_key: env:SECRET }${connection === '' ? '' : `, ${connection}`}${OVER_LANES} }
source: ${source}
destination: ${destination}
executors: 0
${transfer}${more}
`;
  }

  /** The migration file on disk, for commands; answers its path. */
  write(setup: Setup = {}): string {
    const path = join(this.dir, `${setup.name ?? 'pair'}.yml`);
    writeFileSync(path, this.file(setup));
    return path;
  }

  async run(setup: Setup = {}, flags: Partial<RunFlags> = {}, around: { readonly clock?: Clock; readonly signal?: AbortSignal; readonly onEvent?: (event: RunEvent) => void } = {}): Promise<Ended> {
    const events: RunEvent[] = [];
    const started = performance.now();
    const migration = this.migration(setup);
    if (this.calm) await this.preflight(migration);
    const result = await runMigration(migration, { stateDir: this.state, fresh: false, adopt: false, onPause: 'exit', requireObjects: false, drainMs: 100, ...flags }, {
      env: this.env, clock: around.clock ?? fastClock(), random: seededRandom(11), signal: around.signal ?? new AbortController().signal,
      events: { emit: (event) => { events.push(event); around.onEvent?.(event); } },
    });
    return { ...result, ...(await this.read(result.ledger, result.run)), events, ms: performance.now() - started };
  }

  private async read(path: string, run: Run): Promise<Pick<Ended, 'rows' | 'totals'>> {
    const view = inspectLedger(path);
    try {
      return { rows: new Map([...view.objects(run.number, {})].map((row) => [row.key, row])), totals: view.totals(run.number) };
    } finally {
      await view.close();
    }
  }

  /** The checks before the run, which hold for a day, while nothing goes wrong yet: the faults are for the run. */
  private async preflight(migration: Migration): Promise<void> {
    const alike = JSON.stringify([migration, this.behaviours]).replaceAll(this.proxy.url, '').replaceAll(this.dir, '');
    const known = measured.get(alike);
    if (known !== undefined) {
      const cache = new DoctorCache(this.state, fastClock());
      for (const side of ['source', 'destination'] as const) {
        const key = cache.keyOf(migration, side);
        if (key !== undefined) cache.put(key, [], side === 'destination' ? known.destination : undefined);
      }
      return;
    }
    const before = this.requests.length;
    this.proxy.setRules([]);
    this.endpoint.setHook(undefined);
    await preflight(migration, { stateDir: this.state, env: this.env, clock: fastClock(), random: seededRandom(13), signal: new AbortController().signal }).then((found) => measured.set(alike, found)).catch((error: unknown) => {
      // What blocks a run even now is what the run itself will say.
      if (!(error instanceof BrigadeError)) throw error;
    });
    assert.equal(this.requests.length, before);
    this.proxy.setRules(this.rules);
    this.endpoint.setHook(this.hook);
  }

  /** No fault from now on. */
  calmDown(): void {
    this.rules = [];
    this.proxy.setRules([]);
  }

  /** The product's command line in this process. */
  async command(...argv: readonly string[]): Promise<{ readonly exit: number; readonly out: string; readonly err: string }> {
    let out = '';
    let err = '';
    const stream = (add: (text: string) => void) => new Output({ write: (text, done) => { add(text); done?.(); return true; } });
    const exit = await main(argv, {
      out: stream((text) => { out += text; }), err: stream((text) => { err += text; }), env: this.env, cwd: this.dir, clock: fastClock(), random: seededRandom(12),
      onSignal: () => () => undefined, onHangup: () => () => undefined, die: (code) => { throw new Error(`died with ${code}`); },
    });
    return { exit, out, err };
  }

  /** Nothing of what a run leaves behind may be left: uploads, canaries, probes. */
  assertClean(): void {
    assert.deepEqual(this.layout.uploads('dest').map(({ key }) => key), [], 'open uploads');
    assert.deepEqual(this.keys('dest').filter((key) => key.startsWith('.brigade')), [], 'canaries');
  }

  async close(): Promise<void> {
    await this.proxy.close();
    await this.endpoint.close();
    rmSync(this.dir, { recursive: true, force: true });
  }
}

/** State, and code where there is one: `copied`, `failed:E_SHORT_READ`. */
export function stateOf(ended: Ended, key: string): string {
  const row = ended.rows.get(key);
  if (row === undefined) return 'not in the ledger';
  const code = row.problem?.code ?? (row.state === 'failed' || row.state === 'skipped' ? row.code : undefined);
  return code === undefined ? row.state : `${row.state}:${code}`;
}

export function retriesOf(ended: Ended, code: string): number {
  return ended.events.filter((event) => event.type === 'retry' && event.problem.code === code).length;
}
