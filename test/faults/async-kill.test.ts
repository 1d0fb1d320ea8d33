/**
 * kill -9 of the queue at random moments, while requests are accepted and delivered: whatever was acknowledged is carried out.
 * `PETREL_FAULT_KILLS` sets how often, `PETREL_FAULT_SEED` repeats a run.
 */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { createServer, request } from 'node:http';
import type { AddressInfo } from 'node:net';
import { after, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { eventually, Scratch } from '../lib/platform.ts';
import { seeded } from '../lib/random.ts';

const SEED = Number(process.env.PETREL_FAULT_SEED ?? Date.now() % 1_000_000);
const KILLS = Number(process.env.PETREL_FAULT_KILLS ?? 25);
const CLIENTS = 8;

const scratch = new Scratch();
const delivered = new Map<number, number>();
let calls = 0;
const functions = createServer((incoming, response) => {
  let body = '';
  incoming.setEncoding('utf8').on('data', (part) => {
    body += part;
  });
  incoming.on('end', () => {
    delivered.set(Number(body), (delivered.get(Number(body)) ?? 0) + 1);
    // Some are tried again, so that kills meet every kind of change.
    response.statusCode = ++calls % 10 === 0 ? 503 : 200;
    response.end('done');
  });
});
after(async () => {
  functions.closeAllConnections();
  await new Promise((resolve) => functions.close(resolve));
  scratch.dispose();
});

function ask(
  socket: string,
  method: string,
  path: string,
  body = '',
): Promise<{ status: number; body: string }> {
  return new Promise((resolve, reject) => {
    const outgoing = request(
      {
        socketPath: scratch.path(socket),
        method,
        path,
        headers: { 'x-petrel-route': 'default/f' },
        agent: false,
      },
      (response) => {
        let text = '';
        response.setEncoding('utf8').on('data', (part) => {
          text += part;
        });
        response.on('end', () => resolve({ status: response.statusCode ?? 0, body: text }));
        response.on('error', reject);
      },
    );
    outgoing.on('error', reject);
    outgoing.end(body);
  });
}

test(`what is acknowledged outlives ${KILLS} kills (seed ${SEED})`, async (t) => {
  await new Promise<void>((resolve) => functions.listen(0, '127.0.0.1', resolve));
  const { port } = functions.address() as AddressInfo;
  const script = fileURLToPath(new URL('../lib/queue-process.ts', import.meta.url));
  const start = async (): Promise<ChildProcess> => {
    const child = spawn(process.execPath, [script, scratch.dir, String(port)], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    await new Promise((resolve, reject) => {
      child.stdout?.once('data', resolve);
      child.once('exit', (code) => reject(new Error(`the queue ended with ${code}`)));
    });
    return child;
  };
  const next = seeded(SEED);
  const acknowledged = new Map<number, string>();
  let sent = 0;

  for (let kill = 0; kill < KILLS; kill++) {
    const child = await start();
    let running = true;
    const clients = Array.from({ length: CLIENTS }, async () => {
      while (running) {
        const number = sent++;
        try {
          const answer = await ask('accept.sock', 'POST', '/', String(number));
          if (answer.status === 202) acknowledged.set(number, (JSON.parse(answer.body) as { id: string }).id);
        } catch {
          return; // cut off: it was accepted or not
        }
      }
    });
    await new Promise((resolve) => setTimeout(resolve, next() * 120));
    const gone = new Promise((resolve) => child.once('exit', resolve));
    child.kill('SIGKILL');
    await gone;
    running = false;
    await Promise.all(clients);
  }

  const child = await start();
  try {
    await eventually(
      'everything acknowledged is carried out',
      async () => {
        for (const number of acknowledged.keys()) if (!delivered.has(number)) return false;
        return true;
      },
      60_000,
    );
    for (const [number, id] of acknowledged) {
      const { body } = await ask('status.sock', 'GET', `/.petrel/invocations/${id}?wait=30`);
      assert.equal((JSON.parse(body) as { status: string }).status, 'succeeded', `${number}: ${body}`);
    }
  } finally {
    child.kill('SIGKILL');
  }
  assert.ok(acknowledged.size > KILLS, `only ${acknowledged.size} were acknowledged`);
  const again = [...delivered.values()].reduce((sum, count) => sum + count - 1, 0);
  t.diagnostic(`${acknowledged.size} acknowledged, 0 lost, ${again} calls more than invocations`);
});
