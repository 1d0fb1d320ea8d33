/** The real kubectl: where it comes from, and running it against a server. */
import { spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Finished, finish } from '../../lib/platform.ts';

export interface Kubectl {
  path: string;
  /** Minor version of Kubernetes: 32 for 1.32. */
  minor: number;
}

/**
 * The kubectl on PATH, else the one in Debian's package `kubernetes-client`, which is unpacked beside other temporary
 * files and not installed. A string says why there is none.
 */
export function findKubectl(): Kubectl | string {
  const onPath = (process.env.PATH ?? '').split(':').map((d) => join(d, 'kubectl'));
  for (const path of [process.env.KUBECTL ?? '', ...onPath]) {
    if (path === '' || !existsSync(path)) continue;
    const minor = minorOf(path);
    if (minor !== undefined) return { path, minor };
  }
  return fromDebian();
}

function fromDebian(): Kubectl | string {
  const directory = join(tmpdir(), `petrel-kubectl-${process.getuid?.() ?? 0}`);
  const path = join(directory, 'usr/bin/kubectl');
  if (!existsSync(path)) {
    mkdirSync(directory, { recursive: true, mode: 0o700 });
    const download = () =>
      spawnSync('apt-get', ['download', 'kubernetes-client'], { cwd: directory }).status === 0;
    const root = process.getuid?.() === 0;
    // A fresh machine has no package lists yet.
    const downloaded = download() || (root && spawnSync('apt-get', ['update']).status === 0 && download());
    const archive = readdirSync(directory).find((f) => f.endsWith('.deb'));
    if (!downloaded || archive === undefined) {
      return 'no kubectl on PATH, and the Debian package kubernetes-client cannot be downloaded';
    }
    spawnSync('dpkg-deb', ['-x', archive, '.'], { cwd: directory });
  }
  const minor = existsSync(path) ? minorOf(path) : undefined;
  return minor === undefined ? `the kubectl in ${directory} does not run` : { path, minor };
}

function minorOf(path: string): number | undefined {
  const { stdout } = spawnSync(path, ['version', '--client', '-o', 'json'], { encoding: 'utf8' });
  try {
    return Number.parseInt(JSON.parse(stdout).clientVersion.minor, 10);
  } catch {
    return undefined;
  }
}

export interface RunOptions {
  input?: string;
  env?: Record<string, string>;
}

/** One kubectl against one server, with a home of its own so that nothing cached elsewhere counts. */
export class Session {
  readonly kubectl: Kubectl;
  readonly #env: NodeJS.ProcessEnv;

  constructor(kubectl: Kubectl, kubeconfig: string, home: string) {
    this.kubectl = kubectl;
    this.#env = { PATH: process.env.PATH, HOME: home, KUBECONFIG: kubeconfig };
  }

  /** Runs to the end, whatever the exit code. */
  run(args: string[], { input, env }: RunOptions = {}): Promise<Finished> {
    return finish(this.start(args, env), input);
  }

  /** Runs and returns what it printed; throws with its words when it failed. `line` is split at spaces. */
  async ok(line: string | string[], options?: RunOptions): Promise<string> {
    const args = typeof line === 'string' ? line.split(' ') : line;
    const { code, stdout, stderr } = await this.run(args, options);
    if (code !== 0) throw new Error(`kubectl ${args.join(' ')} ended with ${code}: ${stderr}${stdout}`);
    return stdout;
  }

  /** Runs and returns what it complained of; throws when it succeeded. */
  async fails(line: string, options?: RunOptions): Promise<string> {
    const { code, stdout, stderr } = await this.run(line.split(' '), options);
    if (code === 0) throw new Error(`kubectl ${line} should have failed: ${stdout}`);
    return stderr;
  }

  /** Starts without waiting, for what follows something. */
  start(args: string[], env: Record<string, string> = {}) {
    return spawn(this.kubectl.path, args, { env: { ...this.#env, ...env } });
  }
}
