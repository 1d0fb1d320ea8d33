/** A disk that runs full while events come: refused with 507, nothing acknowledged is lost, and events are taken again when there is room. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdirSync, rmSync, statfsSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { call, eventually, Petrel, Scratch } from '../lib/platform.ts';

const scratch = new Scratch();
const disk = scratch.path('disk');
mkdirSync(disk);
const mounted = spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=64m', 'tmpfs', disk]).status === 0;
const petrel = new Petrel(join(disk, 'h'));
const came = new Map<string, number>();
let open = false;
const sink = createServer((incoming, response) => {
  let bytes = 0;
  incoming.on('data', (chunk: Buffer) => {
    bytes += chunk.length;
  });
  incoming.on('end', () => {
    if (open) came.set(String(incoming.headers['ce-id']), bytes);
    response.writeHead(open ? 202 : 503).end();
  });
});
after(async () => {
  if (mounted) {
    await petrel.stop();
    spawnSync('umount', ['-l', disk]);
  }
  sink.closeAllConnections();
  await new Promise((resolve) => sink.close(resolve));
  scratch.dispose();
});

const options = mounted ? {} : { skip: 'needs the right to mount a small file system' };
const DATA = 'x'.repeat(50_000);

test('events on a disk that runs full', options, async (t) => {
  await new Promise<void>((resolve) => sink.listen(0, '127.0.0.1', resolve));
  const { gateway, pid } = await petrel.up();
  await petrel.json([
    ...['trigger', 'create', 'all', '--to', `http://127.0.0.1:${(sink.address() as AddressInfo).port}/`],
    ...['--retry', '1000', '--backoff', 'PT0.2S'],
  ]);
  const send = async (id: string) =>
    (
      await call(gateway, '/events/broker/default/default', {
        headers: { 'ce-specversion': '1.0', 'ce-id': id, 'ce-source': '/faults', 'ce-type': 'large' },
        body: DATA,
      })
    ).status;
  // What came before a trigger is none of its business.
  await eventually('the triggers are ready', async () =>
    (await petrel.json<{ ready: string }[]>(['trigger', 'list'])).every(({ ready }) => ready === 'True'),
  );
  await eventually('the broker takes events', async () => (await send('first')) === 202);
  const acknowledged = new Set(['first']);

  const ballast = join(disk, 'ballast');
  const { bavail, bsize } = statfsSync(disk);
  writeFileSync(ballast, Buffer.alloc(Math.max(0, bavail * bsize - 3 * 1024 * 1024)));
  let refused = 0;
  for (let i = 0; i < 400 && refused < 5; i++) {
    const status = await send(`${i}`);
    if (status === 202) acknowledged.add(`${i}`);
    else {
      assert.equal(status, 507);
      refused++;
    }
  }
  assert.equal(refused, 5);
  // Deliveries go on as far as they can without writing.
  open = true;
  await eventually('something is delivered', async () => came.size > 0);

  rmSync(ballast);
  await eventually('events are taken again', async () => {
    const status = await send('again');
    if (status === 202) acknowledged.add('again');
    return status === 202;
  });
  await eventually(
    'all that was acknowledged is delivered',
    async () => [...acknowledged].every((id) => came.has(id)),
    30_000,
  );
  assert.ok([...came.values()].every((bytes) => bytes === DATA.length));
  assert.equal((await petrel.status()).pid, pid);
  t.diagnostic(`${acknowledged.size} acknowledged, ${refused} refused, ${came.size} delivered`);
});
