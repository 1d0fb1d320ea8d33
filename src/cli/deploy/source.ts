/** What a path on the command line is: which name, which runtime, which entry. */
import { existsSync, readdirSync, type Stats, statSync } from 'node:fs';
import { basename, extname, join, resolve } from 'node:path';
import { PetrelError } from '../../base/errors.ts';
import type { Runtime } from '../../kinds/function.ts';
import { dns1035Label } from '../../kinds/name.ts';
import { closest } from '../suggest.ts';
import { type Program, programAt } from './program.ts';

export interface Source {
  path: string;
  directory: boolean;
  /** File to load, for a single file its name. */
  entry: string | undefined;
  name: string;
  /** It is run, not loaded. */
  program?: Program;
}

/** What the options of `deploy` say about a source. */
export interface SourceOptions {
  name?: string | undefined;
  entry?: string | undefined;
  command?: string | undefined;
  shape?: string | undefined;
  handler?: string | undefined;
  runtime?: string | undefined;
}

/** The runtime whose supervisor runs programs of any language: warm, and it ends with its program. */
const PROGRAM_RUNTIME = 'node';

/** Runtimes whose files are more often meant for another: helper scripts, pages, scripts for Node. They are chosen when nothing else is there, or by name. */
const GIVES_WAY = new Set(['exec', 'static', 'isolate']);

/** Longest name that leaves room for a revision's suffix (`-00001`) in a DNS label. */
const LONGEST_NAME = 57;

/** Looks at the path. Throws `FileNotFound`, `UnsupportedSource` or `InvalidName`. */
export function findSource(path: string, options: SourceOptions): Source {
  const { name, entry, command } = options;
  const full = resolve(path);
  const stats = look(path, full);
  const directory = stats.isDirectory();
  if (entry !== undefined && directory && !existsSync(join(full, entry))) {
    throw new PetrelError('FileNotFound', `${path} has no file ${entry}`, {
      why: '--entry names the file to load, relative to the folder',
      fix: 'correct --entry, or leave it out to let the runtime decide',
    });
  }
  const program =
    command !== undefined || mayBeProgram(options) ? programAt(full, stats, command) : undefined;
  const base = basename(full);
  const own = directory ? base : base.slice(0, base.length - extname(base).length);
  return {
    path: full,
    directory,
    entry: program ? undefined : directory ? entry : base,
    name: checkName(name ?? own, name !== undefined),
    ...(program ? { program } : {}),
  };
}

/** Whether nothing was said that only makes sense for sources that a runtime loads. */
function mayBeProgram({ entry, shape, handler, runtime = PROGRAM_RUNTIME }: SourceOptions): boolean {
  return entry === undefined && handler === undefined && shape !== 'handler' && runtime === PROGRAM_RUNTIME;
}

function look(path: string, full: string): Stats {
  try {
    const stats = statSync(full);
    if (stats.isDirectory() || stats.isFile()) return stats;
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    throw new PetrelError('FileNotFound', `${path} cannot be read`, {
      why: code === 'ENOENT' || code === 'ENOTDIR' ? `there is no ${full}` : (error as Error).message,
      fix: 'give the path of a source file, or of a folder with sources',
      cause: error,
    });
  }
  throw new PetrelError('UnsupportedSource', `${path} is neither a file nor a folder`, {
    fix: 'give the path of a source file, or of a folder with sources',
  });
}

const problemsOf = (name: string): string[] =>
  name.length > LONGEST_NAME ? [`must be no more than ${LONGEST_NAME} characters`] : dns1035Label(name);

/** What a function of a file or folder with this name may be called: the same where that is possible. */
export function nameFor(name: string): string {
  if (problemsOf(name).length === 0) return name;
  return (
    name
      .toLowerCase()
      .replace(/[^a-z0-9]+/g, '-')
      .replace(/^[^a-z]+/, '')
      .slice(0, LONGEST_NAME)
      .replace(/-+$/, '') || 'my-function'
  );
}

function checkName(name: string, given: boolean): string {
  const problems = problemsOf(name);
  if (problems.length === 0) return name;
  const proposal = nameFor(name);
  throw new PetrelError('InvalidName', `"${name}" cannot be the name of a function`, {
    why: `it becomes a host name: ${problems.join('; ')}`,
    fix: `${given ? 'for example' : 'name the function'}: --name ${proposal}`,
  });
}

/** The runtime asked for, or the one that the source is for. Throws `UnsupportedSource` or `RuntimeUnavailable`. */
export function chooseRuntime(
  source: Source,
  asked: string | undefined,
  runtimes: readonly Runtime[],
): string {
  const names = runtimes.map((runtime) => runtime.metadata.name).sort();
  if (source.program) {
    if (asked === undefined || asked === PROGRAM_RUNTIME) return PROGRAM_RUNTIME;
    throw new PetrelError('UnsupportedSource', `the runtime ${asked} does not run commands`, {
      why: `it is a program (${source.program.because})`,
      fix: 'leave out --runtime, or say --shape handler to have its sources loaded',
    });
  }
  if (asked !== undefined) {
    const found = runtimes.find(({ metadata, spec }) => metadata.name === asked || spec.language === asked);
    if (!found) {
      const near = names.find((name) => asked.startsWith(name)) ?? closest(asked, names);
      throw new PetrelError('RuntimeUnavailable', `there is no runtime "${asked}"`, {
        why: `this platform has ${names.join(', ') || 'none'}`,
        fix: names.length === 0 ? 'petrel doctor' : near ? `did you mean ${near}?` : 'use one of these',
      });
    }
    if (
      !source.directory &&
      !found.spec.extensions.includes(extname(source.path)) &&
      runtimeOf([source.path], runtimes).length > 0
    ) {
      throw new PetrelError(
        'UnsupportedSource',
        `${basename(source.path)} is not for the runtime ${found.metadata.name}`,
        {
          why: `${found.metadata.name} loads ${found.spec.extensions.join(', ')}`,
          fix: `leave out --runtime, or use --runtime ${runtimeOf([source.path], runtimes)[0]}`,
        },
      );
    }
    return found.metadata.name;
  }
  const candidates = source.directory ? ofFolder(source, runtimes) : runtimeOf([source.path], runtimes);
  const [only, second] = candidates;
  if (only !== undefined && second === undefined) return only;
  const known = [...new Set(runtimes.flatMap(({ spec }) => spec.extensions))].join(', ');
  throw new PetrelError('UnsupportedSource', `which language ${basename(source.path)} is in is not clear`, {
    why:
      second === undefined
        ? `known file extensions are ${known}`
        : `it has sources for ${candidates.join(' and ')}`,
    fix: `say it with --runtime ${(second === undefined ? names : candidates).join(' or ')}; a program that listens on $PORT is deployed with --command '...'`,
  });
}

/** The runtimes whose markers (`go.mod`, `package.json` …) are at the top of the folder, else those that its files are for. */
function ofFolder(source: Source, runtimes: readonly Runtime[]): string[] {
  if (source.entry !== undefined) return runtimeOf([source.entry], runtimes);
  const names = readdirSync(source.path, { withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map(({ name }) => name);
  const marked = runtimes.filter(({ spec }) => spec.markers?.some((marker) => names.includes(marker)));
  if (marked.length === 0) return runtimeOf(names, runtimes);
  // A package.json beside a composer.json is for the pages: whose sources are there counts.
  const sources = marked.length > 1 ? runtimeOf(names, marked) : [];
  return sources.length === 1 ? sources : marked.map(({ metadata }) => metadata.name);
}

function runtimeOf(files: readonly string[], runtimes: readonly Runtime[]): string[] {
  const extensions = new Set(files.map((file) => extname(file)));
  const found = runtimes.filter(({ spec }) => spec.extensions.some((extension) => extensions.has(extension)));
  const meant = found.filter(({ spec }) => !GIVES_WAY.has(spec.language));
  return (meant.length > 0 ? meant : found).map(({ metadata }) => metadata.name);
}
