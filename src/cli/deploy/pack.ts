/** A source as a package: what it is made of, and what only came of it. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { type PackedSource, packDirectory } from '../../functions/pack.ts';
import { DEFAULT_MAX_PACKAGE_BYTES } from '../../functions/packages/store.ts';
import { PROCFILE } from './program.ts';
import type { Source } from './source.ts';

/** Folders that a tool of the project makes anew, by a file that tells of the tool. */
const MADE: readonly [because: string, folder: string][] = [
  ['Cargo.toml', '/target/'],
  ['pom.xml', '/target/'],
  ['build.gradle', '/build/'],
  ['build.gradle.kts', '/build/'],
];
/** Those of everybody: caches, and saved requests. */
const ALWAYS = ['/.petrel/', '/.gradle/', '__pycache__/', '.pytest_cache/'];

/** Patterns of what is no source. A program may well be started from what was built; a function is built by the platform. */
export function leftOut({ path, directory, program }: Source): string[] {
  if (!directory) return [];
  const made = MADE.filter(([because]) => existsSync(join(path, because))).map(([, folder]) => folder);
  return [...ALWAYS, ...(program ? [] : made)];
}

/** Packages a source. Throws what `packDirectory` throws. */
export function packSource(source: Source): Promise<PackedSource> {
  const command = source.program?.command;
  return packDirectory(source.path, {
    maxBytes: DEFAULT_MAX_PACKAGE_BYTES,
    ignore: leftOut(source),
    ...(command === undefined ? {} : { extra: { [PROCFILE]: `web: ${command}\n` } }),
  });
}
