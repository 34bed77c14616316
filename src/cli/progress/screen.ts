/** What draws progress: a bar, dated lines, JSON lines, or nothing. All write to stderr; results go to stdout. */
import type { Clock } from '../../ports/clock.ts';
import type { Paint } from '../colours.ts';
import type { Output } from '../io.ts';
import { renderBar, shortText } from './bar.ts';
import type { Snapshot } from './snapshot.ts';

export interface Screen {
  /** Milliseconds between two calls of `show`. */
  readonly everyMs: number;
  /** `changed`: a stage or a waiting began or ended. */
  show(now: Snapshot, changed: boolean): void;
  /** A line that stays. */
  say(level: 'info' | 'warn' | 'error', text: string): void;
  /** Removes what must not stay. */
  end(): void;
}

export type ProgressKind = 'bar' | 'plain' | 'json' | 'none';

export interface ScreenOptions {
  readonly err: Output;
  readonly clock: Clock;
  readonly paint: Paint;
  readonly migration: string;
}

/** `auto`: a bar for people, dated lines for logs. */
export function kindOf(wanted: string | undefined, err: Output, env: Readonly<Record<string, string | undefined>>): ProgressKind {
  if (wanted !== undefined && wanted !== 'auto') return wanted as ProgressKind;
  return err.isTTY && env['TERM'] !== 'dumb' ? 'bar' : 'plain';
}

export async function createScreen(kind: ProgressKind, options: ScreenOptions): Promise<Screen> {
  switch (kind) {
    case 'bar': return barScreen(options, await frameOn(options.err));
    case 'plain': return plainScreen(options);
    case 'json': return jsonScreen(options);
    case 'none': return { everyMs: 60_000, show: () => undefined, say: (level, text) => { if (level !== 'info') options.err.line(text); }, end: () => undefined };
  }
}

/** Lines that replace the ones before them. */
export interface Frame {
  draw(lines: readonly string[]): void;
  /** A line above that stays. */
  keep(line: string): void;
  clear(): void;
}

/** log-update is loaded only where somebody sees it. */
export async function frameOn(err: Output): Promise<Frame> {
  const { createLogUpdate } = await import('log-update');
  const update = createLogUpdate(err.stream as unknown as NodeJS.WritableStream, { showCursor: true });
  return {
    draw: (lines) => { if (!err.closed) update(lines.join('\n')); },
    keep: (line) => {
      update.clear();
      err.line(line);
    },
    clear: () => {
      update.clear();
      update.done();
    },
  };
}

const REDRAW_MS = 200;

export function barScreen({ err, paint }: ScreenOptions, frame: Frame): Screen {
  return {
    everyMs: REDRAW_MS,
    show: (now) => frame.draw(renderBar(now, err.width, paint)),
    say: (level, text) => frame.keep(level === 'info' ? text : paint(level === 'warn' ? 'yellow' : 'red', text)),
    end: () => frame.clear(),
  };
}

/** One dated line every 30 s (S0.40), and at every turn of events. */
const PLAIN_MS = 30_000;

function plainScreen({ err, clock, migration }: ScreenOptions): Screen {
  const dated = (text: string): void => err.line(`${new Date(clock.now()).toISOString().slice(0, 19)}Z ${migration}: ${text}`);
  return { everyMs: PLAIN_MS, show: (now) => dated(shortText(now)), say: (_, text) => dated(text), end: () => undefined };
}

const JSON_MS = 1_000;

function jsonScreen({ err, clock, migration }: ScreenOptions): Screen {
  const put = (value: object): void => err.line(JSON.stringify({ time: new Date(clock.now()).toISOString(), ...value }));
  return {
    everyMs: JSON_MS,
    show: (now) => put({ type: 'progress', ...now }),
    say: (level, text) => put({ type: 'note', migration, level, text }),
    end: () => undefined,
  };
}
