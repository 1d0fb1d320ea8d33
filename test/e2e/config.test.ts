/** Variables, Secrets and ConfigMaps reach user code, as variables and as files; limits and scale bounds reach the platform. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import type { PetrelFunction } from '../../src/kinds/function.ts';
import type { ConfigMap, Secret } from '../../src/kinds/pod.ts';
import { CONFIGMAPS, FUNCTIONS, NAMESPACES, SECRETS } from '../../src/kube/refs.ts';
import { call, eventually, Petrel, Scratch, type Status } from '../lib/platform.ts';

const scratch = new Scratch();
const petrel = new Petrel(scratch.path('h'));
let platform: Status;
let api: Awaited<ReturnType<Petrel['api']>>;

before(async () => {
  platform = await petrel.up();
  api = await petrel.api();
  await api.create<Secret>(SECRETS, {
    apiVersion: 'v1',
    kind: 'Secret',
    metadata: { name: 'db', namespace: 'default' },
    data: {
      DB_USER: Buffer.from('ada').toString('base64'),
      DB_PASSWORD: Buffer.from('pässword\n').toString('base64'),
    },
  });
  await api.create<ConfigMap>(CONFIGMAPS, {
    apiVersion: 'v1',
    kind: 'ConfigMap',
    metadata: { name: 'app.conf', namespace: 'default' },
    data: { MODE: 'fast', 'settings.ini': 'a=1\nb=2\n' },
  });
  scratch.write({
    'show.mjs': `import { readFileSync, readdirSync, statSync } from 'node:fs';
      export default async (request) => {
        const { searchParams } = new URL(request.url);
        const file = searchParams.get('file');
        if (file) return new Response(readFileSync(file));
        const folder = searchParams.get('folder');
        if (folder) return Response.json(readdirSync(folder).filter((name) => !name.startsWith('..')).sort());
        return Response.json(Object.fromEntries(searchParams.getAll('env').map((name) => [name, process.env[name] ?? null])));
      };`,
    'show.py': `import os, json
def main(request):
    return json.dumps({name: os.environ.get(name) for name in ("DB_USER", "MODE", "EXTRA", "K_SERVICE")})
`,
  });
});
after(async () => {
  api?.close();
  await petrel.stop();
  scratch.dispose();
});

const ask = async (name: string, query = '') =>
  (await call(platform.gateway, `/fn/default/${name}/${query}`)).body;
const env = async (name: string, ...names: string[]) =>
  JSON.parse(await ask(name, `?${names.map((variable) => `env=${variable}`).join('&')}`)) as Record<
    string,
    string | null
  >;

test('variables: own ones win over those of a ConfigMap and a Secret; those of the platform stay its own', async () => {
  await petrel.deploy(
    scratch.path('show.mjs'),
    '-e',
    'EXTRA=a=b c',
    '-e',
    'MODE=slow',
    '--env-from',
    'secret/db',
    '--env-from',
    'cm/app.conf',
  );
  assert.deepEqual(
    await env(
      'show',
      'EXTRA',
      'MODE',
      'DB_USER',
      'DB_PASSWORD',
      'K_SERVICE',
      'K_REVISION',
      'PETREL_HOME',
      'NODE_COMPILE_CACHE',
      'PETREL_SOCKET',
    ),
    {
      EXTRA: 'a=b c',
      MODE: 'slow',
      DB_USER: 'ada',
      DB_PASSWORD: 'pässword\n',
      K_SERVICE: 'show',
      K_REVISION: 'show-00001',
      PETREL_HOME: null,
      NODE_COMPILE_CACHE: null,
      PETREL_SOCKET: null,
    },
  );
});

test('a variable can be changed and removed without naming the others', async () => {
  await petrel.deploy(scratch.path('show.mjs'), '-e', 'MODE-', '-e', 'EXTRA=new');
  assert.deepEqual(await env('show', 'EXTRA', 'MODE', 'DB_USER', 'K_REVISION'), {
    EXTRA: 'new',
    MODE: 'fast',
    DB_USER: 'ada',
    K_REVISION: 'show-00002',
  });
});

test('Secrets and ConfigMaps as files', async () => {
  await petrel.deploy(
    scratch.path('show.mjs'),
    '--name',
    'files',
    '--mount',
    'secret/db:/etc/db',
    '--mount',
    'cm/app.conf:/etc/app',
  );
  assert.deepEqual(JSON.parse(await ask('files', '?folder=/etc/db')), ['DB_PASSWORD', 'DB_USER']);
  assert.equal(await ask('files', '?file=/etc/db/DB_PASSWORD'), 'pässword\n');
  assert.equal(await ask('files', '?file=/etc/app/settings.ini'), 'a=1\nb=2\n');
});

test('the same in Python', async () => {
  await petrel.deploy(
    scratch.path('show.py'),
    '--name',
    'pyshow',
    '-e',
    'EXTRA=1',
    '--env-from',
    'secret/db',
    '--env-from',
    'cm/app.conf',
  );
  assert.deepEqual(JSON.parse(await ask('pyshow')), {
    DB_USER: 'ada',
    MODE: 'fast',
    EXTRA: '1',
    K_SERVICE: 'pyshow',
  });
});

test('a Secret that is not there is named at once; without waiting the function starts when it comes', async () => {
  const argv = ['deploy', scratch.path('show.mjs'), '--name', 'late', '--env-from', 'secret/late'];
  const refused = await petrel.refused(argv);
  assert.equal(refused.exit, 9, JSON.stringify(refused));
  assert.match(refused.message, /Secret "late"/);
  assert.equal((await petrel.run(['describe', 'late'])).code, 9);

  assert.equal((await petrel.json<{ ready: boolean }>([...argv, '--no-wait'])).ready, false);
  await api.create<Secret>(SECRETS, {
    apiVersion: 'v1',
    kind: 'Secret',
    metadata: { name: 'late', namespace: 'default' },
    data: { EXTRA: Buffer.from('here').toString('base64') },
  });
  await eventually(
    'the function is ready',
    async () => /^late .* True /m.test((await petrel.run(['list'])).stdout),
    60_000,
  );
  assert.deepEqual(await env('late', 'EXTRA'), { EXTRA: 'here' });
});

test('scale, concurrency, limits and timeout are on the Function', async () => {
  await petrel.deploy(
    scratch.path('show.mjs'),
    '--name',
    'sized',
    '--min',
    '1',
    '--max',
    '2',
    '-c',
    '3',
    '--timeout',
    '9',
    '--memory',
    '128Mi',
    '--cpu',
    '500m',
  );
  const { spec } = await api.get<PetrelFunction>(FUNCTIONS, 'default', 'sized');
  assert.deepEqual(
    {
      scale: spec.scale,
      concurrency: spec.concurrency,
      timeoutSeconds: spec.timeoutSeconds,
      resources: spec.resources,
    },
    {
      scale: { min: 1, max: 2 },
      concurrency: 3,
      timeoutSeconds: 9,
      resources: { limits: { memory: '128Mi', cpu: '500m' } },
    },
  );
});

test('a namespace of its own', async () => {
  await api.create(NAMESPACES, { apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'shop' } });
  const deployed = await petrel.deploy(scratch.path('show.mjs'), '-n', 'shop');
  assert.match(deployed.url, /^http:\/\/show\.shop\.localhost:/);
  const answer = await call(platform.gateway, '/?env=K_SERVICE', { host: 'show.shop.localhost' });
  assert.deepEqual(JSON.parse(answer.body), { K_SERVICE: 'show' });
  assert.match((await petrel.run(['list', '-A'])).stdout, /^shop +show/m);
});
