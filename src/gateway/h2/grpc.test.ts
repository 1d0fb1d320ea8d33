/** gRPC through the gateway: all four kinds of call, statuses in trailers, deadlines, and failures in gRPC's own terms. */
import assert from 'node:assert/strict';
import type { ClientHttp2Stream } from 'node:http2';
import { after, test } from 'node:test';
import { grpcMessage } from '../../base/grpc-message.ts';
import {
  answer,
  GrpcReader,
  grpcFrame,
  grpcHandler,
  type H2Client,
  h2Client,
  startH2Instance,
} from '../testing/h2.ts';
import { eventually, type Harness, KEY, startHarness } from '../testing/harness.ts';

async function setUp(
  workers = 0,
): Promise<{ h: Harness; c: H2Client; instance: Awaited<ReturnType<typeof startH2Instance>> }> {
  const h = await startHarness({ workers });
  const instance = await startH2Instance(grpcHandler);
  const c = h2Client(h.port);
  after(async () => {
    c.close();
    await h.gateway.close(0);
    await instance.close();
  });
  h.endpoints(instance.address);
  return { h, c, instance };
}

function call(c: H2Client, method: string, headers: Record<string, string> = {}): ClientHttp2Stream {
  return c.request(
    {
      ':method': 'POST',
      ':path': `/test.Service/${method}`,
      'content-type': 'application/grpc+proto',
      te: 'trailers',
      ...headers,
    },
    { endStream: false },
  );
}

async function finish(stream: ClientHttp2Stream) {
  const r = await answer(stream);
  return { ...r, messages: new GrpcReader().push(Buffer.from(r.body, 'latin1')) };
}

for (const workers of [0, 1]) {
  test(`unary, both streams one way, and both ways at once (workers: ${workers})`, async () => {
    const { c, h } = await setUp(workers);
    const unary = call(c, 'Unary', { 'grpc-timeout': '5S' });
    unary.end(grpcFrame('hello'));
    const one = await finish(unary);
    assert.deepEqual(one.messages, ['hello trailers 5S']);
    assert.equal(one.headers['content-type'], 'application/grpc');
    assert.equal(one.trailers['grpc-status'], '0');
    assert.equal(one.code, 0);

    const count = call(c, 'Count');
    count.end(grpcFrame('100'));
    assert.equal((await finish(count)).messages.length, 100);

    const collect = call(c, 'Collect');
    for (const part of ['a', 'b', 'c']) collect.write(grpcFrame(part));
    collect.end();
    assert.deepEqual((await finish(collect)).messages, ['a+b+c']);

    const chat = call(c, 'Chat');
    const reader = new GrpcReader();
    const heard: string[] = [];
    chat.on('data', (chunk: Buffer) => heard.push(...reader.push(chunk)));
    const done = answer(chat);
    for (let i = 0; i < 20; i++) {
      chat.write(grpcFrame(`m${i}`));
      await eventually(() => heard.length === i + 1, `answer ${i}`);
    }
    chat.end();
    assert.equal((await done).trailers['grpc-status'], '0');
    assert.equal(heard[19], 're: m19');
    assert.equal(h.gateway.counts(KEY)?.inFlight, 0);
  });
}

test('statuses of the instance pass, as trailers and as trailers alone', async () => {
  const { c } = await setUp();
  const late = call(c, 'Late');
  late.end(grpcFrame('x'));
  const r = await finish(late);
  assert.equal(r.trailers['grpc-status'], '9');
  assert.equal(r.trailers['grpc-message'], 'too%20late');
  const only = call(c, 'Fail');
  only.end(grpcFrame('x'));
  const f = await finish(only);
  assert.equal(f.status, 200);
  assert.equal(f.headers['grpc-status'], '5');
  assert.equal(f.headers['grpc-message'], 'no such thing');
});

test("the gateway's own failures are gRPC statuses", async () => {
  const { c, h } = await setUp();
  h.revision({ timeoutMs: 80, queueDepth: 0 });
  const hang = call(c, 'Hang');
  hang.end(grpcFrame('x'));
  const r = await finish(hang);
  assert.equal(r.status, 200);
  assert.equal(r.headers['content-type'], 'application/grpc');
  assert.equal(r.headers['grpc-status'], '4');
  assert.match(String(r.headers['grpc-message']), /request timeout.*\(gateway: timeout\)/);
  assert.match(String(r.headers['x-request-id']), /^[0-9a-f]{32}$/);
  h.endpoints();
  const full = call(c, 'Unary');
  full.end(grpcFrame('x'));
  assert.equal((await finish(full)).headers['grpc-status'], '8');
  const nobody = call(c, 'Unary', { ':authority': 'nobody.test' });
  nobody.end(grpcFrame('x'));
  assert.equal((await finish(nobody)).headers['grpc-status'], '12');
  h.revision({ queueDepth: 10 });
  const waiting = call(c, 'Unary');
  waiting.end(grpcFrame('x'));
  await eventually(() => h.gateway.counts(KEY)?.queued === 1);
  h.gateway.failRevision(KEY, {
    status: 503,
    component: 'platform',
    reason: 'no_capacity',
    message: 'voll – 100 %',
  });
  const failed = await finish(waiting);
  assert.equal(failed.headers['grpc-status'], '14');
  assert.equal(failed.headers['grpc-message'], 'voll %E2%80%93 100 %25 (platform: no_capacity)');
});

test('an instance that dies in the middle of a stream: the status says so', async () => {
  const { c, instance } = await setUp();
  const chat = call(c, 'Chat');
  const got: Buffer[] = [];
  chat.on('data', (chunk: Buffer) => got.push(chunk));
  const done = answer(chat);
  chat.write(grpcFrame('x'));
  await eventually(() => got.length > 0);
  for (const session of instance.sessions) session.destroy();
  const r = await done;
  assert.equal(r.status, 200);
  assert.equal(r.trailers['grpc-status'], '14');
});

test('a call that the client gives up is given up at the instance', async () => {
  const { c, h, instance } = await setUp();
  let code = -1;
  instance.server.on('stream', (stream) =>
    stream.on('close', () => {
      code = stream.rstCode ?? 0;
    }),
  );
  const chat = call(c, 'Chat');
  chat.on('data', () => chat.close(8));
  chat.write(grpcFrame('x'));
  await eventually(() => code === 8);
  await eventually(() => h.gateway.counts(KEY)?.inFlight === 0);
});

test('a stream lives as long as something passes, either way, whatever the limit of a request', async () => {
  const { c, h } = await setUp();
  h.revision({ timeoutMs: 150 });
  const chat = call(c, 'Chat');
  const reader = new GrpcReader();
  let heard = 0;
  chat.on('data', (chunk: Buffer) => {
    heard += reader.push(chunk).length;
  });
  const done = answer(chat);
  const began = performance.now();
  while (performance.now() - began < 500) {
    chat.write(grpcFrame('still here'));
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  assert.ok(heard > 5);
  const r = await done;
  assert.equal(r.trailers['grpc-status'], '4', 'silent, it is cut');
  assert.match(String(r.trailers['grpc-message']), /no bytes for 150 ms/);
});

test('messages are ASCII with the rest in percent escapes', () => {
  assert.equal(grpcMessage('a b\n%é'), 'a b%0A%25%C3%A9');
});
