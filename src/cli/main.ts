/** The `petrel` command: finds the row of the command table, parses its arguments, runs its module. */
import { PetrelError } from '../base/errors.ts';
import { homePaths } from '../platform/home.ts';
import { parse } from './args.ts';
import type { CommandSpec } from './command.ts';
import { COMMANDS } from './commands.ts';
import { type Format, Output, type Sink } from './output.ts';
import { closest } from './suggest.ts';

/** Runs one command line (without `node` and the script) and resolves to its exit code. */
export async function main(
  argv: readonly string[],
  env: NodeJS.ProcessEnv,
  stdout: Sink,
  stderr: Sink,
): Promise<number> {
  let out = new Output(formatIn(argv), stdout, stderr);
  try {
    const [name, ...rest] = argv;
    if (name === undefined || name === '--help' || name === '-h' || name === 'help')
      return await help(out, rest[0]);
    if (name === '--version' || name === '-v') return await main(['version'], env, stdout, stderr);
    if (name === '__complete') return await (await import('./complete/index.ts')).complete(rest, env, stdout);
    const command = find(name);
    const args = parse(command, rest);
    if (args.flag('help')) return await help(out, command.name);
    out = new Output((args.text('output') as Format | undefined) ?? 'table', stdout, stderr);
    const { run } = await command.load();
    return await run({ args, env, home: homePaths(args.text('home'), env), out });
  } catch (error) {
    return out.failure(error);
  }
}

/** The format in which to report a command line that could not be parsed. */
function formatIn(argv: readonly string[]): Format {
  const text = argv.join(' ');
  return /(^| )(-o|--output)[ =]?json( |$)/.test(text) ? 'json' : 'table';
}

function find(name: string): CommandSpec {
  const command = COMMANDS.find((candidate) => candidate.name === name);
  if (command) return command;
  const names = COMMANDS.filter((command) => !command.hidden).map((command) => command.name);
  const near = closest(name, names);
  throw new PetrelError('InvalidArgument', `there is no command "${name}"`, {
    fix: near ? `did you mean petrel ${near}?` : 'petrel --help lists the commands',
  });
}

async function help(out: Output, name: string | undefined): Promise<number> {
  const { commandHelp, overview } = await import('./help.ts');
  out.line(name === undefined ? overview(COMMANDS) : commandHelp(find(name)));
  return 0;
}

if (import.meta.main) {
  // A reader that has seen enough (`petrel list | head -1`) is no failure.
  process.stdout.on('error', (error: NodeJS.ErrnoException) => process.exit(error.code === 'EPIPE' ? 0 : 70));
  process.exitCode = await main(process.argv.slice(2), process.env, process.stdout, process.stderr);
}
