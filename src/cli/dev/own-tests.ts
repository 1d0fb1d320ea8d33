/** Which command runs the tests of a project, by the files that are in it. Pure but for reading them. */
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';

export interface TestCommand {
  /** For people. */
  label: string;
  argv: [string, ...string[]];
}

/** Deepest folder in which test files are looked for. */
const DEEPEST = 4;
/** Folders of others' code. */
const NOT_OURS = new Set([
  'node_modules',
  'vendor',
  'target',
  'build',
  'dist',
  'venv',
  '__pycache__',
  'site-packages',
]);

/** What npm writes into a package.json for tests that nobody has written. */
const PLACEHOLDER = /no test specified/;

/** A project as the table looks at it. */
interface Project {
  has(name: string): boolean;
  /** Whether a file of the project has that name. */
  any(name: RegExp): boolean;
  text(name: string): string;
}

interface Row {
  when(project: Project): boolean;
  command: [string, ...string[]] | ((project: Project) => [string, ...string[]]);
}

const script = ({ text }: Project): string | undefined => {
  try {
    const { scripts } = JSON.parse(text('package.json'));
    return typeof scripts?.test === 'string' && !PLACEHOLDER.test(scripts.test) ? scripts.test : undefined;
  } catch {
    return undefined;
  }
};

/** The first row that holds decides. A project's own script comes before what its files look like. */
const TABLE: readonly Row[] = [
  {
    when: (project) => script(project) !== undefined,
    command: ({ has }) => [
      has('pnpm-lock.yaml') ? 'pnpm' : has('yarn.lock') ? 'yarn' : 'npm',
      ...(has('pnpm-lock.yaml') || has('yarn.lock') ? [] : ['--silent']),
      'test',
    ],
  },
  { when: ({ any }) => any(/\.test\.[cm]?[jt]s$/), command: ['node', '--test'] },
  { when: ({ has, any }) => has('go.mod') && any(/_test\.go$/), command: ['go', 'test', './...'] },
  { when: ({ has }) => has('Cargo.toml'), command: ['cargo', 'test', '--quiet'] },
  {
    when: ({ has }) => has('pom.xml') && has('src'),
    command: ({ has }) => [
      ...(has('mvnw') ? (['sh', './mvnw'] as const) : (['mvn'] as const)),
      '-q',
      '-B',
      'test',
    ],
  },
  {
    when: ({ has }) => has('build.gradle') || has('build.gradle.kts'),
    command: ({ has }) => [
      ...(has('gradlew') ? (['sh', './gradlew'] as const) : (['gradle'] as const)),
      '-q',
      'test',
    ],
  },
  {
    when: ({ has, text, any }) =>
      has('pytest.ini') ||
      any(/^conftest\.py$/) ||
      /\[tool\.pytest|\[tool:pytest\]/.test(text('pyproject.toml') + text('setup.cfg')) ||
      /^pytest\b/m.test(text('requirements-dev.txt') + text('requirements.txt')),
    command: ['python3', '-m', 'pytest', '-q'],
  },
  { when: ({ any }) => any(/^test_.*\.py$/), command: ['python3', '-m', 'unittest', '-q'] },
  {
    when: ({ any }) => any(/_test\.py$/),
    command: ['python3', '-m', 'unittest', 'discover', '-q', '-p', '*_test.py'],
  },
  { when: ({ any, has }) => has('Gemfile') && any(/_spec\.rb$/), command: ['bundle', 'exec', 'rspec'] },
  {
    when: ({ any }) => any(/^(test_.*|.*_test)\.rb$/),
    command: [
      'ruby',
      '-I.',
      '-Ilib',
      '-Itest',
      '-e',
      'Dir["{.,test/**}/{test_*,*_test}.rb"].uniq.each { |file| require "./#{file}" }',
    ],
  },
  {
    when: ({ has }) => has('phpunit.xml') || has('phpunit.xml.dist'),
    command: ['php', 'vendor/bin/phpunit'],
  },
  { when: ({ any }) => any(/\.t$/), command: ['prove', '-r', '-l', 't'] },
];

/** The command for the project in a folder; undefined where it has no tests that anybody could tell of. */
export function ownTests(directory: string): TestCommand | undefined {
  const names = namesIn(directory, DEEPEST);
  const project: Project = {
    has: (name) => existsSync(join(directory, name)),
    any: (name) => names.some((one) => name.test(one)),
    text: (name) => {
      try {
        return readFileSync(join(directory, name), 'utf8');
      } catch {
        return '';
      }
    },
  };
  const row = TABLE.find(({ when }) => when(project));
  if (row === undefined) return undefined;
  const argv = typeof row.command === 'function' ? row.command(project) : row.command;
  return {
    argv,
    label: argv
      .filter((word) => !/^-(q|B|-silent|-quiet)$/.test(word))
      .slice(0, 4)
      .join(' '),
  };
}

/** Names of the files in a folder and below, without where they are. */
function namesIn(directory: string, depth: number): string[] {
  return readdirSync(directory, { withFileTypes: true }).flatMap((entry) => {
    if (!entry.isDirectory()) return [entry.name];
    if (depth === 0 || NOT_OURS.has(entry.name) || entry.name.startsWith('.')) return [];
    return namesIn(join(directory, entry.name), depth - 1);
  });
}

/** A command line of the user's own. */
export const testCommand = (line: string): TestCommand => ({ label: line, argv: ['sh', '-c', line] });

/** The folder whose tests are meant. */
export const folderOf = (path: string): string => (statSync(path).isDirectory() ? path : join(path, '..'));
