/** Whether source has to be built before anything can load it: `spec.build.when` of its Runtime, as `runtimes/BUILDS.md` says. */
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { FunctionSpec, RuntimeBuild } from '../../kinds/function.ts';

/** The top of an unpacked source. */
export interface SourceView {
  names: ReadonlySet<string>;
  read(name: string): Promise<string>;
}

/** Reads the names at the top of a directory. */
export async function sourceView(dir: string): Promise<SourceView> {
  return {
    names: new Set(await readdir(dir)),
    read: (name) => readFile(join(dir, name), 'utf8'),
  };
}

/** First bytes of a WebAssembly component; those of a module are others. */
const COMPONENT = '\0asm\r\0\x01\0';

/** A JSON file has this key at its top, with something in it; any other file has it at the beginning of a line or of a table's name. */
async function hasKey(view: SourceView, name: string, key: string): Promise<boolean> {
  const text = await view.read(name).catch(() => '');
  if (name.endsWith('.wasm')) return key === 'component' && text.startsWith(COMPONENT);
  if (!name.endsWith('.json')) {
    const word = key.replace(/[^\w-]/g, '');
    return new RegExp(`^\\s*(\\[[\\w.-]*)?\\b${word}\\b`, 'm').test(text);
  }
  try {
    const value: unknown = (JSON.parse(text) as Record<string, unknown>)[key];
    return typeof value === 'object' && value !== null ? Object.keys(value).length > 0 : Boolean(value);
  } catch {
    return false; // what is wrong with it the loader tells, with line and column
  }
}

/** One entry of `when` that asks for a build: a file, or `<file>#<key>` for what is in it; `*.wasm` is every file of that ending. */
async function asks(view: SourceView, entry: string): Promise<boolean> {
  const [name = '', key] = entry.split('#');
  const files = name.startsWith('*')
    ? [...view.names].filter((one) => one.endsWith(name.slice(1)))
    : [...view.names].filter((one) => one === name);
  for (const file of files) if (key === undefined || (await hasKey(view, file, key))) return true;
  return false;
}

/** Whether `when` holds: none of the `!names` is there, and one of the others asks for it (or there are no others). */
export async function matches(when: readonly string[], view: SourceView): Promise<boolean> {
  const absent = when.filter((entry) => entry.startsWith('!')).map((entry) => entry.slice(1));
  if (absent.some((name) => view.names.has(name))) return false;
  const wanted = when.filter((entry) => !entry.startsWith('!'));
  if (wanted.length === 0) return true;
  for (const entry of wanted) if (await asks(view, entry)) return true;
  return false;
}

/** Whether nobody has to look at the source to know that it is run as it is: the case that must cost nothing. */
export function neverBuilt({ build }: FunctionSpec, runtime: RuntimeBuild | undefined): boolean {
  if (build?.mode === 'never') return true;
  return runtime === undefined && build?.command === undefined;
}

/** Whether a Function's source is built. `source` is where it is unpacked. */
export async function wantsBuild(
  spec: FunctionSpec,
  runtime: RuntimeBuild | undefined,
  source: () => Promise<string>,
): Promise<boolean> {
  if (neverBuilt(spec, runtime)) return false;
  // Whoever names a command wants it run.
  if (spec.build?.mode === 'always' || spec.build?.command !== undefined) return true;
  const when = runtime?.when ?? [];
  return when.length === 0 || matches(when, await sourceView(await source()));
}
