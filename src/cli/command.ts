/** What a command is: a row of data for parsing, help and errors, and a module that is loaded only when it runs. */
import type { HomePaths } from '../platform/home.ts';
import type { Args } from './args.ts';
import type { Output } from './output.ts';

/** What a shell may propose: these words, or names of that kind as the machine and the platform have them at the moment. */
export type Completion =
  | readonly string[]
  | 'files'
  | 'folders'
  | 'functions'
  | 'revisions'
  | 'instances'
  | 'settings'
  | 'aliases'
  | 'namespaces'
  | 'runtimes'
  | 'templates'
  | 'triggers'
  | 'sources'
  | 'requests'
  | 'commands';

/** One option of a command. */
export interface OptionSpec {
  /** `flag` takes no value; `integer` refuses anything else; `optional` is one that may be left out (`--debug`, `--debug=5005`); `list` may be given several times. */
  kind: 'flag' | 'text' | 'integer' | 'optional' | 'list';
  short?: string;
  /** What stands for the value in help, for example `host:port`. */
  value?: string;
  help: string;
  /** The values allowed. */
  choices?: readonly string[];
  /** Absent: the choices. */
  complete?: Completion;
}

export interface Positional {
  name: string;
  required: boolean;
  help: string;
  complete?: Completion;
}

export interface CommandSpec {
  name: string;
  /** One line, a verb first. */
  summary: string;
  positionals: readonly Positional[];
  options: Record<string, OptionSpec>;
  /** Command line and what it is for. */
  examples: readonly (readonly [line: string, purpose: string])[];
  /** Where a command is not meant to be typed by people. */
  hidden?: boolean;
  load(): Promise<CommandModule>;
}

/** What `src/cli/commands/*.ts` export. */
export interface CommandModule {
  /** Resolves to the exit code. Throws `PetrelError`. */
  run(context: CommandContext): Promise<number>;
}

/** What a command gets to work with. */
export interface CommandContext {
  args: Args;
  env: NodeJS.ProcessEnv;
  home: HomePaths;
  out: Output;
}
