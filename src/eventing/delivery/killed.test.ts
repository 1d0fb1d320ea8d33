import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'node:test';
import { fileURLToPath } from 'node:url';
import { createServer } from '../../base/http.ts';

const PROCESS = fileURLToPath(new URL('../testing/delivery-process.ts', import.meta.url));
const LIVES = Number(process.env.PETREL_LIVES ?? 6);

test('a process that accepts and delivers is killed again and again: nothing acknowledged is lost', async (t) => {
  const dir = mkdtempSync(join(tmpdir(), 'petrel-killed-'));
  const got = new Map<string, string[]>([
    ['/plain', []],
    ['/answers', []],
    ['/ordered', []],
  ]);
  let count = 0;
  const sink = createServer((request, response) => {
    request.resume();
    request.on('end', () => {
      // Every seventh is turned away, so that something is always waiting.
      if (++count % 7 === 0) return response.writeHead(503).end();
      const id = String(request.headers['ce-id']);
      got.get(request.url!)!.push(id);
      if (request.url !== '/plain') return response.writeHead(202).end();
      response
        .writeHead(200, { 'ce-specversion': '1.0', 'ce-id': id, 'ce-type': 'answered', 'ce-source': '/sink' })
        .end();
    });
  });
  await new Promise<void>((resolve) => sink.listen(0, '127.0.0.1', resolve));
  t.after(() => {
    sink.close();
    sink.closeAllConnections();
    rmSync(dir, { recursive: true, force: true });
  });
  const { port } = sink.address() as { port: number };
  const acknowledged: string[] = [];

  /** Runs one life; until it has acknowledged so much more, or by itself. */
  const live = (life: string, until: number): Promise<number | null> =>
    new Promise((resolve) => {
      const child = spawn(process.execPath, [PROCESS, dir, String(port), life], {
        stdio: ['ignore', 'pipe', 'inherit'],
      });
      t.after(() => child.kill('SIGKILL'));
      let rest = '';
      let fresh = 0;
      child.stdout.on('data', (chunk: Buffer) => {
        const lines = (rest + chunk).split('\n');
        rest = lines.pop()!;
        acknowledged.push(...lines);
        fresh += lines.length;
        if (fresh >= until) child.kill('SIGKILL');
      });
      child.on('close', (code) => resolve(code));
    });

  for (let life = 0; life < LIVES; life++) await live(String(life), 1 + ((life * 37) % 150));
  assert.equal(await live('last', Number.POSITIVE_INFINITY), 0);
  assert.ok(acknowledged.length >= LIVES);
  for (const [path, ids] of got) {
    const lost = acknowledged.filter((id) => !ids.includes(id));
    assert.deepEqual(lost, [], `lost on the way to ${path}`);
  }
  const all = got.get('/plain')!;
  t.diagnostic(`${acknowledged.length} acknowledged, ${all.length - new Set(all).size} delivered twice`);
});
