/** An S3 service: moto's server, from PyPI. */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, renameSync, rmSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { freePorts, installed, type Server, startServer } from './server.ts';

export interface MotoServer extends Server {
  endpoint: string;
}

const VERSION = '5.2.1';

/** The folder to import it from (empty: Python has it); or why there is none. */
function moto(): { path: string } | string {
  if (!installed('python3')) return 'Python, which runs moto, is not installed: apt-get install python3';
  if (spawnSync('python3', ['-c', 'import moto.server, flask'], { stdio: 'ignore' }).status === 0)
    return { path: '' };
  const cache = join(process.env.XDG_CACHE_HOME ?? join(homedir(), '.cache'), 'petrel-tests');
  const path = join(cache, `moto-${VERSION}`);
  if (existsSync(path)) return { path };
  mkdirSync(cache, { recursive: true });
  const scratch = mkdtempSync(join(cache, 'bringing-'));
  try {
    const args = [
      '-m',
      'pip',
      'install',
      '-q',
      '--disable-pip-version-check',
      '--target',
      join(scratch, 'moto'),
      `moto[s3,server]==${VERSION}`,
    ];
    const { status, stderr } = spawnSync('python3', args, { encoding: 'utf8', timeout: 5 * 60_000 });
    if (status !== 0) return `pip could not bring moto: ${stderr.trim().slice(-200)}`;
    renameSync(join(scratch, 'moto'), path);
  } catch (error) {
    if (!existsSync(path)) throw error; // another test file brought it meanwhile
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
  return { path };
}

export async function motoServer(): Promise<MotoServer | string> {
  const found = moto();
  if (typeof found === 'string') return found;
  const [port = 0] = await freePorts(1);
  const server = await startServer('moto', port, () => ({
    command: 'python3',
    args: ['-m', 'moto.server', '-H', '127.0.0.1', '-p', String(port)],
    ...(found.path === '' ? {} : { env: { PYTHONPATH: found.path } }),
  }));
  return Object.assign(server, { endpoint: `http://127.0.0.1:${port}` });
}
