/** Environment images → Petrel's runtimes, and Fission's entry points → what a runtime loads. Pure. */
import { RUNTIME_IMAGE_PREFIX } from '../../kinds/function.ts';
import type { Environment, Problem } from './model.ts';

/** Names the Runtime that an Environment stands for, whatever its image is called; `image`: run the image itself. */
export const RUNTIME_ANNOTATION = 'petrel.dev/runtime';

/** Which file and which export a function is. */
export interface EntryPoint {
  entry?: string;
  handler?: string;
}

export interface Language {
  /** Name of the Runtime; empty where the environment's own image runs. */
  runtime: string;
  /** What a package that is one bare file is called. */
  file: string;
  /** The file is run, so it must be executable. */
  executable?: boolean;
  /** The loader has Fission's calling convention under this name. */
  shape?: 'fission';
  /**
   * What `functionName` means to the environment's server. `single`: name of the file when the package is one bare file; `has`:
   * whether the package has a file of that name.
   */
  entryPoint(functionName: string, single: string | undefined, has: (file: string) => boolean): EntryPoint;
}

const optional = (entry: string | undefined, handler: string | undefined): EntryPoint => ({
  ...(entry ? { entry } : {}),
  ...(handler ? { handler } : {}),
});

/** `a/b.c` → `a/b` and `c`. */
function split(name: string): [file: string, member: string | undefined] {
  const dot = name.lastIndexOf('.');
  return dot === -1 ? [name, undefined] : [name.slice(0, dot), name.slice(dot + 1)];
}

const NODE_FILE = /\.[cm]?[jt]s$/;

const node: Language = {
  runtime: 'node',
  file: 'index.js',
  shape: 'fission',
  // `file`, `file.export`, or a whole file name; with one bare file only the export can be meant.
  entryPoint(name, single) {
    if (name === '') return {};
    const [file, member] = split(name);
    if (single !== undefined) return optional(undefined, member);
    return NODE_FILE.test(name) ? { entry: name } : optional(file, member);
  },
};

const python: Language = {
  runtime: 'python',
  file: 'main.py',
  shape: 'fission',
  // `path.to.module.function`; `function` alone is main.py's, and nothing is main.main.
  entryPoint(name, single, has) {
    const [path, member] = name.includes('.') ? split(name) : ['main', name || 'main'];
    if (single !== undefined) return optional(single, member);
    const file = path.replaceAll('.', '/');
    const entry = !has(`${file}.py`) && has(`${file}/__init__.py`) ? `${file}/__init__.py` : `${file}.py`;
    return optional(entry, member);
  },
};

/** Languages whose functions are named `file.function`, or `function` alone; without a name the runtime looks for one. */
const named = (runtime: string, file: string, extension: string): Language => ({
  runtime,
  file,
  entryPoint(name, single) {
    if (name === '') return {};
    if (name.endsWith(extension)) return optional(single === undefined ? name : undefined, undefined);
    const [path, member] = split(name);
    return member === undefined
      ? { handler: name }
      : optional(single === undefined ? path + extension : undefined, member);
  },
});

/** Languages in which the name is one symbol, dots and all. */
const symbol = (runtime: string, file: string): Language => ({
  runtime,
  file,
  entryPoint: (name) => optional(undefined, name),
});

const program: Language = {
  runtime: 'exec',
  file: 'main',
  executable: true,
  entryPoint: (name, single) => optional(single ?? (name || undefined), undefined),
};

const LANGUAGES: Record<string, Language> = {
  node,
  python,
  go: symbol('go', 'handler.go'),
  java: symbol('java', 'function.jar'),
  ruby: named('ruby', 'handler.rb', '.rb'),
  php: named('php', 'index.php', '.php'),
  perl: named('perl', 'function.pl', '.pl'),
  rust: symbol('rust', 'handler.rs'),
  exec: program,
};

/** Name of an environment image, without registry, owner and tag → language. */
const IMAGES: readonly (readonly [pattern: RegExp, language: string])[] = [
  [/^node(js)?-env/, 'node'],
  [/^python(-fastapi)?(-\d[\d.]*)?-env/, 'python'],
  [/^go-env/, 'go'],
  [/^jvm(-jersey)?-env/, 'java'],
  [/^ruby-env/, 'ruby'],
  [/^php(\d+)?-env/, 'php'],
  [/^perl-env/, 'perl'],
  [/^rust-env/, 'rust'],
  [/^binary-env/, 'exec'],
];

/** Images of this machine, which run as they are. */
const LOCAL_IMAGE = /^(dev|ko|kind|petrel)\.local\//;

/** An environment with a server of its own, which makes of a function's name what it likes. */
const image: Language = { runtime: '', file: 'function', entryPoint: () => ({}) };

/** `ghcr.io/fission/node-env:22` → `node-env`. */
const baseName = (image: string): string =>
  (image.split('@')[0] ?? '')
    .split('/')
    .at(-1)
    ?.replace(/:[^:]*$/, '') ?? '';

/** The language an Environment is for, or why none is known. */
export function languageOf({ metadata, spec }: Environment): Language | Problem {
  const reference = spec.runtime.image;
  const said =
    metadata.annotations?.[RUNTIME_ANNOTATION] ??
    (reference.startsWith(RUNTIME_IMAGE_PREFIX) ? reference.slice(RUNTIME_IMAGE_PREFIX.length) : undefined);
  if (said === 'image' || (said === undefined && LOCAL_IMAGE.test(reference))) return image;
  if (said !== undefined) return LANGUAGES[said] ?? symbol(said, 'function');
  const name = baseName(reference);
  const known = IMAGES.find(([pattern]) => pattern.test(name));
  const language = known && LANGUAGES[known[1]];
  return (
    language ?? {
      reason: 'UnknownImage',
      message: `No runtime is known for the image "${reference}". Name one with the annotation ${RUNTIME_ANNOTATION} on the Environment (kubectl get runtimes lists them), or say "image" there to have the image itself run.`,
    }
  );
}
