/**
 * The clients of brokers. They are 30 MB together, and most platforms speak to none: each has a folder here with its pinned lock file, and is
 * brought by npm into `node_modules` beside it when the first source or sink of its kind starts. A checkout with development dependencies
 * has them all, and brings nothing.
 */
import { spawn } from 'node:child_process';
import { mkdirSync, rmSync, statSync } from 'node:fs';
import { findPackageJSON } from 'node:module';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { messageOf, PetrelError } from '../base/errors.ts';

const CLIENTS = {
  kafka: { package: '@platformatic/kafka', load: () => import('./kafka/index.ts') },
  nats: { package: '@nats-io/jetstream', load: () => import('./nats/index.ts') },
  redis: { package: '@redis/client', load: () => import('./redis/index.ts') },
  rabbitmq: { package: 'amqplib', load: () => import('./rabbitmq/index.ts') },
  mqtt: { package: 'mqtt-packet', load: () => import('./mqtt/index.ts') },
  jsonata: { package: 'jsonata', load: () => import('./jsonata/index.ts') },
  postgresql: { package: 'pg', load: () => import('./postgresql/index.ts') },
} as const;

export type ClientName = keyof typeof CLIENTS;
type Loaded<K extends ClientName> = Awaited<ReturnType<(typeof CLIENTS)[K]['load']>>;

const LIMIT_MS = 5 * 60_000;
/** A lock older than this was left behind. */
const STALE_MS = LIMIT_MS + 60_000;
const bringing = new Map<ClientName, Promise<void>>();

/**
 * A client, brought first where it is missing.
 * @throws PetrelError `RuntimeUnavailable` when it cannot be brought.
 */
export async function loadClient<K extends ClientName>(name: K): Promise<Loaded<K>> {
  const folder = fileURLToPath(new URL(`${name}/`, import.meta.url));
  if (!there(name)) {
    const mine = bringing.get(name) ?? bring(folder, () => there(name));
    bringing.set(name, mine);
    try {
      await mine;
    } catch (cause) {
      throw new PetrelError('RuntimeUnavailable', `the client for ${name} could not be brought`, {
        why: messageOf(cause),
        fix: `On a machine with network and npm, as the owner of this installation: npm ci --omit=optional --ignore-scripts --prefix ${folder}`,
        cause,
      });
    } finally {
      bringing.delete(name);
    }
  }
  return (await CLIENTS[name].load()) as Loaded<K>;
}

function there(name: ClientName): boolean {
  try {
    return findPackageJSON(CLIENTS[name].package, new URL(`${name}/index.ts`, import.meta.url)) !== undefined;
  } catch {
    return false;
  }
}

/** Several platforms at once do no harm: one works, the others wait for it. */
async function bring(folder: string, done: () => boolean): Promise<void> {
  const lock = join(folder, '.bringing');
  for (;;) {
    try {
      mkdirSync(lock);
      break;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
    }
    const since = statSync(lock, { throwIfNoEntry: false })?.mtimeMs ?? 0;
    if (Date.now() - since > STALE_MS) rmSync(lock, { recursive: true, force: true });
    await pause(200);
  }
  try {
    if (done()) return;
    await npm(folder);
    if (!done()) throw new Error('npm brought nothing');
  } catch (error) {
    rmSync(join(folder, 'node_modules'), { recursive: true, force: true }); // half of it would pass for the whole
    throw error;
  } finally {
    rmSync(lock, { recursive: true, force: true });
  }
}

function npm(folder: string): Promise<void> {
  // --no-save keeps the lock file as it is: what it pins, with its digests, is what gets installed.
  const quiet = ['--no-audit', '--no-fund', '--fetch-retries=1', '--loglevel=error'];
  const args = ['install', '--no-save', '--omit=dev', '--omit=optional', '--ignore-scripts', ...quiet];
  const child = spawn('npm', args, { cwd: folder, stdio: ['ignore', 'ignore', 'pipe'], timeout: LIMIT_MS });
  let said = '';
  child.stderr.on('data', (part: Buffer) => {
    said = (said + part.toString()).slice(-1000);
  });
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (code) =>
      code === 0 ? resolve() : reject(new Error(said.trim() || `npm ended with ${code}`)),
    );
  });
}
