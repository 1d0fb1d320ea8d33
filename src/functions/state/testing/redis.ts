/** A real redis-server of its own for tests, on a free port; or why there is none. */
import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as { port: number };
  await new Promise((resolve) => server.close(resolve));
  return port;
}

export async function redisServer(wanted?: number): Promise<{ url: string; stop(): Promise<void> } | string> {
  const dir = mkdtempSync(join(tmpdir(), 'redis-'));
  const port = wanted ?? (await freePort());
  const child = spawn(
    'redis-server',
    ['--port', String(port), '--bind', '127.0.0.1', '--dir', dir, '--save', '', '--databases', '64'],
    {
      stdio: ['ignore', 'pipe', 'inherit'],
    },
  );
  const problem = await new Promise<string | undefined>((resolve) => {
    child.once('error', () => resolve('redis-server is not installed: apt-get install redis-server'));
    child.once('exit', (code) => resolve(`redis-server ended with ${code}`));
    child.stdout?.on('data', (part: Buffer) => {
      if (part.includes('Ready to accept connections')) resolve(undefined);
    });
  });
  if (problem !== undefined) {
    rmSync(dir, { recursive: true, force: true });
    return problem;
  }
  return {
    url: `redis://127.0.0.1:${port}`,
    async stop() {
      if (child.exitCode !== null || child.signalCode !== null) return;
      const gone = new Promise((resolve) => child.once('exit', resolve));
      child.kill('SIGKILL');
      await gone;
      rmSync(dir, { recursive: true, force: true });
    },
  };
}
