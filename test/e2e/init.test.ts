/** `petrel init`: what it writes deploys and answers, in every language this machine can run. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { after, before, test } from 'node:test';
import { call, Petrel, Scratch, type Status } from '../lib/platform.ts';

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

const templates = JSON.parse((await petrel.run(['init', '--list', '-o', 'json'])).stdout) as string[];

test('the templates are those of the runtimes', () => {
  for (const name of ['node', 'python']) assert.ok(templates.includes(name), templates.join(' '));
});

test('a folder that cannot be the name of a function comes with one that can', async () => {
  const { stderr } = await petrel.run(['init', scratch.path('My_Shop'), '--template', 'static']);
  assert.match(stderr, /petrel dev .*My_Shop --name my-shop\n/);
  assert.match((await petrel.refused(['dev', scratch.path('My_Shop'), '--once'])).fix, /--name my-shop/);
});

/** What is said where this machine lacks what the language needs. */
const MISSING = /RuntimeUnavailable|ToolMissing|was not found: install/;
/** … or a compiler's target, or a registry that a template's dependencies come from. */
const OUT_OF_REACH =
  /target may not be installed|can't find crate for `(core|std)`|failed to download|npm error/;

for (const name of templates) {
  test(`the ${name} template deploys and answers`, async (t) => {
    const folder = scratch.path(`t-${name}`);
    await petrel.json(['init', folder, '--template', name]);
    const { code, stdout, stderr } = await petrel.run([
      'deploy',
      folder,
      '--name',
      `t-${name}`,
      '-o',
      'json',
    ]);
    const failed = code === 0 ? undefined : JSON.parse(stdout).error;
    if (failed && MISSING.test(`${failed.code} ${failed.why} ${failed.message}`))
      return t.skip(failed.message);
    if (failed && name === 'component' && OUT_OF_REACH.test(stderr + stdout))
      return t.skip('what builds components is not there');
    assert.equal(code, 0, `${stdout}${stderr}`);
    const answer = await call(platform.gateway, `/fn/default/t-${name}/?name=Ada`);
    assert.equal(answer.status, 200, answer.body);
    assert.ok(answer.body.length > 0);
  });
}

test('the rust template is a project of cargo’s own: all that it imports is in it', async (t) => {
  if (spawnSync('cargo', ['--version']).error !== undefined) return t.skip('there is no cargo');
  const folder = scratch.path('alone');
  await petrel.json(['init', folder, '--template', 'rust']);
  const env = { ...process.env, CARGO_TARGET_DIR: scratch.path('target') };
  const { status, stderr } = spawnSync('cargo', ['check', '--offline', '--locked'], {
    cwd: folder,
    env,
    encoding: 'utf8',
  });
  assert.equal(status, 0, stderr);
});

test('nothing is written over, and a wrong name is told with the right one', async () => {
  const folder = scratch.path('mine');
  scratch.write({ 'mine/index.ts': 'mine' });
  assert.equal((await petrel.refused(['init', folder])).code, 'NameTaken');
  const wrong = await petrel.refused(['init', folder, '--template', 'pyhton']);
  assert.match(wrong.fix, /did you mean python/);
});
