/** Completion scripts for bash, zsh and fish, made from the catalogue. */
import { type CommandSpec, COMMANDS, longName, optionsOf, type OptionSpec } from './catalogue.ts';
import { commandWords } from './program.ts';

export const SHELLS = ['bash', 'zsh', 'fish'] as const;
export type Shell = (typeof SHELLS)[number];

export function completionScript(shell: Shell): string {
  switch (shell) {
    case 'bash': return bash();
    case 'zsh': return `#compdef brigade\nautoload -U +X bashcompinit && bashcompinit\n${bash()}`;
    case 'fish': return fish();
  }
}

const takesRun = ({ args }: CommandSpec): boolean => args.some(({ name }) => /RUN|NAME/.test(name));

/** `-o|--format`: all spellings of one option. */
function spellings({ flags }: OptionSpec): string[] {
  return flags.split(/,\s*/).map((flag) => flag.replace(/ .*$/, ''));
}

function bash(): string {
  const second = new Map<string, string[]>();
  for (const { name } of COMMANDS) {
    const [first = '', word] = name.split(' ');
    if (word !== undefined) second.set(first, [...(second.get(first) ?? []), word]);
  }
  const nested = [...second].map(([first, words]) => `    ${first}) if [ "$COMP_CWORD" -eq 2 ]; then COMPREPLY=($(compgen -W "${words.join(' ')}" -- "$cur")); return; fi;;`);
  const choices = [...new Map(COMMANDS.flatMap((command) => optionsOf(command).filter((option) => option.choices !== undefined)
    .map((option) => [`${command.name.split(' ')[0]}:${longName(option.flags)}`, `    ${spellings(option).map((flag) => `${command.name.split(' ')[0]}:${flag}`).join('|')}) COMPREPLY=($(compgen -W "${option.choices?.join(' ')}" -- "$cur")); return;;`] as const))).values()];
  const options = commandWords().map((word) => {
    const all = COMMANDS.filter(({ name }) => name.split(' ')[0] === word).flatMap((command) => optionsOf(command).flatMap(spellings));
    return `      ${word}) COMPREPLY=($(compgen -W "${[...new Set([...all, '--help'])].join(' ')}" -- "$cur"));;`;
  });
  const runs = [...new Set(COMMANDS.filter(takesRun).map(({ name }) => name.split(' ')[0]))];
  return `_brigade() {
  local cur prev cmd
  cur="\${COMP_WORDS[COMP_CWORD]}"
  prev="\${COMP_WORDS[COMP_CWORD-1]}"
  cmd="\${COMP_WORDS[1]}"
  if [ "$COMP_CWORD" -eq 1 ]; then
    COMPREPLY=($(compgen -W "${commandWords().join(' ')} --help" -- "$cur"))
    return
  fi
  case "$cmd" in
${nested.join('\n')}
  esac
  case "$cmd:$prev" in
${choices.join('\n')}
  esac
  if [[ "$cur" == -* ]]; then
    case "$cmd" in
${options.join('\n')}
    esac
    return
  fi
  case "$cmd" in
    ${runs.join('|')}) COMPREPLY=($(compgen -W "$(ls .brigade 2>/dev/null)" -- "$cur") $(compgen -f -- "$cur"));;
    completion) COMPREPLY=($(compgen -W "${SHELLS.join(' ')}" -- "$cur"));;
    *) COMPREPLY=($(compgen -f -- "$cur"));;
  esac
}
complete -o filenames -F _brigade brigade
`;
}

function fish(): string {
  const quote = (text: string): string => `'${text.replaceAll('\\', '\\\\').replaceAll("'", String.raw`\'`)}'`;
  const lines = [`complete -c brigade -n __fish_use_subcommand -f -a ${quote(commandWords().join(' '))}`];
  for (const command of COMMANDS) {
    const [first = '', second] = command.name.split(' ');
    const on = `__fish_seen_subcommand_from ${first}`;
    if (second === undefined) lines.push(`complete -c brigade -n __fish_use_subcommand -f -a ${first} -d ${quote(command.summary)}`);
    else lines.push(`complete -c brigade -n ${quote(on)} -f -a ${second} -d ${quote(command.summary)}`);
    if (takesRun(command)) lines.push(`complete -c brigade -n ${quote(on)} -a '(ls .brigade 2>/dev/null)'`);
    for (const option of optionsOf(command)) lines.push(fishOption(on, option, quote));
  }
  return `${lines.join('\n')}\n`;
}

function fishOption(on: string, option: OptionSpec, quote: (text: string) => string): string {
  const short = /^-(\w),/.exec(option.flags)?.[1];
  const words = option.choices === undefined ? (option.flags.includes('<') ? ' -r' : '') : ` -x -a ${quote(option.choices.join(' '))}`;
  return `complete -c brigade -n ${quote(on)} -l ${longName(option.flags)}${short === undefined ? '' : ` -s ${short}`}${words} -d ${quote(option.description)}`;
}
