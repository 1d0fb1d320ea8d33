/** `petrel dev --debug`: a debugger stops a request where it is told to, sees what is there, and lets it go on. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { after, before, type TestContext, test } from 'node:test';
import { stopByDap, stopInGo, stopInJava, stopInPhp } from '../lib/debuggers.ts';
import { startDev } from '../lib/dev.ts';
import { call, eventually, Petrel, Scratch, type Status } from '../lib/platform.ts';

const scratch = new Scratch();
const petrel = new Petrel(scratch.path('h'));
let platform: Status;

before(async () => {
  platform = await petrel.up();
});
after(async () => {
  await petrel.stop();
  scratch.dispose();
});

const found = (...command: [string, ...string[]]): boolean =>
  spawnSync(command[0], command.slice(1), { stdio: 'ignore' }).status === 0;

/** A port that nobody has at the moment. */
const freePort = async (): Promise<number> => {
  const server = createServer().listen(0, '127.0.0.1');
  await new Promise((resolve) => server.once('listening', resolve));
  const { port } = server.address() as { port: number };
  await new Promise((resolve) => server.close(resolve));
  return port;
};

/** The template of a language under `petrel dev --debug`, until it answers. */
async function debugged(t: TestContext, template: string) {
  const name = `bug-${template}`;
  await petrel.json(['init', scratch.path(name), '--template', template]);
  const port = await freePort();
  const { child, said, exited } = startDev(petrel, [scratch.path(name), `--debug=${port}`]);
  t.after(() => child.kill('SIGKILL'));
  await eventually(
    'it answers',
    async () => /is ready/.test(said()) || Promise.reject(new Error(said())),
    300_000,
  );
  await eventually('its debugger is told', async () =>
    /it sees the source|dlv connect|jdb -attach/.test(said()),
  );
  const get = async () => (await call(platform.gateway, `/fn/default/${name}/?name=Ada`)).body;
  const end = async () => {
    child.kill('SIGINT');
    assert.equal(await exited, 0);
  };
  return { name, port, get, said, end };
}

test('go: delve stops at a line of the source and tells a variable; the next edit is met on the same port', async (t) => {
  if (!found('go', 'version')) return t.skip('go is not installed');
  if (!found('dlv', 'version'))
    return t.skip(
      'dlv is not installed: GOBIN=/usr/local/bin go install github.com/go-delve/delve/cmd/dlv@v1.27.2',
    );
  const { name, port, get, said, end } = await debugged(t, 'go');
  const file = 'function/main.go';
  const line = lineOf(`${name}/main.go`, 'json.NewEncoder');
  assert.equal(await stopInGo(port, { file, line, variable: 'name' }, get), 'Ada');
  const source = readFileSync(scratch.path(`${name}/main.go`), 'utf8');
  scratch.write({ [`${name}/main.go`]: source.replace('Hello, ', 'Good day, ') });
  await eventually('the edit answers', async () => /Good day/.test(await get()), 60_000);
  await eventually('and is told', async () => said().includes(`${name}-00002 answers`));
  assert.equal(await stopInGo(port, { file, line, variable: 'name' }, get), 'Ada');
  assert.match(await get(), /Good day, Ada/);
  await end();
});

test('java: jdwp stops in a method', async (t) => {
  if (!found('mvn', '--version')) return t.skip('Maven is not installed');
  const { port, get, end } = await debugged(t, 'java');
  const threads = await stopInJava(port, { type: 'LHandler;', method: 'handle' }, get);
  assert.ok(threads > 1, String(threads));
  assert.match(await get(), /Ada/);
  await end();
});

test('ruby: its debugger stops at a line', async (t) => {
  if (!found('ruby', '-e', 'require "debug/session"')) return t.skip('the gem debug is not installed');
  const { name, port, get, said, end } = await debugged(t, 'ruby');
  const [, code] = /it sees the source at (\S+)/.exec(said()) ?? [];
  const line = lineOf(`${name}/main.rb`, /^def handle/) + 1;
  const stoppedIn = await stopByDap(port, { path: `${code}/main.rb`, line }, get);
  assert.match(stoppedIn ?? '', /handle/);
  assert.match(await get(), /Ada/);
  await end();
});

test('php: Xdebug calls the editor for a request', async (t) => {
  if (!found('sh', '-c', 'test -f "$(php -r \'echo ini_get("extension_dir");\')/xdebug.so"'))
    return t.skip('Xdebug is not installed: apt install php-xdebug');
  const { port, get, end } = await debugged(t, 'php');
  assert.match(await stopInPhp(port, { method: 'handle' }, get), /where="handle"/);
  assert.match(await get(), /Ada/);
  await end();
});

test('a language without a debugger says so at once', async () => {
  scratch.write({ 'plain/handler.sh': '#!/bin/sh\ncat\n' });
  const { exited, said } = startDev(petrel, [scratch.path('plain'), '--runtime', 'exec', '--debug']);
  assert.equal(await exited, 4);
  assert.match(said(), /there is no debugger for exec[\s\S]*go, java, node/);
});

/** Number of the first line of a file that has a text in it. */
function lineOf(file: string, text: string | RegExp): number {
  const lines = readFileSync(scratch.path(file), 'utf8').split('\n');
  return lines.findIndex((line) => (typeof text === 'string' ? line.includes(text) : text.test(line))) + 1;
}
