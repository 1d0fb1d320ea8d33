/** Recognising a program: a folder or file whose command listens on `$PORT`, in whatever language. */
import { closeSync, openSync, readdirSync, readFileSync, readSync, type Stats, statSync } from 'node:fs';
import { basename, join } from 'node:path';
import { PetrelError } from '../../base/errors.ts';

/** File that tells a program's command to the runtime; the format that Heroku and buildpacks use. */
export const PROCFILE = 'Procfile';
const ELF = Buffer.from([0x7f, 0x45, 0x4c, 0x46]);
/** Sources that a runtime loads itself, also when they are marked as executable. */
const LOADED = /\.(py|[cm]?[jt]s)$/;
/** Scripts that may be functions, one process per request, as well as programs. */
const SCRIPT = /\.(sh|bash)$/;
/** Bytes of a script in which it is looked for whether it knows of `$PORT`. */
const SCRIPT_HEAD = 65536;
/** Files of projects that are built: an executable beside one is what somebody built of it, at some time. */
const PROJECTS = new Set(
  'go.mod Cargo.toml pom.xml build.gradle build.gradle.kts Gemfile composer.json requirements.txt pyproject.toml'.split(
    ' ',
  ),
);
/** AWS Lambda's name for an executable that asks for its work and listens nowhere; a runtime starts it. */
const LAMBDA_PROGRAM = 'bootstrap';
/** Of several executables in a folder, the one that is meant. */
const USUAL_NAMES = ['server', 'app', 'main', 'start.sh', 'run.sh'];

export interface Program {
  /** The command line; absent where the package itself says it (`scripts.start` of its package.json). */
  command: string | undefined;
  /** What told, for messages. */
  because: string;
}

/** The program that `path` is, or undefined where it is sources for a runtime. `command` is what the user said. Throws `InvalidArgument`. */
export function programAt(path: string, stats: Stats, command: string | undefined): Program | undefined {
  if (command !== undefined) {
    if (command.trim() === '' || command.includes('\n')) {
      throw new PetrelError('InvalidArgument', '--command is no command line', {
        fix: `for example --command './server --port $PORT', in single quotes`,
      });
    }
    return { command: command.trim(), because: '--command' };
  }
  if (!stats.isDirectory()) {
    if (!isExecutable(path, stats) || answersByItself(path)) return undefined;
    return { command: `./${quoted(basename(path))}`, because: `${basename(path)} is an executable` };
  }
  const files = readdirSync(path, { withFileTypes: true }).filter((entry) => entry.isFile());
  const names = files.map(({ name }) => name);
  if (names.includes(PROCFILE)) {
    const web = webCommand(readFileSync(join(path, PROCFILE), 'utf8'));
    if (web !== undefined) return { command: web, because: `web in ${PROCFILE}` };
  }
  if (names.some((name) => LOADED.test(name)) || names.includes('package.json')) {
    return startsItself(path, names)
      ? { command: undefined, because: 'scripts.start in package.json' }
      : undefined;
  }
  if (names.some((name) => PROJECTS.has(name)) || names.includes(LAMBDA_PROGRAM)) return undefined;
  const executables = names.filter((name) => isExecutable(join(path, name), statSync(join(path, name))));
  const usual = [...USUAL_NAMES, basename(path)].find((name) => executables.includes(name));
  const [only, second] = executables;
  const chosen = usual ?? (second === undefined ? only : undefined);
  // What is named as a start script may well start something that finds $PORT by itself.
  if (chosen && !usual && answersByItself(join(path, chosen))) return undefined;
  return chosen ? { command: `./${quoted(chosen)}`, because: `${chosen} is an executable` } : undefined;
}

/** The `web` line of a Procfile. */
function webCommand(text: string): string | undefined {
  return /^web:[ \t]*(\S.*?)\s*$/m.exec(text)?.[1];
}

/** A package.json that says how it is started and nothing about what to load: frameworks with a server of their own. */
function startsItself(path: string, names: readonly string[]): boolean {
  if (!names.includes('package.json')) return false;
  try {
    const { scripts, main, exports } = JSON.parse(readFileSync(join(path, 'package.json'), 'utf8'));
    const loadable = main !== undefined || exports !== undefined || names.some((name) => LOADED.test(name));
    return typeof scripts?.start === 'string' && !loadable;
  } catch {
    return false; // the runtime tells what is wrong with it, with line and column
  }
}

/** A shell script without a word of `$PORT`: nothing in it can listen there, so that it is run once per request. */
function answersByItself(path: string): boolean {
  return SCRIPT.test(path) && !/\bPORT\b/.test(headOf(path, SCRIPT_HEAD).toString('latin1'));
}

function headOf(path: string, size: number): Buffer {
  const head = Buffer.alloc(size);
  const file = openSync(path, 'r');
  try {
    return head.subarray(0, readSync(file, head, 0, size, 0));
  } finally {
    closeSync(file);
  }
}

function isExecutable(path: string, stats: Stats): boolean {
  if (!stats.isFile() || (stats.mode & 0o100) === 0) return false;
  const head = headOf(path, 4);
  return head.equals(ELF) || (head.toString('latin1', 0, 2) === '#!' && !LOADED.test(path));
}

function quoted(name: string): string {
  return /^[\w.-]+$/.test(name) ? name : `'${name.replaceAll("'", `'\\''`)}'`;
}
