/** What only the wasm runtime has: fresh memory, threads that are ended, what modules need that nobody has, and many functions in a process. Modules are assembled here. */
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { type TestContext, test } from 'node:test';
import {
  AGAIN,
  type Assembly,
  assemble,
  call,
  counter,
  END,
  LOOP,
  u32,
  WASI,
  write,
} from '../contract-tests/assemble.ts';
import { header, MuxClient } from '../contract-tests/client.ts';
import { Instance, until } from '../contract-tests/instance.ts';

async function started(t: TestContext) {
  const instance = await Instance.start({ runtime: 'wasm' });
  t.after(() => instance.stop());
  return instance;
}

async function loaded(t: TestContext, assembly: Assembly, params: object = {}) {
  const instance = await started(t);
  const result = await instance.specialise(
    { 'fn.wasm': assemble(assembly) },
    { entry: 'fn.wasm', ...params },
  );
  const data = await instance.connect();
  return { instance, result, data };
}

test('every request has a memory of its own', async (t) => {
  const { data, result } = await loaded(t, counter);
  assert.equal(result.shape, 'stdio');
  for (let i = 0; i < 3; i++) {
    const answer = await data.request();
    assert.equal(answer.body.toString(), '1');
    assert.equal(header(answer, 'content-type'), 'text/plain; charset=utf-8');
  }
});

test('a trap is a 500 in the engine’s words, and harms nobody', async (t) => {
  const { data } = await loaded(t, { code: [0x00] });
  for (let i = 0; i < 2; i++) {
    const answer = await data.request();
    assert.equal(answer.status, 500);
    assert.match(JSON.parse(answer.body.toString()).message, /fn\.wasm trapped: RuntimeError: unreachable/);
  }
});

const seconds = u32(0xd4a51000, 0xe8); // 1000 s in ns
const stuck: [[title: string, assembly: Assembly, body: boolean], ...[string, Assembly, boolean][]] = [
  ['an endless loop', { code: [...LOOP, ...AGAIN, END] }, false],
  [
    'a wait for the rest of the body',
    { imports: [[WASI, 'fd_read']], code: call(0, 0, 16, 1, 24), data: [[16, u32(32, 8)]] },
    true,
  ],
  [
    'a sleep',
    {
      imports: [[WASI, 'poll_oneoff']],
      code: call(0, 64, 512, 1, 24),
      data: [
        [80, [1]],
        [88, seconds],
      ],
    },
    false,
  ],
  [
    'output that nobody takes',
    {
      imports: [write],
      code: [...LOOP, ...call(0, 1, 16, 1, 24), ...AGAIN, END],
      data: [[16, u32(1024, 65536)]],
    },
    false,
  ],
];
for (const [title, assembly, body] of stuck) {
  test(`${title} ends with its request, and its thread with it`, async (t) => {
    const { instance, data } = await loaded(t, assembly);
    const threads = () => fs.readdirSync(`/proc/${instance.child.pid}/task`).length;
    const inFlight = async () => (await instance.control.call('health')).inFlight;
    const before = threads();
    const calls = Array.from({ length: 4 }, () =>
      data.open({
        target: '/',
        grant: false,
        ...(body
          ? {
              method: 'POST',
              body: (async function* () {
                await new Promise(() => {});
                yield Buffer.alloc(0);
              })(),
            }
          : {}),
      }),
    );
    await until(async () => (await inFlight()) === 4 && threads() > before, 'the threads to begin');
    for (const one of calls) one.reset('timeout');
    await until(() => threads() <= before, 'the threads to end');
    assert.equal(await inFlight(), 0);
  });
}

test('a function that is exported by name is called', async (t) => {
  const { data, result } = await loaded(t, { ...counter, start: 'answer' }, { handler: 'answer' });
  assert.equal(result.shape, 'function');
  assert.equal((await data.request()).body.toString(), '1');
});

const refused: [title: string, assembly: Assembly, params: object, code: string, says: RegExp][] = [
  [
    'an import that nobody has',
    { imports: [['env', 'abort']], code: [] },
    {},
    'LoadError',
    /env\.abort \(function\)/,
  ],
  [
    'no _start',
    { code: [], start: 'run' },
    {},
    'HandlerNotFound',
    /exports no function _start.*run \(function\)/,
  ],
  ['no memory', { code: [], memory: 'heap' }, {}, 'HandlerNotFound', /exports no memory/],
];
for (const [title, assembly, params, code, says] of refused) {
  test(`${title}: ${code}`, async (t) => {
    await assert.rejects(loaded(t, assembly, params), (error: { code: string; message: string }) => {
      assert.equal(error.code, code);
      assert.match(error.message, says);
      return true;
    });
  });
}

test('an address outside of the memory is an error of the call, not of the instance', async (t) => {
  const { data } = await loaded(t, { imports: [write], code: call(0, 1, -8, 1, 24) });
  assert.equal((await data.request()).status, 200);
  assert.equal((await data.request()).status, 200);
});

/** Loads a module into a place of the instance; a data connection to it. */
async function lease(t: TestContext, instance: Instance, slot: number, assembly: Assembly, params = {}) {
  const code = path.join(instance.package({ [`${slot}/fn.wasm`]: assemble(assembly) }), String(slot));
  const load = { slot, code, function: `fn-${slot}`, env: {}, development: true, ...params };
  const { transport } = await instance.control.call('lease', load);
  assert.deepEqual(transport, { kind: 'mux' });
  const data = await MuxClient.open(path.join(instance.dir, `f${slot}`, 'i.sock'), 'data');
  t.after(() => data.close());
  return data;
}

test('lines of the error stream stay whole, and say whose they are', async (t) => {
  const instance = await started(t);
  const piece = (address: number, length: number) =>
    [address, u32(address + 8, length)] as [number, number[]];
  const talking = await lease(t, instance, 1, {
    imports: [write],
    code: [...call(0, 2, 16, 1, 12), ...call(0, 2, 64, 1, 12)],
    data: [piece(16, 3), [24, [...Buffer.from('one')]], piece(64, 5), [72, [...Buffer.from(' two\n')]]],
  });
  await talking.request();
  await until(() => instance.output.includes('[fn-1] one two\n'), 'the line in the log');
});

test('functions in one process do not see each other, and fail alone', async (t) => {
  const instance = await started(t);
  const counting = await lease(t, instance, 1, counter);
  const broken = await lease(t, instance, 2, { code: [0x00] });
  for (let i = 0; i < 3; i++) {
    assert.equal((await counting.request()).body.toString(), '1');
    assert.equal((await broken.request()).status, 500);
  }
  await assert.rejects(lease(t, instance, 3, { imports: [['env', 'abort']], code: [] }), {
    code: 'LoadError',
  });
  await assert.rejects(lease(t, instance, 257, counter), { code: 'BadRequest' });
  assert.equal((await counting.request()).body.toString(), '1');
  assert.equal((await instance.control.call('health')).state, 'generic');
  await until(() => /^\[fn-2\] RuntimeError: unreachable$/m.test(instance.output), 'the trap in the log');
  assert.doesNotMatch(instance.output, /\[fn-1\]/);
});

test('a place that is given back takes no requests, and can be taken again', async (t) => {
  const instance = await started(t);
  const first = await lease(t, instance, 1, counter);
  await first.request();
  await instance.control.call('release', { slot: 1 });
  await first.raw.closed;
  await assert.rejects(MuxClient.open(path.join(instance.dir, 'f1', 'i.sock'), 'data'));
  const held = async () => (await instance.control.call('leases', {})).leases;
  assert.deepEqual(await held(), []);
  const whose = { namespace: 'default', revision: 'b-00001' };
  const second = await lease(t, instance, 1, { code: [0x00] }, whose);
  assert.deepEqual(await held(), [{ slot: 1, ...whose, transport: { kind: 'mux' } }]);
  assert.equal((await second.request()).status, 500);
  await instance.control.call('release', {});
  await second.raw.closed;
});

test('drain-lease waits for what its function answers, and for nobody else', async (t) => {
  const instance = await started(t);
  const [a, b] = [await lease(t, instance, 1, stuck[0][1]), await lease(t, instance, 2, counter)];
  const open = a.open({ target: '/' });
  const left = async (slot: number) =>
    (await instance.control.call('drain-lease', { slot, graceMs: 0 })).left;
  await until(async () => (await left(1)) === 1, 'the request to be worked on');
  assert.deepEqual(await left(2), 0);
  const drained = instance.control.call('drain-lease', { slot: 1, graceMs: 20_000 });
  open.reset('timeout');
  assert.deepEqual(await drained, { left: 0 });
  await b.goaway;
});

test('SIGTERM waits for the functions in all places', async (t) => {
  const instance = await started(t);
  const slow: Assembly = {
    imports: [[WASI, 'poll_oneoff']],
    code: call(0, 64, 512, 1, 24),
    data: [
      [80, [1]],
      [88, u32(300e6, 0)],
    ],
  };
  const [a, b] = [await lease(t, instance, 1, slow), await lease(t, instance, 2, counter)];
  const open = a.request();
  await until(async () => {
    const { left } = await instance.control.call('drain-lease', { slot: 1, graceMs: 0 });
    return left === 1;
  }, 'the request to be worked on');
  instance.kill('SIGTERM');
  await b.goaway;
  assert.equal((await open).status, 200);
  assert.equal((await instance.exited).code, 0);
});

test('SIGTERM ends what hangs in a place after its grace', async (t) => {
  const instance = await Instance.start({ runtime: 'wasm', env: { PETREL_TERM_GRACE_MS: '100' } });
  t.after(() => instance.stop());
  const hanging = await lease(t, instance, 1, stuck[0][1]);
  const open = hanging.request();
  instance.kill('SIGTERM');
  await assert.rejects(open);
  assert.equal((await instance.exited).code, 0);
});
