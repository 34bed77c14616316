/** docs/cli.md and docs/exit-codes.md: from the catalogue of commands, the table of exit codes, and the error codes in the source. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { EXIT, EXIT_MEANINGS } from '../src/core/exit-code.ts';
import { type CommandSpec, COMMANDS, EVERYWHERE, type OptionSpec } from '../src/cli/catalogue.ts';
import { CODE_MEANINGS, KINDS, SKIP_REASONS } from '../src/cli/error-codes.ts';
import { showArgument } from '../src/cli/program.ts';

const MADE = (from: string): string => `<!-- Made from ${from} by \`npm run docs\`. Change it there. -->`;

export function cliPage(): string {
  const intro = `# The command line

${MADE('src/cli/catalogue.ts')}

Results go to stdout, progress and messages to stderr. An error is one line: \`brigade: where: what; fix [CODE]\`; the
[exit code](exit-codes.md) follows one table. \`BRIGADE_DEBUG=1\` adds a stack trace.

- **RUN** is \`NAME\` (the latest run of that migration) or \`NAME@N\`. Runs live in \`--state DIR\` (\`./.brigade\`), one folder and ledger per migration.
- **Ctrl-C**: the first one drains: objects in flight may finish (\`--drain\`, 15 s), the run ends resumable with exit 5. The second stops at
  once (130; SIGTERM 143). Either way the next \`run\` goes on where it was, and so it does after \`kill -9\`.
- **Keys** are shown JSON-escaped, so that no key can move the cursor. In CSV the escape stands without its quotes, and a cell that could be taken
  for a formula (\`= + - @\`, tab) or that begins with an apostrophe has an apostrophe before it.

| command | does |
|---|---|
${COMMANDS.map(({ name, summary }) => `| [\`${name}\`](#${name.replaceAll(' ', '-')}) | ${summary} |`).join('\n')}

Everywhere, before the command: ${EVERYWHERE.map(({ flags, description }) => `\`${flags}\` (${description})`).join(', ')}.
`;
  return `${[intro, ...COMMANDS.map(commandText)].join('\n')}`;
}

function commandText(command: CommandSpec): string {
  const { name, summary, about, args, options, examples, exits } = command;
  const parts = [`## ${name}\n`, '```', `brigade ${[name, ...args.map(showArgument)].join(' ')}${options.length > 0 ? ' [options]' : ''}`, '```', '', `${capital(summary)}.${about === undefined ? '' : ` ${about}`}`, ''];
  if (args.length > 0) parts.push(...args.map((argument) => `- \`${argument.name}\`: ${argument.description}`), '');
  if (options.length > 0) parts.push('| option | meaning | default |', '|---|---|---|', ...options.map(optionRow), '');
  parts.push('```sh', ...examples, '```', '', `Exit codes: ${exits.join(', ')}.`, '');
  return parts.join('\n');
}

function optionRow({ flags, description, choices, standard }: OptionSpec): string {
  const words = choices === undefined ? '' : ` (${choices.map((choice) => `\`${choice}\``).join(', ')})`;
  return `| \`${cell(flags)}\` | ${cell(description)}${words} | ${standard === undefined ? '–' : `\`${cell(standard)}\``} |`;
}

function capital(text: string): string {
  return text.slice(0, 1).toUpperCase() + text.slice(1);
}

function cell(text: string): string {
  return text.replaceAll('|', '\\|').replaceAll('\n', ' ');
}

export function exitCodesPage(): string {
  const codes = errorCodes();
  return `# Exit codes and error codes

${MADE('src/core/exit-code.ts and the source')}

| exit | meaning |
|---|---|
${EXIT_MEANINGS.map(([code, meaning]) => `| ${code} | ${meaning} |`).join('\n')}

The code of a run is computed from its ledger by one function; a run with a failed object never ends with 0. Of several files the worst counts, in the
order 70, 130, 143, 2, 4, 5, 8, 3, 1, 0; how many failed is printed. A run that a first Ctrl-C or SIGTERM drained ends with ${EXIT.paused}, because it can be resumed;
${EXIT.sigint} and ${EXIT.sigterm} mean that it was stopped at once. \`objects\`, \`report\`, \`status\` and \`runs\` end with 0 when they could print.

## Kinds of errors

\`--class\` takes these words, and codes.

| kind | what happens |
|---|---|
${KINDS.map(([kind, meaning]) => `| \`${kind}\` | ${meaning} |`).join('\n')}

## Reasons of skips

| reason | meaning |
|---|---|
${Object.entries(SKIP_REASONS).map(([code, meaning]) => `| \`${code}\` | ${meaning} |`).join('\n')}

## Error codes

Codes stay; messages may change.

| code | kind | meaning, or how it is said |
|---|---|---|
${codes.map(({ code, kind, message }) => `| \`${code}\` | ${kind || kindByName(code)} | ${message} |`).join('\n')}
`;
}

/** Codes that stand in tables without their kind: what is wrong with the ledger is a premise, what is wrong with a key is the object's. */
function kindByName(code: string): string {
  if (code === 'E_NO_MEMORY') return 'transient';
  return code.startsWith('E_LEDGER_') ? 'premise' : 'object';
}

interface ErrorCode { readonly code: string; readonly kind: string; readonly message: string }

/** Every E_ code of the source, with the kind and words that stand with it first. */
function errorCodes(): ErrorCode[] {
  const found = new Map<string, ErrorCode>();
  for (const path of sources(join(import.meta.dirname, '..', 'src'))) {
    const text = readFileSync(path, 'utf8');
    for (const match of text.matchAll(/['"](E_[A-Z0-9_]+)['"]/g)) {
      const [, code = ''] = match;
      const near = around(text, match.index);
      const known = found.get(code);
      const next = { code, kind: known?.kind || near.kind, message: known?.message || near.message };
      found.set(code, next);
    }
  }
  for (const [code, [kind, message]] of Object.entries(CODE_MEANINGS)) if (found.has(code) || kind === '–') found.set(code, { code, kind, message });
  return [...found.values()].sort((a, b) => (a.code < b.code ? -1 : 1));
}

function sources(folder: string): string[] {
  // The S3 endpoint of src/agent speaks S3's own codes.
  const names = readdirSync(folder, { recursive: true, encoding: 'utf8' }).filter((name) => name.endsWith('.ts') && !name.endsWith('.test.ts') && !/conformance|^agent|broken-files/.test(name));
  return names.sort((a, b) => (a < b ? -1 : 1)).map((name) => join(folder, name));
}

/** Kind and message in the same statement: an object with `kind:` and `message:`, or the arguments of usageError and the like. */
function around(text: string, at: number): { kind: string; message: string } {
  const from = Math.max(text.lastIndexOf('\n', at), text.lastIndexOf('{', at), text.lastIndexOf(';', at)) + 1;
  const end = text.indexOf('\n', at);
  const before = text.slice(from, at);
  const after = text.slice(at, end < 0 ? text.length : end);
  const statement = before + after;
  const usage = /usageError\($/.test(before.trimEnd());
  const kind = /kind: '([a-z]+)'/.exec(statement)?.[1] ?? (usage ? 'usage' : '');
  const message = usage ? /^['"]E_[A-Z0-9_]+['"],\s*(['"`])((?:\\.|(?!\1).)*)\1/.exec(after)?.[2] : /message: (['"`])((?:\\.|(?!\1).)*)\1/.exec(statement)?.[2];
  return { kind, message: plain(message ?? '') };
}

/** What is filled in when it happens is shown as …. */
function plain(message: string): string {
  let text = message;
  for (let inner = ''; inner !== text;) [inner, text] = [text, text.replace(/\$\{[^{}]*\}/g, '…')];
  return cell(text.replace(/\\(['"`])/g, '$1')).replace(/\$\{.*$/, '…');
}
