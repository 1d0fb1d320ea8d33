/** What a build depends on, as digests: the same inputs are not built twice. */
import { createHash } from 'node:crypto';
import { constants } from 'node:fs';
import { access, readdir, readFile, realpath, stat } from 'node:fs/promises';
import { delimiter, join } from 'node:path';
import type { CodeFunction, FunctionSpec, Runtime, RuntimeTool } from '../../kinds/function.ts';
import { REBUILD_ANNOTATION } from './annotations.ts';

const short = (value: unknown): string =>
  createHash('sha256').update(JSON.stringify(value)).digest('hex').slice(0, 20);

/** The part that the Function itself says; `inputs` of its build begin with it. */
export function requestOf({ metadata, spec }: CodeFunction, runtime: Runtime): string {
  const { build } = spec;
  return short([
    // Builds of a namespace share a cache and its Secrets: what came of them is its own.
    metadata.namespace ?? 'default',
    spec.package.digest,
    spec.runtime,
    build?.command ?? runtime.spec.build?.command ?? [],
    build?.env ?? [],
    spec.entry ?? null,
    spec.handler ?? null,
    metadata.annotations?.[REBUILD_ANNOTATION] ?? null,
    ...(builtForDebugger(spec, runtime) ? ['debug'] : []),
  ]);
}

/** Whether the build makes what a debugger can read. */
export const builtForDebugger = (spec: FunctionSpec, runtime: Runtime): boolean =>
  spec.debugPort !== undefined && runtime.spec.debugger?.build === true;

/** Whether a build with these inputs is the one that the Function asks for now. */
export const answers = (inputs: string | undefined, request: string): boolean =>
  inputs?.startsWith(`${request}-`) ?? false;

/** Where programs are looked for: first where Pods look, then where the platform's user does. */
export function searchPath(own: string | undefined): string {
  const standard = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'.split(delimiter);
  const others = (own ?? '').split(delimiter).filter((dir) => dir !== '' && !standard.includes(dir));
  return [...standard, ...others].join(delimiter);
}

/** The program behind a command name, links followed; undefined when there is none. */
async function findProgram(command: string, path: string): Promise<string | undefined> {
  for (const dir of command.includes('/') ? [''] : path.split(delimiter)) {
    const file = dir === '' ? command : join(dir, command);
    try {
      await access(file, constants.X_OK);
      return await realpath(file);
    } catch {}
  }
  return undefined;
}

/** Tools for builds that this machine does not have. */
export async function missingTools(runtime: Runtime, path: string): Promise<RuntimeTool[]> {
  const missing: RuntimeTool[] = [];
  for (const tool of runtime.spec.tools ?? []) {
    if (tool.for === 'build' && (await findProgram(tool.command, path)) === undefined) missing.push(tool);
  }
  return missing;
}

/** A file as it is now, without reading it: a tool that is replaced is another tool. */
async function identity(file: string | undefined): Promise<unknown> {
  if (file === undefined) return null;
  const { size, mtimeMs } = await stat(file);
  return [file, size, mtimeMs];
}

/** A digest of what builds: the Runtime's tools, its build scripts and the Node that runs them. */
export async function toolchainOf(runtime: Runtime, runtimeDir: string, path: string): Promise<string> {
  const names = (await readdir(runtimeDir).catch(() => [] as string[])).filter((name) =>
    name.startsWith('build.'),
  );
  const scripts = await Promise.all(
    names
      .sort()
      .map(async (name) => [name, await readFile(join(runtimeDir, name), 'base64').catch(() => '')]),
  );
  const tools = await Promise.all(
    (runtime.spec.tools ?? []).map(async ({ command }) => identity(await findProgram(command, path))),
  );
  return short([process.version, process.arch, scripts, tools]);
}
