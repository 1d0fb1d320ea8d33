/** Where a source is: on this machine, in a git repository, in an archive here or behind a URL. All become a folder or file here. */
import { createWriteStream } from 'node:fs';
import { mkdir, mkdtemp, readdir, rename, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join, resolve } from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { PetrelError } from '../../base/errors.ts';
import { isAddress, type Origin } from './origin.ts';

/** A source on this machine. */
export interface Place {
  path: string;
  /** Removes what was brought. */
  dispose(): Promise<void>;
}

/** Longest download, bytes: an archive that could not be uploaded need not be fetched. */
const MAX_BYTES = 512 * 1024 * 1024;

/**
 * Brings what is not here. Throws `FileNotFound`, `UnsupportedSource` (with the words of git or of the server), `UnsafeArchive` or
 * `PackageTooLarge`.
 */
export async function bring(place: string, origin: Exclude<Origin, { kind: 'image' }>): Promise<Place> {
  if (origin.kind === 'local') return { path: place, dispose: async () => {} };
  const scratch = await mkdtemp(join(tmpdir(), 'petrel-source-'));
  const dispose = () => rm(scratch, { recursive: true, force: true });
  try {
    // The folder's name is the function's, unless another is given.
    const path = join(scratch, 'named', origin.name || 'source');
    await mkdir(join(scratch, 'named'));
    if (origin.kind === 'git') await checkOut(origin, scratch, path);
    else await unpack(origin, scratch, path);
    return { path, dispose };
  } catch (error) {
    await dispose();
    throw error;
  }
}

async function checkOut(
  { url, ref, folder }: Extract<Origin, { kind: 'git' }>,
  scratch: string,
  path: string,
): Promise<void> {
  const clone = join(scratch, 'clone');
  await git(['init', '--quiet', clone], scratch);
  const source = isAddress(url) ? url : resolve(url);
  await git(['fetch', '--quiet', '--depth=1', '--no-tags', '--', source, ref || 'HEAD'], clone);
  await git(['checkout', '--quiet', '--detach', 'FETCH_HEAD'], clone);
  if (await stat(join(clone, '.gitmodules')).catch(() => undefined))
    await git(['submodule', '--quiet', 'update', '--init', '--recursive', '--depth=1'], clone);
  const wanted = join(clone, folder);
  const found = await stat(wanted).catch(() => undefined);
  if (!found?.isDirectory()) {
    throw new PetrelError('FileNotFound', `the repository has no folder ${folder}`, {
      why: `${url}${ref ? ` at ${ref}` : ''} was looked through`,
      fix: 'write <repository>#<branch>:<folder>',
    });
  }
  await rename(wanted, path);
}

/** Runs git without ever asking anybody anything. */
async function git(args: string[], cwd: string): Promise<void> {
  const { spawn } = await import('node:child_process');
  const child = spawn('git', ['-c', 'protocol.ext.allow=never', ...args], {
    cwd,
    stdio: ['ignore', 'ignore', 'pipe'],
    env: { ...process.env, GIT_TERMINAL_PROMPT: '0', GIT_LFS_SKIP_SMUDGE: '0' },
  });
  let said = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    said = (said + text).slice(-4096);
  });
  const code = await new Promise<number | null>((done, reject) => {
    child.once('error', reject);
    child.once('close', done);
  }).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'ENOENT') throw error;
    throw new PetrelError('UnsupportedSource', 'git is not on this machine', {
      why: 'a repository is fetched with it',
      fix: 'install it (apt-get install git), or deploy a folder or an archive',
      cause: error,
    });
  });
  if (code === 0) return;
  throw new PetrelError('UnsupportedSource', said.trim() || `git ${args[0]} ended with exit code ${code}`, {
    why: 'git could not fetch the repository',
    fix: 'check the address and the reference; git fetch must work from this machine without asking for a password',
  });
}

async function unpack(
  { url, path: local }: Extract<Origin, { kind: 'archive' }>,
  scratch: string,
  path: string,
): Promise<void> {
  const archive = url === undefined ? resolve(local ?? '') : join(scratch, 'archive');
  if (url !== undefined) await download(url, archive);
  else if (!(await stat(archive).catch(() => undefined))?.isFile()) {
    throw new PetrelError('FileNotFound', `there is no file ${local}`, {
      fix: 'check the path of the archive',
    });
  }
  const { unpackArchive } = await import('../../functions/archive/unpack.ts');
  const tree = join(scratch, 'tree');
  await unpackArchive(archive, tree);
  // What most archives are made of: one folder with everything in it.
  const [only, second] = await readdir(tree, { withFileTypes: true });
  const inner = only?.isDirectory() && second === undefined ? join(tree, only.name) : tree;
  await rename(inner, path);
}

async function download(url: string, target: string): Promise<void> {
  const failed = (why: string, cause?: unknown) =>
    new PetrelError('UnsupportedSource', `${basename(new URL(url).pathname)} could not be fetched`, {
      why,
      fix: 'check the address',
      ...(cause === undefined ? {} : { cause }),
    });
  const response = await fetch(url, { redirect: 'follow' }).catch((error: Error) => {
    throw failed(((error.cause as Error | undefined) ?? error).message, error);
  });
  if (!response.ok || response.body === null)
    throw failed(`${new URL(url).host} answered ${response.status}`);
  let bytes = 0;
  const counted = async function* () {
    for await (const part of Readable.fromWeb(response.body as never)) {
      bytes += (part as Buffer).length;
      if (bytes > MAX_BYTES) {
        throw new PetrelError('PackageTooLarge', `the archive is larger than ${MAX_BYTES} bytes`, {
          fix: 'deploy a smaller one',
        });
      }
      yield part as Buffer;
    }
  };
  await pipeline(counted, createWriteStream(target));
}
