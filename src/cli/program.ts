/** argv → one command with its arguments and options. Whatever is wrong with it is one line and exit 2 (I7). */
import { Command, type CommanderError, Option } from 'commander';
import { nearestWord } from '../config/nearest.ts';
import { parseDuration } from '../config/units.ts';
import { asBrigadeError, type BrigadeError, usageError } from '../core/errors.ts';
import { looksSecret } from '../core/secret.ts';
import { type ArgumentSpec, type CommandSpec, COMMANDS, EVERYWHERE, keyOf, longName, type OptionSpec, optionsOf } from './catalogue.ts';
import { Options } from './invocation.ts';

export type Parsed =
  | { readonly kind: 'command'; readonly command: CommandSpec; readonly args: readonly string[]; readonly options: Options }
  /** Help was asked for: the text for stdout. */
  | { readonly kind: 'text'; readonly text: string };

type Value = string | boolean | readonly string[];

/** Throws BrigadeError E_USAGE. */
export function parse(argv: readonly string[]): Parsed {
  const words = argv[0] === 'help' ? helpFor(argv.slice(1)) : argv[0] === '--version' || argv[0] === '-V' ? ['version', ...argv.slice(1)] : [...argv];
  let text = '';
  let parsed: Parsed | undefined;
  const program = build((out) => { text += out; }, (found) => { parsed = found; });
  try {
    program.parse(words, { from: 'user' });
  } catch (thrown) {
    if (!(thrown instanceof ParseStop)) throw thrown;
    if (thrown.error.exitCode === 0) return { kind: 'text', text };
    throw explained(thrown.error, thrown.command, words);
  }
  if (parsed === undefined) throw usage('', 'no command was given', `write one of ${commandWords().join(', ')}`);
  return parsed;
}

/** What commander throws, with the command it was at. */
class ParseStop extends Error {
  readonly error: CommanderError;
  readonly command: Command;

  constructor(error: CommanderError, command: Command) {
    super(error.message);
    this.error = error;
    this.command = command;
  }
}

function helpFor(words: readonly string[]): string[] {
  const [word] = words;
  if (word !== undefined && !commandWords().includes(word)) throw unknownCommand(word);
  return [...words, '--help'];
}

/** The first words of all commands. */
export function commandWords(): string[] {
  return [...new Set(COMMANDS.map(({ name }) => name.split(' ')[0] ?? name))];
}

function build(write: (text: string) => void, found: (parsed: Parsed) => void): Command {
  const program = quiet(new Command('brigade'), write);
  program.description('Moves buckets and file trees between clouds, accounts and data centres, and proves that nothing was lost.');
  program.usage('COMMAND [options]').enablePositionalOptions().helpCommand(false);
  program.addHelpText('after', '\nbrigade COMMAND --help explains a command. Exit codes: docs/exit-codes.md.');
  const atRoot = new Map<string, Value>();
  for (const option of EVERYWHERE) addOption(program, option, atRoot);
  for (const command of COMMANDS) {
    const values = new Map<string, Value>();
    const parser = define(parentOf(program, command, write), command, write);
    for (const option of optionsOf(command)) addOption(parser, option, values);
    parser.action((...given: unknown[]) => {
      const args = given.slice(0, command.args.length).flat().filter((arg): arg is string => typeof arg === 'string');
      refuseEmpty(command, args);
      found({ kind: 'command', command, args, options: new Options(new Map([...atRoot, ...values])) });
    });
  }
  return program;
}

/** An unset variable of a script must not become the current folder. */
function refuseEmpty(command: CommandSpec, args: readonly string[]): void {
  const at = args.indexOf('');
  if (at >= 0) throw usage(command.name, `argument ${at + 1} is empty`, `write brigade ${command.name} ${command.args.map(showArgument).join(' ')}`);
}

function quiet(command: Command, write: (text: string) => void): Command {
  return command
    .exitOverride((error) => { throw new ParseStop(error, command); })
    .configureOutput({ writeOut: write, writeErr: () => undefined })
    .configureHelp({ helpWidth: 100 })
    .showSuggestionAfterError(false);
}

function parentOf(program: Command, { name }: CommandSpec, write: (text: string) => void): Command {
  const [first, second] = name.split(' ');
  if (second === undefined || first === undefined) return program;
  const known = program.commands.find((command) => command.name() === first);
  const words = COMMANDS.filter((one) => one.name.startsWith(`${first} `)).map((one) => one.name.slice(first.length + 1));
  return known ?? quiet(program.command(first), write).summary(words.map((word) => `${first} ${word}`).join(', ')).helpCommand(false);
}

function define(parent: Command, spec: CommandSpec, write: (text: string) => void): Command {
  const command = quiet(parent.command(spec.name.split(' ').at(-1) ?? spec.name), write);
  command.summary(spec.summary).description([`${spec.summary}.`, ...(spec.about === undefined ? [] : [spec.about])].join('\n'));
  command.usage([...spec.args.map(showArgument), '[options]'].join(' '));
  for (const argument of spec.args) command.argument(commanderArgument(argument), argument.description);
  command.addHelpText('after', `\nExamples:\n${spec.examples.map((example) => `  ${example}`).join('\n')}`);
  return command;
}

export function showArgument({ name, required, variadic }: ArgumentSpec): string {
  const shown = variadic === true ? `${name}…` : name;
  return required ? shown : `[${shown}]`;
}

function commanderArgument({ name, required, variadic }: ArgumentSpec): string {
  const inner = `${name}${variadic === true ? '...' : ''}`;
  return required ? `<${inner}>` : `[${inner}]`;
}

function addOption(command: Command, spec: OptionSpec, values: Map<string, Value>): void {
  const choices = spec.choices === undefined || spec.value === 'list' ? '' : `: ${spec.choices.join(', ')}`;
  const standard = spec.standard === undefined ? '' : ` (default ${spec.standard})`;
  const option = new Option(spec.flags, `${spec.description}${choices}${standard}`);
  command.addOption(option);
  // Values are kept apart from commander's own, so that only what was written counts.
  const name = longName(spec.flags);
  command.on(`option:${option.name()}`, (text?: string | null) => {
    values.set(keyOf(spec), typeof text === 'string' ? checked(spec, name, text, values.get(keyOf(spec))) : true);
  });
}

function checked(spec: OptionSpec, name: string, text: string, before: Value | undefined): Value {
  if (text === '') throw usage(`--${name}`, 'has no value', `write --${name} VALUE`);
  if (spec.value === 'list' || spec.value === 'texts') {
    // A glob may hold commas of its own.
    const words = spec.value === 'texts' ? [text] : text.split(',').map((word) => word.trim()).filter((word) => word !== '');
    for (const word of words) checkChoice(spec, name, word);
    return [...(Array.isArray(before) ? (before as string[]) : []), ...words];
  }
  if (spec.value === 'count' && !/^[1-9]\d{0,8}$/.test(text)) throw usage(`--${name}`, `${quoted(text)} is not a whole number from 1`, `write --${name} 10`);
  if (spec.value === 'duration') checkDuration(name, text);
  checkChoice(spec, name, text);
  return text;
}

function checkChoice({ choices }: OptionSpec, name: string, text: string): void {
  if (choices === undefined || choices.includes(text)) return;
  const near = nearestWord(text, choices);
  throw usage(`--${name}`, `${quoted(text)} is not one of ${choices.join(', ')}`, near === undefined ? `write --${name} ${choices[0]}` : `did you mean ${near}`);
}

function checkDuration(name: string, text: string): void {
  try {
    parseDuration(text);
  } catch (thrown) {
    throw usage(`--${name}`, `${quoted(text)} ${asBrigadeError(thrown).message.replace(/^Problem: /, '')}`, `write --${name} 15s`);
  }
}

/** commander's refusals in our words. */
function explained(error: CommanderError, command: Command, words: readonly string[]): BrigadeError {
  const name = pathOf(command);
  const subject = /'([^']*)'/.exec(error.message)?.[1] ?? '';
  switch (error.code) {
    case 'commander.unknownCommand': return unknownCommand(subject, command);
    case 'commander.unknownOption': return unknownOption(subject, command);
    case 'commander.missingArgument': return usage(name, `${subject} is missing`, `write brigade ${name} ${command.usage()}`);
    case 'commander.optionMissingArgument': return usage(subject.replace(/^-\w, | <.*$/g, ''), 'has no value', `write ${subject.replace(/^-\w, /, '')}`);
    case 'commander.excessArguments': return usage(name, `too many arguments: ${command.args.length} where ${command.registeredArguments.length} belong`, `write brigade ${name} ${command.usage()}`);
    case 'commander.help': return usage(name, 'no command was given', `write one of ${command.commands.map((one) => one.name()).join(', ')}`);
    default: return usage(words[0] ?? '', error.message.replace(/^error: /, ''), 'see brigade --help');
  }
}

function unknownCommand(word: string, parent?: Command): BrigadeError {
  const known = parent?.parent ? parent.commands.map((one) => one.name()) : commandWords();
  const near = nearestWord(word, known);
  const where = parent === undefined ? '' : pathOf(parent);
  return usage(where, `${quoted(word)} is not a command`, near === undefined ? `known: ${known.join(', ')}` : `did you mean brigade ${where === '' ? '' : `${where} `}${near}`);
}

function unknownOption(flag: string, command: Command): BrigadeError {
  const name = pathOf(command);
  const known = command.options.flatMap((option) => (option.long === undefined || option.long === null ? [] : [option.long]));
  const word = flag.replace(/=.*$/s, '');
  const near = word.startsWith('--') ? nearestWord(word, [...known, '--help']) : undefined;
  const help = `brigade ${name === '' ? '' : `${name} `}--help`;
  return usage(name, `${quoted(word)} is not an option here`, near === undefined ? `see ${help}` : `did you mean ${near}`);
}

/** `run`, `ledger backup`; empty for brigade itself. */
function pathOf(command: Command): string {
  return command.parent === null ? '' : `${pathOf(command.parent)} ${command.name()}`.trim();
}

function quoted(text: string): string {
  return looksSecret(text) ? '"***"' : JSON.stringify(text.length > 60 ? `${text.slice(0, 57)}…` : text);
}

function usage(where: string, what: string, fix: string): BrigadeError {
  return usageError('E_USAGE', what, fix, where === '' ? undefined : where);
}
