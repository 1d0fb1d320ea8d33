// @ts-check
'use strict';
/** Builds a function in Java: classes, the jars they need, and which of them is the handler. What it is given and owes: ../BUILDS.md. */

const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const { spawnSync } = require('node:child_process');
const { compile, digest } = require('./compile.cjs');

/** Directory of the package in which the supervisor looks. */
const BUILD = 'petrel-build';
/** What a package needs no more once it is built. */
const NOT_COPIED = new Set(['.git', '.gradle', '.mvn', 'src', 'target', 'build', 'gradle', 'lib', BUILD]);
const SOURCE = /(\.java|^pom\.xml|^mvnw(\.cmd)?|^gradlew(\.bat)?|\.gradle(\.kts)?|^gradle\.properties)$/;
/** Directories of plain source that are no part of the function. */
const NOT_COMPILED = new Set(['.git', 'target', 'build', 'test', 'tests', BUILD]);

const root = process.cwd();
const output = process.env.PETREL_OUTPUT ?? '';
const cache = process.env.PETREL_CACHE || path.join(os.tmpdir(), 'petrel-cache');
const into = path.join(output, BUILD);

/** @param {string} message what the user reads @returns {never} */
function give(message) {
  process.stderr.write(`${message}\n`);
  process.exit(1);
}

/** Runs a tool with its own words on the log; ends the build when it fails. @param {string} command @param {string[]} args @param {string} install */
function tool(command, args, install) {
  const done = spawnSync(command, args, {
    cwd: root,
    stdio: ['ignore', 'inherit', 'inherit'],
    env: { ...process.env, GRADLE_USER_HOME: path.join(cache, 'gradle') },
  });
  if (done.error !== undefined)
    give(
      /** @type {NodeJS.ErrnoException} */ (done.error).code === 'ENOENT'
        ? `${command} was not found: ${install}`
        : `${command} cannot be run: ${done.error.message}`,
    );
  if (done.status !== 0) process.exit(1);
}

/** @param {...string} names the first of these files that the source has, as a command */
const wrapper = (...names) => names.map((name) => path.join(root, name)).find((file) => fs.existsSync(file));

/** @param {string} dir @param {(name: string) => boolean} wanted @param {Set<string>} without @returns {string[]} relative to the source */
function filesIn(dir, wanted, without = new Set()) {
  return fs.readdirSync(dir, { withFileTypes: true }).flatMap((entry) => {
    const file = path.join(dir, entry.name);
    if (entry.isDirectory()) return without.has(entry.name) ? [] : filesIn(file, wanted, without);
    return wanted(entry.name) ? [path.relative(root, file)] : [];
  });
}

const isJar = (/** @type {string} */ name) => name.endsWith('.jar');

/** @param {string} from @param {string} to */
function copyDir(from, to) {
  if (fs.existsSync(from)) fs.cpSync(from, to, { recursive: true });
}

const MAVEN = 'install Maven 3.6 or later (apt install maven), or put its wrapper mvnw into the source';
const GRADLE = 'put the Gradle wrapper gradlew into the source (gradle wrapper), or install Gradle';
/** Copies what the function needs at run time to where this build finds it; in words that Gradle 4 has, which Debian brings. */
const GRADLE_INIT = `allprojects { plugins.withId('java') { tasks.create('petrelLibraries', Copy) {
  from configurations.runtimeClasspath
  into new File(projectDir, 'build/petrel-lib')
} } }
`;

function maven() {
  const mvn = wrapper('mvnw');
  const [command, first] = mvn === undefined ? ['mvn', []] : ['sh', [mvn]];
  tool(
    command,
    [
      ...first,
      '-B',
      '-ntp',
      '-q',
      '-Dstyle.color=never',
      `-Dmaven.repo.local=${path.join(cache, 'm2')}`,
      '-Dmaven.test.skip=true',
      'package',
      'dependency:copy-dependencies',
      '-DincludeScope=runtime',
      '-DoutputDirectory=target/petrel-lib',
    ],
    MAVEN,
  );
  copyDir(path.join(root, 'target/classes'), path.join(into, 'classes'));
  copyDir(path.join(root, 'target/petrel-lib'), path.join(into, 'lib'));
}

function gradle() {
  const script = path.join(os.tmpdir(), 'petrel.init.gradle');
  fs.writeFileSync(script, GRADLE_INIT);
  const gradlew = wrapper('gradlew');
  const [command, first] = gradlew === undefined ? ['gradle', []] : ['sh', [gradlew]];
  tool(
    command,
    [...first, '--no-daemon', '--console=plain', '-q', '--init-script', script, 'classes', 'petrelLibraries'],
    GRADLE,
  );
  for (const part of ['classes/java/main', 'classes/kotlin/main', 'resources/main'])
    copyDir(path.join(root, 'build', part), path.join(into, 'classes'));
  copyDir(path.join(root, 'build/petrel-lib'), path.join(into, 'lib'));
}

function plain() {
  const sources = filesIn(root, (name) => name.endsWith('.java'), NOT_COMPILED);
  if (sources.length === 0)
    give(
      `the source has no pom.xml, no build.gradle and no Java file; it has: ${fs.readdirSync(root).join(', ')}`,
    );
  const jars = fs.existsSync(path.join(root, 'lib')) ? filesIn(path.join(root, 'lib'), isJar) : [];
  const classes = path.join(into, 'classes');
  tool(
    'javac',
    [
      '-encoding',
      'UTF-8',
      '-g',
      '-parameters',
      '-nowarn',
      '-d',
      classes,
      ...(jars.length > 0 ? ['-cp', jars.join(':')] : []),
      ...sources,
    ],
    'install a JDK 17 or later (apt install openjdk-17-jdk-headless, https://adoptium.net)',
  );
  for (const jar of jars) fs.cpSync(path.join(root, jar), path.join(into, 'lib', path.basename(jar)));
}

/** What is to be called, decided by the supervisor's own classes. */
function choose() {
  const own = path.join(cache, `supervisor-${digest()}`);
  if (!fs.existsSync(path.join(own, 'supervisor.jar'))) {
    const problem = compile(own);
    if (problem !== undefined) give(problem);
  }
  const lib = path.join(into, 'lib');
  const jars = fs.existsSync(lib)
    ? fs
        .readdirSync(lib)
        .filter(isJar)
        .map((name) => path.join(lib, name))
    : [];
  const args = [
    '-XX:TieredStopAtLevel=1',
    '-cp',
    path.join(own, 'supervisor.jar'),
    'petrel.Choice',
    process.env.PETREL_HANDLER ?? '',
    path.join(into, 'classes'),
    ...jars,
  ];
  const done = spawnSync('java', args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit'] });
  if (done.status !== 0) process.exit(1);
  fs.writeFileSync(path.join(into, 'about.json'), done.stdout);
}

/** Copies what is no source. @param {string} from @param {string} to */
function copyRest(from, to) {
  for (const entry of fs.readdirSync(from, { withFileTypes: true })) {
    if (NOT_COPIED.has(entry.name) || SOURCE.test(entry.name)) continue;
    const [file, target] = [path.join(from, entry.name), path.join(to, entry.name)];
    if (entry.isDirectory()) copyRest(file, target);
    else {
      fs.mkdirSync(to, { recursive: true });
      fs.cpSync(file, target, { verbatimSymlinks: true });
    }
  }
}

function build() {
  const entry = process.env.PETREL_ENTRY;
  if (entry) {
    const asked = path.resolve(root, entry);
    if (asked !== root && !asked.startsWith(`${root}/`))
      give(`the entry ${entry} lies outside of the source`);
    if (!fs.existsSync(asked)) give(`the source has no ${entry}; it has: ${fs.readdirSync(root).join(', ')}`);
  }
  fs.mkdirSync(path.join(into, 'classes'), { recursive: true });
  if (fs.existsSync(path.join(root, 'pom.xml'))) maven();
  else if (['build.gradle', 'build.gradle.kts'].some((name) => fs.existsSync(path.join(root, name))))
    gradle();
  else plain();
  choose();
  copyRest(root, output);
}

if (output === '') give('PETREL_OUTPUT is not set: the platform runs this build');
build();
