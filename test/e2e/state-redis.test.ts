/** State of functions on a Redis server, on the real platform; and what functions and people read when that server is gone. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { redisServer } from '../../src/functions/state/testing/redis.ts';
import { call, eventually, Petrel, Scratch, type Status } from '../lib/platform.ts';

const scratch = new Scratch();
const petrel = new Petrel(scratch.path('h'));
const redis = await redisServer();
const options = typeof redis === 'string' ? { skip: redis } : {};
let platform: Status;

before(async () => {
  if (typeof redis === 'string') return;
  platform = await petrel.json<Status>(['up', '--detach', '--gateway', ':0', '--api', ':0'], {
    env: { PETREL_STATE_BACKEND: `${redis.url}/3` },
  });
});
after(async () => {
  await petrel.stop();
  if (typeof redis !== 'string') await redis.stop();
  scratch.dispose();
});

test(
  'keys are on the server, blobs on the disk; without the server requests fail in words',
  options,
  async () => {
    if (typeof redis === 'string') return;
    scratch.write({
      'count.mjs': `import { state } from 'petrel';
    export default async (request) => {
      try {
        if (new URL(request.url).pathname === '/blob') { await state.blobs.put('b', 'bytes'); return new Response(await state.blobs.read('b')); }
        return Response.json(await state.increment('n'));
      } catch (error) { return new Response(error.reason, { status: 503 }); }
    };`,
    });
    await petrel.deploy(scratch.path('count.mjs'), '--state', 'shared');
    const ask = (path = '/') => call(platform.gateway, `/fn/default/count${path}`);
    assert.equal((await ask()).body, '1');
    assert.equal((await ask('/blob')).body, 'bytes');
    const { connect } = await import('node:net');
    const socket = connect(Number(new URL(redis.url).port), '127.0.0.1');
    socket.write('SELECT 3\r\nHGET petrel:{kv/default/shared}:v:n v\r\n');
    let told = '';
    socket.setEncoding('utf8').on('data', (part: string) => {
      told += part;
    });
    await eventually('the server has it', async () => told.includes('$1\r\n1'));
    socket.destroy();
    await redis.stop();
    await eventually('it is said', async () => (await ask()).body === 'not_ready');
    assert.equal((await ask('/blob')).body, 'bytes');
  },
);
