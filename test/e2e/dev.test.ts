/** `petrel dev`: what an edit does, what an error looks like, and what is left at the end. */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
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

const get = async (name: string) => (await call(platform.gateway, `/fn/default/${name}/`)).body;

interface Dev {
  child: ChildProcess;
  said(): string;
  exited: Promise<number | null>;
}

function dev(...args: string[]): Dev {
  const child = spawn(join(ROOT, 'petrel'), ['dev', ...args], {
    env: { ...process.env, PETREL_HOME: petrel.home },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let said = '';
  for (const stream of [child.stdout, child.stderr])
    stream?.setEncoding('utf8').on('data', (text: string) => {
      said += text;
    });
  return { child, said: () => said, exited: once(child, 'exit').then(([code]) => code) };
}

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
  await eventually('its port is told', async () =>
    /Debugger listening on ws:\/\/127\.0\.0\.1:192(29|3\d)/.test(said()),
  );
  child.kill('SIGINT');
});
