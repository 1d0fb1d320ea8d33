import assert from 'node:assert/strict';
import { test } from 'node:test';
import { PetrelError } from '../../base/errors.ts';
import type { FunctionSpec } from '../../kinds/function.ts';
import { parse } from '../args.ts';
import { COMMANDS } from '../commands.ts';
import { type Code, specOf } from './spec.ts';

const DEPLOY = COMMANDS.find(({ name }) => name === 'deploy')!;
const CODE: Code = { runtime: 'node', package: { digest: 'sha256:1' }, entry: 'a.ts' };
const spec = (argv: string[], current?: FunctionSpec) =>
  specOf(parse(DEPLOY, ['a.ts', ...argv]), CODE, current);

test('without options there is only the code', () => assert.deepEqual(spec([]), CODE));

test('every option becomes its field', () => {
  const argv =
    '--handler run --shape program --concurrency 4 --timeout 9 --min 1 --max 3 --memory 64Mi --cpu 500m';
  assert.deepEqual(
    spec([...argv.split(' '), '-e', 'A=1=2', '-e', 'B=', '--env-from', 'secret/db', '--env-from', 'cm/a.b']),
    {
      ...CODE,
      handler: 'run',
      shape: 'program',
      concurrency: 4,
      timeoutSeconds: 9,
      scale: { min: 1, max: 3 },
      resources: { limits: { memory: '64Mi', cpu: '500m' } },
      env: [
        { name: 'A', value: '1=2' },
        { name: 'B', value: '' },
      ],
      envFrom: [{ secretRef: { name: 'db' } }, { configMapRef: { name: 'a.b' } }],
    },
  );
});

test('no memory is no limit; no CPU, and what is no amount, is refused', () => {
  assert.deepEqual(spec(['--memory', '0']).resources, { limits: { memory: '0' } });
  for (const argv of [['--cpu', '0'], ['--memory', 'much'], ['--memory', '256'], ['--memory=-1Mi']])
    assert.throws(() => spec(argv), { code: 'InvalidArgument', message: /is no amount/ });
});

test('a program that has become sources is loaded; a shape that was asked for stays with its file', () => {
  const { entry: _, ...program } = { ...CODE, shape: 'program' as const };
  assert.equal(spec([], program).shape, undefined);
  assert.equal(spec(['--shape', 'program'], program).shape, 'program');
  assert.equal(spec([], { ...CODE, shape: 'program' }).shape, 'program');
  assert.equal(spec([], { ...program, shape: 'fission' }).shape, 'fission');
});

test('what the platform does for a function: state, being a tool, asynchronous invocation', () => {
  const argv = [
    '--state',
    'shared',
    '--tool',
    'adds',
    '--tool-schema',
    '{"type":"object"}',
    '--attempts',
    '5',
    '--max-age',
    '60',
    '--on-success',
    'next',
    '--on-failure',
    'https://example.com/x',
  ];
  const made = spec(argv);
  assert.deepEqual(made, {
    ...CODE,
    state: { keyspace: 'shared' },
    tool: { description: 'adds', inputSchema: { type: 'object' } },
    invocation: {
      maxAttempts: 5,
      maxAgeSeconds: 60,
      onSuccess: { function: 'next' },
      onFailure: { url: 'https://example.com/x' },
    },
  });
  assert.deepEqual(spec([], made), made);
  assert.deepEqual(spec(['--state', 'own', '--tool', 'none', '--on-success', 'none'], made), {
    ...CODE,
    state: {},
    invocation: { maxAttempts: 5, maxAgeSeconds: 60, onFailure: { url: 'https://example.com/x' } },
  });
  assert.deepEqual(spec(['--state', 'none', '--tool', 'none'], { ...CODE, state: {} }), CODE);
  for (const wrong of [
    ['--tool-schema', '{}'],
    ['--tool', 'x', '--tool-schema', '{'],
  ])
    assert.throws(() => spec(wrong), PetrelError);
});

test('a mount is a volume and where it goes', () => {
  assert.deepEqual(spec(['--mount', 'configmap/app.conf:/etc/app', '--mount', 'secret/tls:/tls']), {
    ...CODE,
    volumes: [
      { name: 'configmap-app-conf', configMap: { name: 'app.conf' } },
      { name: 'secret-tls', secret: { secretName: 'tls' } },
    ],
    volumeMounts: [
      { name: 'configmap-app-conf', mountPath: '/etc/app', readOnly: true },
      { name: 'secret-tls', mountPath: '/tls', readOnly: true },
    ],
  });
});

test('a second deploy keeps what it does not name, and changes variables one by one', () => {
  const current: FunctionSpec = {
    runtime: 'node',
    package: { digest: 'sha256:0' },
    entry: 'old.ts',
    env: [
      { name: 'KEPT', value: '1' },
      { name: 'GONE', value: '2' },
      { name: 'NEW', value: '3' },
    ],
    scale: { min: 2, max: 5 },
    timeoutSeconds: 7,
  };
  assert.deepEqual(spec(['-e', 'GONE-', '-e', 'NEW=4', '--min', '0'], current), {
    ...current,
    ...CODE,
    env: [
      { name: 'KEPT', value: '1' },
      { name: 'NEW', value: '4' },
    ],
    scale: { min: 0, max: 5 },
  });
});

for (const argv of [
  ['--env', 'A'],
  ['--env', '=1'],
  ['--env-from', 'db'],
  ['--env-from', 'secret/Not_A_Name'],
  ['--mount', 'secret/a'],
  ['--mount', 'secret/a:relative'],
  ['--min', '3', '--max', '2'],
]) {
  test(`refuses ${argv.join(' ')} and says how to write it`, () => {
    assert.throws(
      () => spec(argv),
      (error) => error instanceof PetrelError && error.code === 'InvalidArgument' && error.fix !== '',
    );
  });
}

test('access, stickiness and instances for one request are set, changed and taken away one by one', () => {
  const first = spec([
    '--cors=https://a.test',
    '--cors=https://b.test',
    '--auth=api-key=keys',
    '--auth=jwt=https://id.test/jwks',
    '--rate-limit=100/m',
    '--sticky=query=room',
  ]);
  assert.deepEqual(first.access, {
    cors: { allowOrigins: ['https://a.test', 'https://b.test'] },
    auth: { apiKey: { secret: 'keys' }, jwt: { jwksUrl: 'https://id.test/jwks' } },
    rateLimit: { requests: 100, seconds: 60 },
  });
  assert.deepEqual(first.sticky, { queryParameter: 'room' });
  const current = {
    ...first,
    access: { ...first.access, auth: { jwt: { jwksUrl: 'https://x', issuer: 'me' } } },
  };
  assert.deepEqual(spec([], current).access, current.access, 'what is not given stays');
  const changed = spec(
    ['--auth=jwt=own', '--cors=none', '--rate-limit=none', '--sticky=none', '--once-only=yes'],
    current,
  );
  assert.deepEqual(changed.access, { auth: { jwt: { issuer: 'me', secret: 'own' } } });
  assert.equal('sticky' in changed, false);
  assert.equal(changed.onceOnly, true);
  const open = spec(['--auth=none', '--once-only=no'], changed);
  assert.equal('access' in open || 'onceOnly' in open, false);
  for (const bad of ['--auth=basic=x', '--auth=hmac', '--rate-limit=10', '--rate-limit=x/s', '--sticky=x']) {
    assert.throws(() => spec([bad]), { code: 'InvalidArgument' }, bad);
  }
});
