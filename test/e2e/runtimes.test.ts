/** Functions that are no source code of a language: a script, a site, a module for WASI, isolates that share a process. By the real command. */
import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { assemble, counter } from '../../runtimes/contract-tests/assemble.ts';
import { call, eventually, Petrel, ROOT, Scratch, type Status } from '../lib/platform.ts';

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

const get = (name: string, path = '/') => call(platform.gateway, path, { host: `${name}.default.localhost` });

const deploy = async (...args: string[]) => {
  const { code, stdout, stderr } = await petrel.run(['deploy', ...args]);
  assert.equal(code, 0, stdout + stderr + petrel.log());
};

test('a shell script is a function: a request is a process', async () => {
  scratch.write({ 'hello.sh': '#!/bin/sh\necho "hello from $Http_Path"; echo logged >&2\n' });
  await deploy(scratch.path('hello.sh'));
  const answer = await get('hello', '/a?b');
  assert.equal(answer.status, 200);
  assert.equal(answer.body, 'hello from /a\n');
  await eventually('its log', async () => /logged/.test((await petrel.run(['logs', 'hello'])).stdout));
});

test('a script that a shell does not understand is not deployed', async () => {
  scratch.write({ 'broken.sh': '#!/bin/sh\nif then\n' });
  const { code, stderr } = await petrel.run(['deploy', scratch.path('broken.sh')]);
  assert.notEqual(code, 0);
  assert.match(stderr, /broken\.sh:2/);
});

test('a folder of pages is a site', async () => {
  await deploy(join(ROOT, 'runtimes/static/template'), '--runtime', 'static', '--name', 'site');
  const page = await get('site');
  assert.equal(page.headers['content-type'], 'text/html; charset=utf-8');
  assert.equal(page.body, readFileSync(join(ROOT, 'runtimes/static/template/index.html'), 'utf8'));
  assert.equal((await get('site', '/none')).status, 404);
});

test('a module for WASI is a function', async () => {
  const file = scratch.path('module.wasm');
  writeFileSync(file, assemble(counter));
  await deploy(file);
  assert.equal((await get('module')).body, '1');
  assert.equal((await get('module')).body, '1', 'in a memory of its own');
});

const { bring } = createRequire(import.meta.url)('../../runtimes/isolate/bring.cjs') as {
  bring(): string | undefined;
};

test('isolates of one namespace share a process, and nothing else', async (t) => {
  const why = bring();
  if (why !== undefined) return t.skip(`workerd could not be brought: ${why}`);
  const source = (name: string) =>
    `let n = 0; export default { fetch(r, env) { console.log('asked of ${name}'); return new Response(env.WORD + ++n); } };`;
  for (const name of ['one', 'two']) {
    scratch.write({ [`${name}.js`]: source(name) });
    await deploy(scratch.path(`${name}.js`), '--runtime', 'isolate', '--env', `WORD=${name}`);
  }
  for (const name of ['one', 'two', 'one']) assert.match((await get(name)).body, new RegExp(`^${name}[12]$`));
  await eventually('the lines of one, and only its', async () => {
    const { stdout } = await petrel.run(['logs', 'one']);
    assert.doesNotMatch(stdout, /asked of two/);
    return /^asked of one$/m.test(stdout);
  });
});
