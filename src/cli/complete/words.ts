/** What may stand at the end of a command line that is not finished. Pure. */
import { GLOBAL_OPTIONS, takesNext } from '../args.ts';
import type { CommandSpec, Completion, OptionSpec } from '../command.ts';

/** One word, and what it is for. */
export type Proposal = readonly [word: string, purpose: string];

export interface Wanted {
  /** Known from the command table. */
  proposals: readonly Proposal[];
  /** Has to be looked up. */
  names?: Exclude<Completion, readonly string[]>;
  /** What of the last word stands before what is proposed: `--namespace=`. */
  prefix: string;
  /** What the words before say. */
  positionals: readonly string[];
  values: ReadonlyMap<string, string>;
}

/** Of `words`, what follows `petrel`, the last one is unfinished, perhaps empty. */
export function wanted(commands: readonly CommandSpec[], words: readonly string[]): Wanted {
  const current = words.at(-1) ?? '';
  const [name, ...before] = words.slice(0, -1);
  const nothing: Wanted = { proposals: [], prefix: '', positionals: [], values: new Map() };
  if (name === undefined)
    return { ...nothing, proposals: current.startsWith('-') ? GLOBAL : ofCommands(commands) };
  if (name === 'help') return { ...nothing, proposals: before.length === 0 ? ofCommands(commands) : [] };
  const command = commands.find((one) => one.name === name);
  if (command === undefined) return nothing;
  const options: Record<string, OptionSpec> = { ...command.options, ...GLOBAL_OPTIONS };
  const read = readWords(options, before);
  const { positionals, values } = read;
  const at = (complete: Completion | undefined, prefix = ''): Wanted => ({
    ...(typeof complete === 'string' ? { names: complete } : {}),
    proposals: typeof complete === 'object' ? complete.map((word): Proposal => [word, '']) : [],
    prefix,
    positionals,
    values,
  });
  if (read.open !== undefined) return at(valuesOf(read.open));
  if (!read.closed) {
    const [, long = ''] = /^--([^=]+)=/.exec(current) ?? [];
    const spec = options[long];
    if (spec) return at(valuesOf(spec), `--${long}=`);
    if (current.startsWith('-')) return { ...at(undefined), proposals: ofOptions(options, read.given) };
  }
  return at(command.positionals[positionals.length]?.complete);
}

const GLOBAL: readonly Proposal[] = [
  ['--help', 'show the commands'],
  ['--version', 'show the version'],
];

const ofCommands = (commands: readonly CommandSpec[]): Proposal[] =>
  commands.filter(({ hidden }) => !hidden).map(({ name, summary }): Proposal => [name, summary]);

const ofOptions = (options: Record<string, OptionSpec>, given: ReadonlySet<string>): Proposal[] =>
  Object.entries(options)
    .filter(([name, { kind }]) => kind === 'list' || !given.has(name))
    .map(([name, { help }]): Proposal => [`--${name}`, help]);

const valuesOf = ({ choices, complete, value }: OptionSpec): Completion | undefined =>
  complete ?? choices ?? (value === 'file' ? 'files' : undefined);

/** What complete words say; `open` is an option that still waits for its value, `closed` that options are over. */
function readWords(options: Record<string, OptionSpec>, words: readonly string[]) {
  const positionals: string[] = [];
  const values = new Map<string, string>();
  const given = new Set<string>();
  let open: OptionSpec | undefined;
  let openName = '';
  let closed = false;
  const byShort = (letter: string) => Object.entries(options).find(([, { short }]) => short === letter)?.[0];
  for (const word of words) {
    if (open !== undefined) {
      values.set(openName, word);
      open = undefined;
    } else if (closed || word === '-' || !word.startsWith('-')) positionals.push(word);
    else if (word === '--') closed = true;
    else {
      const [, long, value] = /^--([^=]+)(?:=(.*))?$/s.exec(word) ?? [];
      const attached = long === undefined ? word.slice(2) || undefined : value;
      const name = long ?? byShort(word[1] ?? '') ?? '';
      const spec = options[name];
      if (spec === undefined) continue;
      given.add(name);
      if (attached !== undefined) values.set(name, attached);
      else if (takesNext(spec)) [open, openName] = [spec, name];
    }
  }
  return { positionals, values, given, open, closed };
}
