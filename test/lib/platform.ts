/** What end-to-end tests share: the real command on a home of its own, requests, and waiting for something to become true. */
import assert from 'node:assert/strict';
import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { request } from 'node:http';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { KubeClient } from '../../src/kube/client.ts';
import { httpsTransport } from '../../src/kube/https.ts';
import { loadKubeconfig } from '../../src/kube/kubeconfig.ts';
import { createClient } from '../../src/kube/rest.ts';

export const ROOT = fileURLToPath(new URL('../../', import.meta.url));

export interface Finished {
  code: number | null;
  stdout: string;
  stderr: string;
}

/** A folder of its own for one test, with a short path; removed by `dispose`. */
export class Scratch {
  readonly dir = mkdtempSync(join(tmpdir(), 'pe-'));

  /** Writes files by relative path; returns the path of `name` inside. */
  write(files: Record<string, string>): void {
    for (const [name, text] of Object.entries(files)) {
      mkdirSync(dirname(join(this.dir, name)), { recursive: true });
      writeFileSync(join(this.dir, name), text);
    }
  }
  path(name: string): string {
    return join(this.dir, name);
  }
  dispose(): void {
    rmSync(this.dir, { recursive: true, force: true });
  }
}

export interface Status {
  ready: boolean;
  gateway: string;
  api: string;
  home: string;
  pid: number;
  kubeconfig: string;
}

export interface Deployed {
  name: string;
  namespace: string;
  revision: string;
  url: string;
  ready: boolean;
}

/** What a command said and how it ended; rejects when it could not be started. */
export async function finish(child: ChildProcessWithoutNullStreams, input = ''): Promise<Finished> {
  child.stdin.on('error', () => {}); // a command that does not read has ended before it was written
  child.stdin.end(input);
  let stdout = '';
  let stderr = '';
  child.stdout.setEncoding('utf8').on('data', (chunk: string) => {
    stdout += chunk;
  });
  child.stderr.setEncoding('utf8').on('data', (chunk: string) => {
    stderr += chunk;
  });
  const code = await new Promise<number | null>((resolve, reject) => {
    child.on('error', reject);
    child.on('close', resolve);
  });
  return { code, stdout, stderr };
}

/** The `petrel` command on one home. */
export class Petrel {
  readonly home: string;

  constructor(home: string) {
    this.home = home;
  }

  /** Runs one command to its end. */
  async run(
    args: readonly string[],
    options: { env?: Record<string, string>; input?: string } = {},
  ): Promise<Finished> {
    const child = spawn(join(ROOT, 'petrel'), [...args], {
      env: { ...process.env, ...options.env, PETREL_HOME: this.home },
      stdio: ['pipe', 'pipe', 'pipe'],
    });
    return finish(child, options.input ?? '');
  }

  /** Runs a command that must succeed, with `-o json`. */
  async json<T>(args: readonly string[], options: { env?: Record<string, string> } = {}): Promise<T> {
    const { code, stdout, stderr } = await this.run([...args, '-o', 'json'], options);
    assert.equal(code, 0, `petrel ${args.join(' ')}: ${stdout}${stderr}${this.log()}`);
    return JSON.parse(stdout) as T;
  }

  /** Starts a platform on free ports. */
  up(...args: string[]): Promise<Status> {
    return this.json<Status>(['up', '--detach', '--gateway', ':0', '--api', ':0', ...args]);
  }
  status(): Promise<Status> {
    return this.json<Status>(['status']);
  }
  deploy(path: string, ...args: string[]): Promise<Deployed> {
    return this.json<Deployed>(['deploy', path, ...args]);
  }
  /** A deploy that must fail: the error it printed and its exit code. */
  async refused(
    args: readonly string[],
  ): Promise<{ exit: number | null; code: string; message: string; why: string; fix: string }> {
    const { code, stdout, stderr } = await this.run([...args, '-o', 'json']);
    assert.notEqual(code, 0, `petrel ${args.join(' ')} should have failed: ${stdout}${stderr}`);
    return {
      exit: code,
      ...(JSON.parse(stdout) as { error: { code: string; message: string; why: string; fix: string } }).error,
    };
  }
  /** A client of this platform's API, by its kubeconfig; `close` it. */
  async api(): Promise<KubeClient & { close(): void }> {
    const transport = httpsTransport(await loadKubeconfig(join(this.home, 'kubeconfig')));
    return { ...createClient(transport), close: () => transport.close() };
  }
  /** What has been counted, as OpenMetrics text. */
  metrics(): Promise<string> {
    return new Promise((resolve, reject) => {
      const outgoing = request(
        { socketPath: join(this.home, 'run/platform.sock'), path: '/metrics' },
        (response) => {
          let text = '';
          response.setEncoding('utf8').on('data', (chunk: string) => {
            text += chunk;
          });
          response.on('end', () => resolve(text));
        },
      );
      outgoing.on('error', reject);
      outgoing.end();
    });
  }
  /** Ends the platform, however it is. */
  async stop(): Promise<void> {
    await this.run(['down', '--now']);
  }
  /** The end of the platform's log, for messages of assertions. */
  log(): string {
    try {
      return `\n--- platform.log\n${readFileSync(join(this.home, 'logs/platform.log'), 'utf8').split('\n').slice(-40).join('\n')}`;
    } catch {
      return '';
    }
  }
}

export interface Answer {
  status: number;
  headers: Record<string, string | string[] | undefined>;
  body: string;
}

/** One request through the gateway: by host name of a function, or by path. Rejects when there is no answer. */
export function call(
  gateway: string,
  path: string,
  options: {
    host?: string;
    method?: string;
    headers?: Record<string, string>;
    body?: string;
    timeoutMs?: number;
  } = {},
): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const outgoing = request(
      `http://${gateway}`,
      {
        path,
        method: options.method ?? (options.body === undefined ? 'GET' : 'POST'),
        headers: { ...(options.host ? { host: options.host } : {}), ...options.headers },
        agent: false,
        signal: AbortSignal.timeout(options.timeoutMs ?? 30_000),
      },
      (response) => {
        let body = '';
        response.setEncoding('utf8');
        response.on('data', (chunk: string) => {
          body += chunk;
        });
        response.on('end', () =>
          resolve({ status: response.statusCode ?? 0, headers: response.headers, body }),
        );
        response.on('error', reject);
      },
    );
    outgoing.on('error', reject);
    outgoing.end(options.body);
  });
}

/** Waits until `look` returns something other than undefined or false; fails with the last thing seen after `limitMs`. */
export async function eventually<T>(
  what: string,
  look: () => Promise<T | undefined | false>,
  limitMs = 30_000,
): Promise<T> {
  const end = Date.now() + limitMs;
  let last: unknown;
  for (;;) {
    try {
      const seen = await look();
      if (seen !== undefined && seen !== false) return seen;
      last = seen;
    } catch (error) {
      last = error;
    }
    if (Date.now() > end)
      throw new Error(
        `${what}: not within ${limitMs / 1000} s; last: ${last instanceof Error ? last.stack : String(last)}`,
      );
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

/** Processes whose command line or environment names `text`, by pid; only those of this user can be seen. */
export function processesNaming(text: string): number[] {
  return readdirNumbers('/proc').filter((pid) => {
    if (pid === process.pid) return false;
    try {
      return (
        readFileSync(`/proc/${pid}/environ`, 'utf8').includes(text) ||
        readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes(text)
      );
    } catch {
      return false; // gone, or somebody else's
    }
  });
}

function readdirNumbers(dir: string): number[] {
  return readdirSync(dir)
    .map(Number)
    .filter((pid) => Number.isInteger(pid));
}
