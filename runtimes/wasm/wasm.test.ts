/** What only the wasm runtime has: fresh memory, threads that are ended, and what modules need that nobody has. Modules are assembled here. */
import assert from 'node:assert/strict';
import fs from 'node:fs';
import { type TestContext, test } from 'node:test';
import { header } from '../contract-tests/client.ts';
import { Instance, until } from '../contract-tests/instance.ts';

const leb = (value: number): number[] => (value < 128 ? [value] : [(value & 127) | 128, ...leb(value >>> 7)]);
const name = (text: string): number[] => [...leb(text.length), ...Buffer.from(text)];
const vector = (items: number[][]): number[] => [...leb(items.length), ...items.flat()];
const section = (id: number, items: number[][]): number[] => {
  const body = vector(items);
  return [id, ...leb(body.length), ...body];
};
/** Signed, for constants. */
const i32 = (value: number): number[] => {
  const bytes = [0x41];
  for (let rest = value; ; rest >>= 7) {
    const last = (rest >= -64 && rest < 64) as boolean;
    bytes.push((rest & 127) | (last ? 0 : 128));
    if (last) return bytes;
  }
};
const DROP = 0x1a;
const LOOP = [0x03, 0x40];
const AGAIN = [0x0c, 0x00];
const END = 0x0b;
/** Functions that a module imports; all take four numbers and give one. */
const call = (index: number, ...numbers: number[]) => [...numbers.flatMap(i32), 0x10, index, DROP];

interface Assembly {
  imports?: [from: string, what: string][];
  code: number[];
  data?: [at: number, bytes: number[]][];
  start?: string;
  memory?: string;
}

function assemble({
  imports = [],
  code,
  data = [],
  start = '_start',
  memory = 'memory',
}: Assembly): Uint8Array {
  const body = [0x00, ...code, END];
  return Uint8Array.from([
    ...[0x00, 0x61, 0x73, 0x6d, 0x01, 0x00, 0x00, 0x00],
    ...section(1, [
      [0x60, 0x00, 0x00],
      [0x60, 0x04, 0x7f, 0x7f, 0x7f, 0x7f, 0x01, 0x7f],
    ]),
    ...section(
      2,
      imports.map(([from, what]) => [...name(from), ...name(what), 0x00, 0x01]),
    ),
    ...section(3, [[0x00]]),
    ...section(5, [[0x00, 0x02]]),
    ...section(7, [
      [...name(memory), 0x02, 0x00],
      [...name(start), 0x00, ...leb(imports.length)],
    ]),
    ...section(10, [[...leb(body.length), ...body]]),
    ...section(
      11,
      data.map(([at, bytes]) => [0x00, ...i32(at), END, ...leb(bytes.length), ...bytes]),
    ),
  ]);
}

const u32 = (...values: number[]) => [...new Uint8Array(Uint32Array.from(values).buffer)];
const WASI = 'wasi_snapshot_preview1';
const write: [string, string] = [WASI, 'fd_write'];
/** One more than what stands at address 0, written as a character. */
const counter: Assembly = {
  imports: [write],
  code: [...i32(0), ...i32(0), 0x2d, 0, 0, ...i32(1), 0x6a, 0x3a, 0, 0, ...call(0, 1, 16, 1, 24)],
  data: [
    [0, [0x30]],
    [16, u32(0, 1)],
  ],
};

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
const stuck: [title: string, assembly: Assembly, body: boolean][] = [
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
