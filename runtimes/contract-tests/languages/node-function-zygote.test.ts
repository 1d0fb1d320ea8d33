/** Instances of the node runtime that are forked from a process with their function's code in it (PROTOCOL.md, "Function zygote"), without a sandbox. */
import assert from 'node:assert/strict';
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import fs from 'node:fs';
import net, { type Socket } from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { parse } from 'yaml';
import { MuxClient } from '../client.ts';

const RUNTIME = path.resolve(import.meta.dirname, '../../node');
const { spec } = parse(fs.readFileSync(path.join(RUNTIME, 'runtime.yaml'), 'utf8'));
const argv: string[] = spec.zygote.command.map((word: string) =>
  word.replace('$(NODE)', process.execPath).replace('$(RUNTIME_DIR)', RUNTIME),
);

let dir = '';
let zygote: ChildProcess;
let control: Socket;
let ready = false;
let sequence = 0;
const ups = new Map<number, string>();

before(() => {
  dir = fs.mkdtempSync(path.join(os.tmpdir(), 'petrel-function-zygote-'));
  zygote = spawn(argv[0]!, argv.slice(1), {
    env: { PATH: process.env.PATH },
    stdio: ['ignore', 'inherit', 'inherit', 'pipe'],
  });
  control = zygote.stdio[3] as Socket;
  lines(control, (message) => {
    ready ||= message.ready === true;
    if (message.up || message.error) ups.set(message.id as number, String(message.error ?? ''));
  });
});
after(async () => {
  control.end();
  await until(() => zygote.exitCode !== null || zygote.signalCode !== null, 'the end of the zygote');
  fs.rmSync(dir, { recursive: true, force: true });
});

type Message = Record<string, unknown>;

function lines(socket: Socket, take: (message: Message) => void): void {
  let unread = '';
  socket.setEncoding('utf8').on('data', (chunk: string) => {
    const parts = (unread + chunk).split('\n');
    unread = parts.pop() ?? '';
    for (const line of parts) take(JSON.parse(line));
  });
}

async function until<T>(probe: () => T | Promise<T>, what: string): Promise<NonNullable<T>> {
  for (const deadline = Date.now() + 20_000; ; ) {
    const found = await probe();
    if (found) return found;
    if (Date.now() > deadline) throw new Error(`waited for: ${what}`);
    await new Promise((done) => setTimeout(done, 5));
  }
}

const connect = (socket: string, role: 'control' | 'data') =>
  until(() => MuxClient.open(socket, role).catch(() => undefined), `an answer on ${socket}`);

/** A process that has loaded code, or why it cannot be forked; and instances of it. */
async function load(files: Record<string, string>, more: Message = {}) {
  const own = path.join(dir, String(++sequence));
  const code = path.join(own, 'code');
  fs.mkdirSync(code, { recursive: true });
  for (const [name, text] of Object.entries(files)) fs.writeFileSync(path.join(code, name), text);
  const [orders, answers] = ['orders', 'answers'].map((name) => path.join(own, name)) as [string, string];
  execFileSync('mkfifo', [orders, answers]);
  const open = (file: string) => fs.openSync(file, fs.constants.O_RDWR | fs.constants.O_NONBLOCK);
  const to = open(orders);
  const from = new net.Socket({ fd: open(answers), readable: true, writable: false });
  const told: Message[] = [];
  lines(from, (message) => told.push(message));
  await until(() => ready, 'the runtime’s zygote');
  const socket = path.join(own, 'z.sock');
  const gate = { orders, answers, groups: [], fresh: [] };
  const id = sequence;
  control.write(`${JSON.stringify({ id, env: { PATH: process.env.PATH, PETREL_SOCKET: socket }, gate })}\n`);
  await until(() => ups.has(id), 'the gate');
  assert.equal(ups.get(id), '');
  const entry = Object.keys(files)[0];
  const params = { code, workdir: code, entry, revision: 'r-1', env: { WHO: 'zygote' }, ...more };
  const platform = await connect(socket, 'control');
  const result = await platform.call('preload', params).then(
    (told) => ({ result: told, error: undefined }),
    (error) => ({ result: undefined, error }),
  );
  let count = 0;
  const fork = async (who: string) => {
    await until(() => told.some((message) => message.ready), 'a process that can be forked');
    const number = ++count;
    const at = path.join(own, `${number}.sock`);
    fs.writeSync(to, `${JSON.stringify({ fork: { id: number, groups: [], env: { PETREL_SOCKET: at } } })}\n`);
    const answer = await until(
      () => told.find((message) => message.id === number && (message.up || message.error)),
      'a fork',
    );
    assert.equal(answer.error, undefined);
    const instance = await connect(at, 'control');
    const specialised = await instance.call('specialise', {
      ...params,
      env: { WHO: who, MORE: '1' },
    });
    const data = await connect(at, 'data');
    return {
      instance,
      specialised,
      ask: async (target = '/') => (await data.request({ target })).body.toString(),
      async end() {
        await instance.call('shutdown', {}).catch(() => {});
        await until(() => told.some((message) => message.ended === number), 'its end');
      },
    };
  };
  const lose = async () => {
    fs.writeSync(to, '{"end":true}\n');
    await until(() => told.some((message) => message.lost !== undefined), 'the end of the zygote');
  };
  const end = async () => {
    await lose();
    from.destroy();
    fs.closeSync(to);
  };
  return { result, fork, lose, end };
}

const ANSWER = `new Response(JSON.stringify({
  count: ++count, who: process.env.WHO, more: process.env.MORE, random: Math.random(), kept: kept(), loads: globalThis.loads,
  cwd: process.cwd(), ticks,
}))`;
const STATE = `let count = 0; let ticks = 0; setInterval(() => ticks++, 1).unref(); const kept = Math.random; globalThis.loads = (globalThis.loads ?? 0) + 1;`;

for (const [what, files] of Object.entries<Record<string, string>>({
  'a CommonJS module': { 'f.cjs': `${STATE} exports.fetch = async () => ${ANSWER};` },
  'an ES module with a top-level await': {
    'f.mjs': `await new Promise((done) => setTimeout(done, 5)); ${STATE} export default { fetch: () => ${ANSWER} };`,
  },
  TypeScript: { 'f.ts': `${STATE} export default { fetch: (_: Request): Response => ${ANSWER} };` },
})) {
  test(`${what} is loaded once, and what its instances do afterwards is their own`, async () => {
    const { result, fork, lose, end } = await load(files);
    assert.equal(result.error, undefined);
    assert.equal(result.result.problem, undefined);
    const [one, other] = [await fork('one'), await fork('other')];
    assert.equal(one.specialised.transport.kind, 'mux');
    const first = JSON.parse(await one.ask());
    const second = JSON.parse(await one.ask());
    const third = JSON.parse(await other.ask());
    assert.deepEqual([first.count, second.count, third.count], [1, 2, 1]);
    assert.deepEqual([first.who, third.who, first.more], ['one', 'other', '1']);
    assert.deepEqual([first.loads, third.loads], [1, 1]);
    assert.ok(first.cwd.endsWith('/code'));
    for (const key of ['random', 'kept']) assert.notEqual(first[key], third[key]);
    await until(async () => JSON.parse(await one.ask()).ticks > first.ticks, 'timers of the load go on');
    await lose();
    // They outlive it.
    assert.equal(JSON.parse(await other.ask()).count, 2);
    await one.end();
    await other.end();
    await end();
  });
}

const PROBLEMS: Record<string, [code: string, problem: RegExp]> = {
  'a thread': [
    `const { Worker } = require('worker_threads'); new Worker('setInterval(() => {}, 1000)', { eval: true }).unref();`,
    /thread|MessagePort|Worker/,
  ],
  'a connection': [
    `const net = require('net'); const server = net.createServer(() => {}).listen(0, () => net.connect(server.address().port)); server.unref();`,
    /opened socket|under way/,
  ],
  'an open file': [`require('fs').openSync(__filename);`, /opened .*f\.cjs/],
  'random bytes': [`require('crypto').randomBytes(8);`, /random numbers .*randomBytes/],
  'a random UUID by the global': [`crypto.randomUUID();`, /random numbers .*randomUUID/],
  'a process': [
    `require('child_process').spawn('sleep', ['60'], { stdio: 'ignore' }).unref();`,
    /started a process/,
  ],
};
for (const [what, [code, problem]] of Object.entries(PROBLEMS)) {
  test(`code that makes ${what} while it is loaded is not forked`, async () => {
    const { result, end } = await load({ 'f.cjs': `${code} exports.fetch = () => new Response('');` });
    assert.match(result.result.problem, problem);
    await end();
  });
}

test('random numbers are no hindrance where the function says so, and are not the same afterwards', async () => {
  const files = {
    'f.cjs': `const c = require('crypto'); const first = [c.randomUUID(), c.randomInt(1e12)];
      exports.fetch = () => new Response(JSON.stringify([first[0], c.randomUUID(), c.randomInt(1e12), c.randomBytes(8).toString('hex')]));`,
  };
  const { result, fork, end } = await load(files, { trusted: true });
  assert.equal(result.result.problem, undefined);
  const [one, other] = [await fork('one'), await fork('other')];
  const [a, b] = [JSON.parse(await one.ask()), JSON.parse(await other.ask())];
  assert.equal(a[0], b[0]);
  for (const each of [1, 2, 3]) assert.notEqual(a[each], b[each]);
  await one.end();
  await other.end();
  await end();
});

test('code that does not load is told of as ever; other code is refused by an instance', async () => {
  const broken = await load({ 'f.cjs': 'exports.fetch = (' });
  assert.equal(broken.result.error.code, 'LoadError');
  assert.match(broken.result.error.detail, /SyntaxError/);
  await broken.end();
  const good = await load({ 'f.cjs': `exports.fetch = () => new Response('');` });
  const instance = await good.fork('one');
  await assert.rejects(
    instance.instance.call('specialise', { code: dir, revision: 'r-2' }),
    ({ code }: { code?: string }) => code === 'AlreadySpecialised',
  );
  await instance.end();
  await good.end();
});
