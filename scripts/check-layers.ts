/**
 * Checks that imports point down the layers that ARCHITECTURE.md draws. `node scripts/check-layers.ts [root]` prints each
 * import that breaks a rule and exits 1.
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join, normalize, relative, sep } from 'node:path';
import { fileURLToPath } from 'node:url';

/** Rooms from the ground up. A file may import from its own room and from rooms of a lower layer. */
const LAYERS: readonly (readonly string[])[] = [
  ['src/base'],
  ['src/durable', 'src/cloudevents', 'src/clients'],
  ['src/kinds'],
  ['src/kube'],
  [
    'src/engine/store',
    'src/engine/apiserver',
    'src/engine/workloads',
    'src/engine/scheduler',
    'src/engine/node',
    'src/gateway',
    'src/serving',
    'src/functions',
    'src/dialects',
    'src/eventing',
  ],
  ['src/platform'],
  ['src/cli'],
];

/** Rooms of one layer may use each other's contract, and nothing else of each other. */
const CONTRACT_FILE = 'contract.ts';

/** Rooms that may import less than their layer allows: nothing of the rooms and files named, with exceptions. */
const NARROWED: Record<string, { without: string; except: readonly string[] }> = {
  'src/engine/store': { without: 'src/kube', except: ['src/kube/transport.ts'] },
  'src/engine/apiserver': { without: 'src/kube', except: ['src/kube/transport.ts'] },
};

/** Rooms of one layer that are built on another one of it. */
const BUILT_ON: Record<string, readonly string[]> = { 'src/engine/apiserver': ['src/engine/store'] };

/** Top folders that know nothing of each other. */
const APART: Record<string, readonly string[]> = {
  src: ['runtimes', 'examples', 'bench', 'test', 'scripts'],
  runtimes: ['src', 'examples', 'bench', 'test', 'scripts'],
  examples: ['src', 'runtimes', 'bench', 'test', 'scripts'],
};

export interface Violation {
  file: string;
  imports: string;
  rule: string;
}

/** Modules that cost far more to import than to use; where each may be imported, and what to import instead. */
const COSTLY = [
  {
    pattern: /^import (?!type\b)[^;]*?from 'node:http'/m,
    allowed: 'src/base/http.ts',
    instead: 'src/base/http.ts says why',
  },
];

const IMPORT =
  /(?:^|[;\s}])(?:import|export)\s[^'"`;]*?from\s*['"]([^'"]+)['"]|(?:^|[;\s])import\s*['"]([^'"]+)['"]|\bimport\(\s*['"]([^'"]+)['"]\s*\)/g;

/** The relative modules that a source text imports, statically, dynamically or for types. */
export function relativeImports(source: string): string[] {
  const found: string[] = [];
  for (const match of source.matchAll(IMPORT)) {
    const specifier = match[1] ?? match[2] ?? match[3] ?? '';
    if (specifier.startsWith('.')) found.push(specifier);
  }
  return found;
}

/** Tests, and what only tests use: `testing.ts` and the folders `testing/`. */
const isTest = (file: string): boolean => /\.test\.[mc]?[jt]s$|(^|\/)testing(\.ts$|\/)/.test(file);

/** The rule that `from` breaks by importing `to` (both relative to the repository), or undefined. */
export function brokenRule(from: string, to: string): string | undefined {
  if (isTest(from)) return undefined;
  if (isTest(to)) return 'what is for tests is not used elsewhere';
  const fromTop = from.split('/')[0] ?? '';
  const toTop = to.split('/')[0] ?? '';
  if (APART[fromTop]?.includes(toTop)) return `${fromTop}/ knows nothing of ${toTop}/`;
  const fromRoom = roomOf(from);
  const toRoom = roomOf(to);
  if (fromTop !== 'src' || toTop !== 'src' || fromRoom === toRoom) return undefined;
  if (fromRoom === undefined) return `${from} is in no room: add it to the layers or move it`;
  if (toRoom === undefined) return `${to} is in no room: add it to the layers or move it`;
  const narrowed = NARROWED[fromRoom];
  if (narrowed && toRoom === narrowed.without && !narrowed.except.includes(to)) {
    return `${fromRoom} imports of ${narrowed.without} only ${narrowed.except.join(', ')}`;
  }
  const fromLayer = layerOf(fromRoom);
  const toLayer = layerOf(toRoom);
  if (toLayer > fromLayer) return `${toRoom} lies above ${fromRoom}`;
  if (toLayer < fromLayer || BUILT_ON[fromRoom]?.includes(toRoom)) return undefined;
  return to === `${toRoom}/${CONTRACT_FILE}`
    ? undefined
    : `${fromRoom} imports of ${toRoom} only ${CONTRACT_FILE}`;
}

function roomOf(file: string): string | undefined {
  return LAYERS.flat().find((room) => file.startsWith(`${room}/`));
}

function layerOf(room: string): number {
  return LAYERS.findIndex((rooms) => rooms.includes(room));
}

/** Every broken rule under `root`. Tests may import what they test against, so they are left out. */
export function checkLayers(root: string): Violation[] {
  const violations: Violation[] = [];
  for (const top of Object.keys(APART).filter((folder) => existsSync(join(root, folder)))) {
    for (const file of sources(join(root, top))) {
      const from = relative(root, file).split(sep).join('/');
      const source = readFileSync(file, 'utf8');
      for (const { pattern, allowed, instead } of top === 'src' && !isTest(from) ? COSTLY : []) {
        if (from !== allowed && pattern.test(source))
          violations.push({ file: from, imports: 'node:http', rule: instead });
      }
      for (const specifier of relativeImports(source)) {
        const to = relative(root, normalize(join(dirname(file), specifier)))
          .split(sep)
          .join('/');
        const rule = brokenRule(from, to);
        if (rule !== undefined) violations.push({ file: from, imports: to, rule });
      }
    }
  }
  return violations;
}

function sources(folder: string): string[] {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && /\.[mc]?[jt]s$/.test(entry.name))
    .map((entry) => join(entry.parentPath, entry.name))
    .filter((file) => !file.split(sep).some((part) => part === 'node_modules' || part === 'fixtures'));
}

if (import.meta.main) {
  const violations = checkLayers(process.argv[2] ?? dirname(dirname(fileURLToPath(import.meta.url))));
  for (const { file, imports, rule } of violations)
    process.stderr.write(`${file} imports ${imports}: ${rule}\n`);
  process.exitCode = violations.length === 0 ? 0 : 1;
}
