/**
 * What instances of a runtime start from and every machine has to make for itself, for example classes in the form of its JVM: made by
 * `prepare.cjs` in the runtime's directory (runtimes/PROTOCOL.md, "Preparation"), once for each start of the node, before its first instance.
 * Instances can read the result and never write it: one tenant's code must not become the next one's supervisor.
 */
import { spawn } from 'node:child_process';
import { existsSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import type { Logger } from '../../base/log.ts';
import { RUNTIME_IMAGE_PREFIX } from '../../kinds/function.ts';

/** Longest time that a preparation may take, ms. */
const TIMEOUT_MS = 120_000;
/** Most of what it says that is kept. */
const MAX_OUTPUT = 4096;

/** Where the result of a runtime's preparation lies. The leading dot keeps it out of reach of Pods that ask for a cache by name. */
export const preparedDir = (cacheDir: string, runtime: string): string =>
  join(cacheDir, '.runtimes', runtime);

export interface PreparationOptions {
  runtimesDir: string;
  cacheDir: string;
  /** Path of the Node binary. */
  node: string;
  /** Where programs are looked for. */
  path: string;
  log: Logger;
}

/**
 * Returns what has to be awaited before a container of that image is started; undefined when nothing has. Never rejects: a runtime
 * starts without its preparation too, only slower.
 */
export function createPreparations(
  options: PreparationOptions,
): (image: string | undefined) => Promise<void> | undefined {
  const { runtimesDir, cacheDir, log } = options;
  /** Runtimes that need none are remembered as undefined. */
  const known = new Map<string, Promise<void> | undefined>();
  return (image) => {
    if (image === undefined || !image.startsWith(RUNTIME_IMAGE_PREFIX)) return undefined;
    const name = image.slice(RUNTIME_IMAGE_PREFIX.length);
    if (known.has(name)) return known.get(name);
    const script = join(runtimesDir, name, 'prepare.cjs');
    const work = /^[a-z0-9-]+$/.test(name) && existsSync(script) ? run(name, script) : undefined;
    known.set(name, work);
    void work?.then(() => known.set(name, undefined));
    return work;
  };

  function run(name: string, script: string): Promise<void> {
    const output = preparedDir(cacheDir, name);
    mkdirSync(output, { recursive: true, mode: 0o755 });
    return new Promise((resolve) => {
      const child = spawn(options.node, [script], {
        env: { PATH: options.path, HOME: output, PETREL_OUTPUT: output },
        stdio: ['ignore', 'pipe', 'pipe'],
        timeout: TIMEOUT_MS,
        killSignal: 'SIGKILL',
      });
      let said = '';
      const take = (chunk: Buffer) => {
        said = (said + chunk.toString()).slice(-MAX_OUTPUT);
      };
      child.stdout.on('data', take);
      child.stderr.on('data', take);
      child.on('error', (error) => take(Buffer.from(error.message)));
      child.on('close', (code) => {
        if (code !== 0 || said !== '') log.warn('a runtime was not fully prepared', { runtime: name, said });
        resolve();
      });
    });
  }
}
