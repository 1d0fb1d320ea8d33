/** Compilers that a user has in his home directory, which containers do not see otherwise. */
import { delimiter, join } from 'node:path';

/** Installers that put tools into a home: the directory that PATH names, and what its programs read. Nothing with anybody's secrets. */
const INSTALLERS: readonly (readonly [inPath: RegExp, shown: readonly string[]])[] = [
  [/^\.cargo\/bin$/, ['.cargo/bin', '.rustup']],
  [/^\.sdkman\/candidates\//, ['.sdkman/candidates']],
  [/^\.local\/share\/mise\//, ['.local/share/mise']],
  [/^(go\/bin|sdk\/go[^/]*\/bin|\.local\/go\/bin)$/, ['go/bin', 'sdk', '.local/go']],
];

/** Directories of toolchains below `home` that a search path names; builds find them there. */
export function toolchainDirs(searchPath: string, home: string): string[] {
  const inside = searchPath
    .split(delimiter)
    .filter((dir) => home !== '/' && dir.startsWith(`${home}/`))
    .map((dir) => dir.slice(home.length + 1).replace(/\/+$/, ''));
  const shown = INSTALLERS.filter(([pattern]) => inside.some((dir) => pattern.test(dir))).flatMap(
    ([, dirs]) => dirs,
  );
  return shown.map((dir) => join(home, dir));
}
