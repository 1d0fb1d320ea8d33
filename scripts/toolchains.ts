/**
 * Installs what tests of real parts need and this machine lacks, from Debian's packages, when that is possible: as root, with apt. What
 * stays missing is no failure here: the tests that need it are skipped and say so.
 */
import { spawnSync } from 'node:child_process';

/** A program that tests look for, and the package that brings it. */
const PACKAGES: readonly (readonly [program: string, pkg: string])[] = [
  ['perl', 'perl'],
  ['ruby', 'ruby'],
  ['bundle', 'ruby-bundler'],
  ['php', 'php-cli'],
  ['composer', 'composer'],
  ['python3', 'python3'],
  ['go', 'golang-go'],
  ['cargo', 'cargo'],
  ['javac', 'default-jdk-headless'],
  ['mvn', 'maven'],
  ['git', 'git'],
  ['redis-server', 'redis-server'],
  ['openssl', 'openssl'],
  ['nats-server', 'nats-server'],
  ['mosquitto', 'mosquitto'],
  ['rabbitmq-server', 'rabbitmq-server'],
  ['pg_ctlcluster', 'postgresql'],
];
/** An archive that does not answer must not hold up the tests. */
const LIMIT_MS = 8 * 60_000;

const installed = (program: string): boolean =>
  spawnSync('/bin/sh', ['-c', 'command -v "$0"', program], { stdio: 'ignore' }).status === 0;

function apt(...args: string[]): boolean {
  const { status } = spawnSync('apt-get', args, {
    stdio: ['ignore', 'ignore', 'inherit'],
    timeout: LIMIT_MS,
    env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive', RUNLEVEL: '1' },
  });
  return status === 0;
}

const missing = PACKAGES.filter(([program]) => !installed(program));
if (missing.length > 0 && process.getuid?.() === 0 && installed('apt-get')) {
  const packages = missing.map(([, pkg]) => pkg);
  const install = () =>
    apt('-o', 'DPkg::Lock::Timeout=120', 'install', '-y', '--no-install-recommends', ...packages);
  if (!install()) {
    apt('-o', 'DPkg::Lock::Timeout=120', 'update');
    // One that the archive does not have must not keep the others away.
    if (!install()) for (const pkg of packages) apt('install', '-y', '--no-install-recommends', pkg);
  }
}
for (const [program] of missing)
  process.stdout.write(`${program}: ${installed(program) ? 'installed' : 'missing'}\n`);
