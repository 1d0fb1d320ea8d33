/** Turns a command line into the values that a command's table row declares, or into an error that says what to type. */
import { parseArgs } from 'node:util';
import { PetrelError } from '../base/errors.ts';
import type { CommandSpec, OptionSpec } from './command.ts';
import { closest } from './suggest.ts';

/** Options that every command takes. */
export const GLOBAL_OPTIONS: Record<string, OptionSpec> = {
  home: {
    kind: 'text',
    value: 'dir',
    help: 'where all state lives (default $PETREL_HOME, else ~/.petrel)',
    complete: 'folders',
  },
  help: { kind: 'flag', short: 'h', help: 'show this help' },
};

type Value = string | true | number | string[];

/** The values given on the command line, by option name and by position. */
export class Args {
  readonly #values: Map<string, Value>;
  readonly positionals: readonly string[];

  constructor(values: Map<string, Value>, positionals: readonly string[]) {
    this.#values = values;
    this.positionals = positionals;
  }

  /** The same with another positional. */
  withPositional(index: number, value: string): Args {
    return new Args(this.#values, this.positionals.with(index, value));
  }
  /** Names of the options on the command line. */
  given(): string[] {
    return [...this.#values.keys()];
  }
  has(name: string): boolean {
    return this.#values.has(name);
  }
  flag(name: string): boolean {
    return this.#values.get(name) === true;
  }
  text(name: string): string | undefined {
    const value = this.#values.get(name);
    return typeof value === 'string' ? value : undefined;
  }
  integer(name: string): number | undefined {
    const value = this.#values.get(name);
    return typeof value === 'number' ? value : undefined;
  }
  list(name: string): string[] {
    const value = this.#values.get(name);
    return Array.isArray(value) ? value : [];
  }
  /** The positional argument with this index, undefined when it was left out. */
  optional(index: number): string | undefined {
    return this.positionals[index];
  }

  /** A positional that the command declares as required. */
  required(index: number): string {
    return this.positionals[index] ?? '';
  }
}

/** Parses what follows the command's name. Throws `InvalidArgument`. */
export function parse(command: CommandSpec, argv: readonly string[]): Args {
  const specs: Record<string, OptionSpec> = { ...command.options, ...GLOBAL_OPTIONS };
  const { tokens } = parseArgs({
    args: [...argv],
    strict: false,
    tokens: true,
    allowPositionals: true,
    options: Object.fromEntries(
      Object.entries(specs).map(([name, spec]) => [
        name,
        {
          type: takesNext(spec) ? ('string' as const) : ('boolean' as const),
          ...(spec.short ? { short: spec.short } : {}),
        },
      ]),
    ),
  });
  const values = new Map<string, Value>();
  const positionals: string[] = [];
  for (const token of tokens) {
    if (token.kind === 'positional') positionals.push(token.value);
    if (token.kind !== 'option') continue;
    const spec = specs[token.name];
    if (!spec) throw unknownOption(command, token.rawName, specs);
    const given = values.get(token.name);
    const value = readValue(command, token.rawName, spec, token.value, token.inlineValue === true);
    if (typeof value === 'string' && spec.kind === 'list')
      values.set(token.name, [...(Array.isArray(given) ? given : []), value]);
    else values.set(token.name, value);
  }
  if (!values.has('help')) checkPositionals(command, positionals);
  return new Args(values, positionals);
}

/** Whether the word that follows belongs to it. */
export const takesNext = ({ kind }: OptionSpec) => kind !== 'flag' && kind !== 'optional';

function readValue(
  command: CommandSpec,
  raw: string,
  spec: OptionSpec,
  value: string | undefined,
  inline: boolean,
): Value {
  if (spec.kind === 'flag') {
    if (value !== undefined) throw usage(command, `${raw} takes no value`, `write ${raw} alone`);
    return true;
  }
  if (spec.kind === 'optional' && value === undefined) return true;
  // A value that looks like an option is nearly always a forgotten value; `--option=-x` says that it is meant.
  // A negative number is a value, though a wrong one: no option is a digit.
  if (value === undefined || (!inline && /^-[^\d]/.test(value))) {
    throw usage(command, `${raw} needs a value`, `write ${raw} <${spec.value ?? 'value'}>`);
  }
  if (spec.choices && !spec.choices.includes(value)) {
    throw usage(command, `${raw} ${value} is not known`, `use one of ${spec.choices.join(', ')}`);
  }
  // An empty path is a variable that was not set, and would be the folder that one stands in.
  if (value === '' && spec.complete === 'folders')
    throw usage(command, `${raw} is empty`, `name a folder, or leave ${raw} out`);
  if (spec.kind !== 'integer' && spec.kind !== 'optional') return value;
  if (!/^\d{1,9}$/.test(value))
    throw usage(
      command,
      `${raw} ${value} is not a whole number`,
      `write ${raw}${spec.kind === 'optional' ? '=' : ' '}<${spec.value ?? 'number'}>`,
    );
  return Number(value);
}

function checkPositionals(command: CommandSpec, given: readonly string[]): void {
  const missing = command.positionals.find(
    (positional, index) => positional.required && given[index] === undefined,
  );
  if (missing)
    throw usage(
      command,
      `${command.name} needs <${missing.name}>: ${missing.help}`,
      `petrel ${command.name} --help shows examples`,
    );
  const extra = given[command.positionals.length];
  if (extra !== undefined)
    throw usage(
      command,
      `${command.name} does not know what to do with "${extra}"`,
      `petrel ${command.name} --help shows what it takes`,
    );
}

function unknownOption(command: CommandSpec, raw: string, specs: Record<string, OptionSpec>): PetrelError {
  const names = Object.entries(specs).flatMap(([name, spec]) => [
    `--${name}`,
    ...(spec.short ? [`-${spec.short}`] : []),
  ]);
  const near = raw.length > 2 ? closest(raw, names) : undefined; // one letter is near to every other
  return usage(
    command,
    `${command.name} has no option ${raw}`,
    near ? `did you mean ${near}?` : `petrel ${command.name} --help lists the options`,
  );
}

function usage(command: CommandSpec, what: string, fix: string): PetrelError {
  return new PetrelError('InvalidArgument', what, {
    why: `the arguments of petrel ${command.name} were not understood`,
    fix,
  });
}
