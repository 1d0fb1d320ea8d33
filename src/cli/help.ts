/** Help texts, made from the command table. */
import { GLOBAL_OPTIONS } from './args.ts';
import type { CommandSpec, OptionSpec } from './command.ts';

/** `petrel --help`. */
export function overview(commands: readonly CommandSpec[]): string {
  const rows = commands
    .filter((command) => !command.hidden)
    .map(({ name, summary }): [string, string] => [name, summary]);
  return [
    'Petrel: from a source file to a URL.',
    '',
    '  petrel deploy hello.ts     deploy a function; starts the platform if none runs',
    '  petrel deploy app.yaml     or Kubernetes objects; or a folder with a program',
    '  petrel invoke hello        call it',
    '  petrel down                stop the platform; everything deployed stays',
    '',
    'Commands',
    ...columns(rows),
    '',
    'petrel <command> --help shows the options of a command, with examples.',
  ].join('\n');
}

/** `petrel <command> --help`: examples first. */
export function commandHelp(command: CommandSpec): string {
  const words = command.positionals.map(({ name, required }) => (required ? `<${name}>` : `[${name}]`));
  const options = Object.entries({ ...command.options, ...GLOBAL_OPTIONS }).map(
    ([name, spec]): [string, string] => [
      optionLabel(name, spec),
      spec.help + (spec.choices ? ` (${spec.choices.join(', ')})` : ''),
    ],
  );
  return [
    `${command.summary}.`,
    '',
    'Examples',
    ...columns(command.examples.map(([line, purpose]): [string, string] => [line, purpose])),
    '',
    `Usage: ${['petrel', command.name, ...words, '[options]'].join(' ')}`,
    ...columns(command.positionals.map(({ name, help }): [string, string] => [name, help])),
    '',
    'Options',
    ...columns(options),
  ].join('\n');
}

function optionLabel(name: string, spec: OptionSpec): string {
  const shown = spec.value ?? 'value';
  const value = { flag: '', optional: `[=${shown}]` }[spec.kind as string] ?? ` <${shown}>`;
  return `${spec.short ? `-${spec.short}, ` : '    '}--${name}${value}${spec.kind === 'list' ? ' ...' : ''}`;
}

function columns(rows: readonly [string, string][]): string[] {
  const width = Math.max(0, ...rows.map(([left]) => left.length));
  return rows.map(([left, right]) => `  ${left.padEnd(width)}  ${right}`.trimEnd());
}
