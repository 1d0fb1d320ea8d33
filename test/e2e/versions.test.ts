/** Revisions of a function under names of their own: aliases, publishing, comparing, keeping instances ready. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import type { PetrelFunction } from '../../src/kinds/function.ts';
import { FUNCTIONS } from '../../src/kube/refs.ts';
import { call, eventually, Petrel, Scratch, type Status } from '../lib/platform.ts';

const scratch = new Scratch();
const petrel = new Petrel(scratch.path('h'));
let platform: Status;

before(async () => {
  platform = await petrel.up();
  for (const text of ['one', 'two', 'three']) {
    scratch.write({ 'web/index.ts': `export default { fetch: () => new Response('${text}') };\n` });
    if (text === 'three') scratch.write({ 'web/extra.txt': 'more' });
    await petrel.deploy(scratch.path('web'), '--env', `NUMBER=${text}`);
  }
});
after(async () => {
  await petrel.stop();
  scratch.dispose();
});

const get = async (name: string) => (await call(platform.gateway, `/fn/default/${name}/`)).body;
// biome-ignore lint/suspicious/noExplicitAny: what commands print, of many forms
const json = (...command: string[]) => petrel.json<any>(command);

test('an alias stands for a revision until it is set anew, beside what the function serves', async () => {
  const alias = await json('alias', 'web', 'prod', '--to', '1');
  assert.equal(alias.revision, 'web-00001');
  assert.match(alias.url, /^http:\/\/web-prod\.default\./);
  assert.deepEqual([await get('web-prod'), await get('web')], ['one', 'three']);
  await json('alias', 'web', 'prod', '--to', '2');
  await eventually('the alias leads to the second revision', async () => (await get('web-prod')) === 'two');
  const answer = await call(platform.gateway, '/', { headers: { host: new URL(alias.url).host } });
  assert.equal(answer.body, 'two');
});

test('an alias with two revisions divides its requests', async () => {
  const alias = await json('alias', 'web', 'canary', '--to', '1', '--also', '2=50');
  assert.deepEqual(alias.secondary, { revisionName: 'web-00002', percent: 50 });
  const seen = new Set<string>();
  await eventually('both answer', async () => seen.add(await get('web-canary')).size === 2);
  assert.deepEqual([...seen].sort(), ['one', 'two']);
});

test('aliases are listed, refused where they cannot be, and deleted', async () => {
  const listed = await json('alias', 'web');
  assert.deepEqual(
    listed.map(({ name }: { name: string }) => name),
    ['web-canary', 'web-prod'],
  );
  assert.equal((await petrel.refused(['alias', 'web', 'Prod', '--to', '1'])).code, 'InvalidName');
  assert.equal((await petrel.refused(['alias', 'web', 'prod', '--to', '9'])).code, 'NotFound');
  assert.equal((await petrel.refused(['alias', 'nothing', 'prod', '--to', '1'])).code, 'NotFound');
  await json('alias', 'web', 'canary', '--delete');
  await eventually(
    'its URL is gone',
    async () => (await call(platform.gateway, '/fn/default/web-canary/')).status === 404,
  );
});

test('publishing keeps a revision and names it', async () => {
  const view = await json(
    'publish',
    'web',
    '--revision',
    '2',
    '--description',
    'prices of May',
    '--as',
    'may',
  );
  assert.deepEqual(
    [view.revision, view.kept, view.description, view.alias],
    ['web-00002', true, 'prices of May', 'web-may'],
  );
  assert.equal(await get('web-may'), 'two');
  const [, second] = await json('revisions', 'web');
  assert.deepEqual(
    [second.kept, second.description, second.aliases],
    [true, 'prices of May', ['web-may', 'web-prod']],
  );
  assert.equal((await json('publish', 'web', '--revision', '2', '--off')).description, null);
});

test('diff tells settings and files', async () => {
  const difference = await json('diff', 'web');
  assert.deepEqual([difference.from, difference.to], ['web-00002', 'web-00003']);
  const paths = difference.settings.map(({ path }: { path: string }) => path);
  assert.ok(paths.includes('spec.containers[user-container].env[NUMBER].value'), paths.join(' '));
  assert.deepEqual(
    difference.files.map(({ path, change }: { path: string; change: string }) => [path, change]),
    [
      ['extra.txt', 'added'],
      ['index.ts', 'changed'],
    ],
  );
  const { stdout } = await petrel.run(['diff', 'web', '1', '2']);
  assert.match(stdout, /-export default .*'one'.*\n\+export default .*'two'/);
});

test('provisioned instances are kept ready without a new revision, and given back', async (t) => {
  const client = await petrel.api();
  t.after(() => client.close());
  const change = async (provisioned: PetrelFunction['spec']['provisioned']) => {
    const found = await client.get<PetrelFunction>(FUNCTIONS, 'default', 'web');
    const { provisioned: _, ...spec } = found.spec;
    await client.update(FUNCTIONS, { ...found, spec: { ...spec, ...(provisioned ? { provisioned } : {}) } });
  };
  const replicas = async () =>
    (await json('revisions', 'web')).map(({ replicas }: { replicas: number }) => replicas)[0];
  await change({ target: 2 });
  await eventually('two instances are ready', async () => (await replicas()) === 2);
  assert.equal((await json('revisions', 'web')).length, 3);
});
