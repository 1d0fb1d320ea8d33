/** Function zygotes of one runtime (PROTOCOL.md), without a sandbox: what its tests fork from processes that have loaded code. */
import assert from 'node:assert/strict';
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import fs from 'node:fs';
import net, { type Socket } from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { after, before } from 'node:test';
import { MuxClient } from './client.ts';
import { zygoteArgv } from './instance.ts';

type Message = Record<string, unknown>;
/** Of code under test. */
type Answer = Record<string, unknown>;

function lines(socket: Socket, take: (message: Message) => void): void {
  let unread = '';
  socket.setEncoding('utf8').on('data', (chunk: string) => {
    const parts = (unread + chunk).split('\n');
    unread = parts.pop() ?? '';
    for (const line of parts) take(JSON.parse(line));
  });
}

/** What `probe` gives once it gives something; throws when that takes 20 s. */
export async function until<T>(probe: () => T | Promise<T>, what: string): Promise<NonNullable<T>> {
  for (const deadline = Date.now() + 20_000; ; ) {
    const found = await probe();
    if (found) return found;
    if (Date.now() > deadline) throw new Error(`waited for: ${what}`);
    await new Promise((done) => setTimeout(done, 5));
  }
}

const connect = (socket: string, role: 'control' | 'data') =>
  until(() => MuxClient.open(socket, role).catch(() => undefined), `an answer on ${socket}`);

/** Starts the runtime's zygote before the tests of a file, and ends it after them. */
export function functionZygotes(runtime: string) {
  let dir = '';
  let zygote: ChildProcess;
  let control: Socket;
  let ready = false;
  let sequence = 0;
  const ups = new Map<number, string>();

  before(() => {
    dir = fs.mkdtempSync(path.join(os.tmpdir(), 'petrel-function-zygote-'));
    const [command = '', ...args] = zygoteArgv(runtime);
    zygote = spawn(command, args, {
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

  /**
   * A process that has loaded code (the first of the files is the entry), or why it cannot be forked; and instances of it. `more` goes
   * into what `preload` is given.
   */
  async function load(files: Record<string, string>, more: Message = {}) {
    const own = path.join(dir, String(++sequence));
    const code = path.join(own, 'code');
    for (const [name, text] of Object.entries(files)) {
      const file = path.join(code, name);
      fs.mkdirSync(path.dirname(file), { recursive: true });
      fs.writeFileSync(file, text);
    }
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
    const env = { PATH: process.env.PATH, PETREL_SOCKET: socket };
    control.write(`${JSON.stringify({ id, env, gate })}\n`);
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
      const order = { id: number, groups: [], env: { PETREL_SOCKET: at } };
      fs.writeSync(to, `${JSON.stringify({ fork: order })}\n`);
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

  /**
   * What is loaded once answers in two instances, each with a life of its own that outlives the process they were forked from. The code
   * answers with JSON that has `count`, `who`, `more` and `cwd`; `check` sees the first answers of both, and the first instance.
   */
  async function livesApart(
    files: Record<string, string>,
    check: (first: Answer, other: Answer, instance: { ask(): Promise<string> }) => void | Promise<void>,
  ): Promise<void> {
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
    assert.ok(first.cwd.endsWith('/code'));
    await check(first, third, one);
    await lose();
    assert.equal(JSON.parse(await other.ask()).count, 2);
    await one.end();
    await other.end();
    await end();
  }

  /** Two instances of the code answer differently. */
  async function answersDiffer(files: Record<string, string>): Promise<void> {
    const { result, fork, end } = await load(files);
    assert.equal(result.result.problem, undefined);
    const [one, other] = [await fork('one'), await fork('other')];
    assert.notEqual(await one.ask(), await other.ask());
    await one.end();
    await other.end();
    await end();
  }

  return { load, livesApart, answersDiffer };
}
