/** `petrel dev`: what an edit does, what an error looks like, and what is left at the end. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { rmSync } from 'node:fs';
import { after, before, test } from 'node:test';
import { type Dev, startDev } from '../lib/dev.ts';
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

const get = async (name: string) => (await call(platform.gateway, `/fn/default/${name}/`)).body;

const dev = (...args: string[]): Dev => startDev(petrel, args);

test('an edit answers, an error is told and the version before goes on, logs come along', async (t) => {
  scratch.write({ 'web.ts': "export default { fetch: () => new Response('one') };" });
  const { child, said, exited } = dev(scratch.path('web.ts'));
  t.after(() => child.kill('SIGKILL'));
  await eventually('the first version answers', async () => (await get('web')) === 'one');
  scratch.write({
    'web.ts': "export default { fetch: () => { console.log('a line'); return new Response('two'); } };",
  });
  await eventually('the second version answers', async () => (await get('web')) === 'two');
  await eventually('its log is shown', async () => /^a line$/m.test(said()));
  scratch.write({ 'web.ts': 'export default { fetch: () => new Response(;' });
  await eventually('the error is told', async () => /web\.ts:1\n[\s\S]*SyntaxError/.test(said()));
  assert.equal(await get('web'), 'two');
  scratch.write({ 'web.ts': "export default { fetch: () => new Response('three') };" });
  await eventually('the third version answers', async () => (await get('web')) === 'three');
  assert.match(said(), /↻ web-00002 answers \(\d+ ms\)/);
  rmSync(scratch.path('web.ts'));
  await eventually('that the file is away is told', async () => /no file or directory/.test(said()));
  scratch.write({ 'web.ts': "export default { fetch: () => new Response('four') };" });
  await eventually('the fourth version answers', async () => (await get('web')) === 'four');
  child.kill('SIGINT');
  assert.equal(await exited, 0);
  await eventually(
    'the function is gone',
    async () => (await call(platform.gateway, '/fn/default/web/')).status === 404,
  );
});

test('a function that was there before is left as it is', async (t) => {
  scratch.write({ 'kept/index.mjs': "export default () => new Response('deployed');" });
  await petrel.deploy(scratch.path('kept'));
  const { child, exited } = dev(scratch.path('kept'), '-o', 'json');
  t.after(() => child.kill('SIGKILL'));
  const [line] = await once(child.stdout!, 'data');
  assert.equal(JSON.parse(line).name, 'kept');
  scratch.write({ 'kept/lib.mjs': "export const word = 'from a file that is new';" });
  scratch.write({
    'kept/index.mjs': "import { word } from './lib.mjs'; export default () => new Response(word);",
  });
  await eventually('both files count', async () => (await get('kept')) === 'from a file that is new');
  child.kill('SIGTERM');
  assert.equal(await exited, 0);
  assert.equal(await get('kept'), 'from a file that is new');
});

test('a debugger meets the function, of the next edit too', async (t) => {
  scratch.write({ 'bug.ts': "export default { fetch: () => new Response('one') };" });
  const { child, said } = dev(scratch.path('bug.ts'), '--inspect', '19229');
  t.after(() => child.kill('SIGKILL'));
  await eventually('it answers', async () => (await get('bug')) === 'one');
  const targets = async (port: number) =>
    (await (await fetch(`http://127.0.0.1:${port}/json/list`)).json()) as { type: string }[];
  assert.equal((await targets(19229))[0]?.type, 'node');
  scratch.write({ 'bug.ts': "export default { fetch: () => new Response('two') };" });
  await eventually('the edit answers', async () => (await get('bug')) === 'two');
  assert.equal((await targets(19229))[0]?.type, 'node');
  assert.match(said(), /debugger \(inspector\) on 127\.0\.0\.1:19229/);
  assert.doesNotMatch(said(), /Debugger listening/);
  child.kill('SIGINT');
});

test('a mistake in an option ends it at once', async () => {
  scratch.write({ 'web.ts': "export default { fetch: () => new Response('one') };" });
  for (const [args, words] of [
    [['--memory', 'much'], /much/],
    [['--namespace', 'nowhere'], /nowhere/],
  ] as const) {
    const { exited, said } = dev(scratch.path('web.ts'), ...args);
    assert.notEqual(await exited, 0);
    assert.match(said(), words);
  }
});

test('tests run after every change, beside saved requests with what they expect', async (t) => {
  const handler = (word: string) =>
    `export const greeting = (name) => '${word} ' + name;
     export default (request) => Response.json({ said: greeting('Ada') });`;
  const expect = { status: 200, body: { said: 'Hello Ada' } };
  scratch.write({
    'tested/index.mjs': handler('Hello'),
    'tested/index.test.mjs': `import assert from 'node:assert'; import test from 'node:test'; import { greeting } from './index.mjs';
      test('greets', () => assert.equal(greeting('Bob'), 'Hello Bob'));
      test('answers', async () => assert.equal((await fetch(process.env.PETREL_FUNCTION_URL + '/')).status, 200));`,
    'tested/.petrel/requests/home.json': JSON.stringify({ method: 'GET', path: '/', headers: [], expect }),
  });
  const { child, said, exited } = dev(scratch.path('tested'), '--test');
  t.after(() => child.kill('SIGKILL'));
  await eventually('both pass', async () => /✔ 1 saved request[\s\S]*✔ node --test/.test(said()));
  scratch.write({ 'tested/index.mjs': handler('Howdy') });
  await eventually('both fail', async () => /✖ node --test/.test(said()));
  assert.match(said(), /✖ 1 saved request .*\n {2}home: body\.said is "Howdy Ada" instead of "Hello Ada"/);
  child.kill('SIGINT');
  assert.equal(await exited, 0);
});

test('once, for CI: the exit code says whether the tests have passed', async () => {
  const run = async (answer: string) => {
    scratch.write({
      'ci/index.mjs': `export default () => new Response('${answer}');`,
      'ci/check.sh': 'test "$(curl -s "$PETREL_FUNCTION_URL/")" = right',
    });
    const { exited, said } = dev(scratch.path('ci'), '--once', '--test-command', 'sh check.sh', '-o', 'json');
    return { code: await exited, said: said() };
  };
  const passed = await run('right');
  assert.equal(passed.code, 0, passed.said);
  const failed = await run('wrong');
  assert.equal(failed.code, 1, failed.said);
  const lines = failed.said.split('\n').filter((line) => line.startsWith('{'));
  const tests = lines.map((line) => JSON.parse(line).tests).find((one) => one !== undefined);
  assert.deepEqual([tests.what, tests.passed], ['sh check.sh', false]);
  await eventually(
    'nothing is left',
    async () => (await call(platform.gateway, '/fn/default/ci/')).status === 404,
  );
  const broken = dev(scratch.path('ci'), '--once', '--handler', 'nothing');
  assert.equal(await broken.exited, 11);
  assert.match(broken.said(), /no function named nothing|nothing/);
});
