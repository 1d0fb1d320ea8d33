/** From a source file to a URL, by the real command: what the README promises, and the mistakes that people make. */
import assert from 'node:assert/strict';
import { readdirSync, truncateSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import type { UntypedObject } from '../../src/kinds/object.ts';
import { KSERVICES } from '../../src/kube/refs.ts';
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

const fn = (name: string, path = '/', options: Parameters<typeof call>[2] = {}) =>
  call(platform.gateway, path, { host: `${name}.default.localhost`, ...options });

test('status, kubeconfig and a second up', async () => {
  assert.deepEqual(
    Object.entries(await petrel.status()).filter(([key]) => ['ready', 'home', 'pid'].includes(key)),
    [
      ['ready', true],
      ['pid', platform.pid],
      ['home', petrel.home],
    ],
  );
  assert.equal((await petrel.run(['kubeconfig'])).stdout.trim(), join(petrel.home, 'kubeconfig'));
  const second = await petrel.refused(['up', '--detach']);
  assert.equal(second.exit, 14);
  assert.match(second.why, new RegExp(String(platform.pid)));
});

test('the example of the README, by host and by path', async () => {
  const deployed = await petrel.deploy(join(ROOT, 'examples/hello/hello.ts'));
  assert.deepEqual(
    { ...deployed, url: '', runtime: '', package: '' },
    {
      name: 'hello',
      namespace: 'default',
      revision: 'hello-00001',
      url: '',
      ready: true,
      percent: 100,
      runtime: '',
      package: '',
    },
  );
  assert.equal(
    deployed.url,
    `http://hello.default.localhost:${platform.gateway.split(':')[1]}`.replace(
      /$/,
      deployed.url.endsWith('/') ? '/' : '',
    ),
  );
  assert.equal((await fn('hello')).status, 200);
  const byPath = await call(platform.gateway, '/fn/default/hello/');
  assert.equal(byPath.status, 200);
  assert.equal(byPath.body, (await fn('hello')).body);
  assert.ok(byPath.headers['x-request-id']);
});

test('deploying the same again changes nothing', async () => {
  const again = await petrel.deploy(join(ROOT, 'examples/hello/hello.ts'));
  assert.equal(again.revision, 'hello-00001');
});

test('invoke: method, body, headers, path; exit code 1 for an error status', async () => {
  scratch.write({
    'echo.mjs': `export default async (request) => {
      const url = new URL(request.url);
      if (url.pathname === '/fail') return new Response('no', { status: 418 });
      return Response.json({ method: request.method, path: url.pathname + url.search, tag: request.headers.get('x-tag'), body: await request.text() });
    };`,
  });
  await petrel.deploy(scratch.path('echo.mjs'));
  const { code, stdout } = await petrel.run(
    ['invoke', 'echo', '-d', '@-', '-H', 'X-Tag: a: b', '--path', '/p?q=1'],
    { input: 'body' },
  );
  assert.equal(code, 0);
  assert.deepEqual(JSON.parse(stdout), { method: 'POST', path: '/p?q=1', tag: 'a: b', body: 'body' });
  const failed = await petrel.run(['invoke', 'echo', '--path', 'fail', '-i', '-X', 'put']);
  assert.equal(failed.code, 1);
  assert.match(failed.stdout, /^HTTP\/1\.1 418[\s\S]*\n\nno$/);
});

test('list, describe, logs, delete', async () => {
  const list = await petrel.run(['list']);
  assert.match(list.stdout, /^NAME +RUNTIME +READY[\s\S]*\nhello +node +True/m);
  const described = await petrel.json<{ function: { metadata: { name: string } }; revisions: unknown[] }>([
    'describe',
    'echo',
  ]);
  assert.equal(described.function.metadata.name, 'echo');
  assert.equal(described.revisions.length, 1);
  assert.match((await petrel.run(['describe', 'echo'])).stdout, /Revisions\n[\s\S]*echo-00001/);

  scratch.write({
    'talk.js': `module.exports = (req, res) => { console.log('talking about ' + req.url); res.end('ok'); };`,
  });
  await petrel.deploy(scratch.path('talk.js'));
  await fn('talk', '/birds');
  await eventually('the line in the log', async () =>
    (await petrel.run(['logs', 'talk'])).stdout.includes('talking about /birds'),
  );

  const gone = await petrel.json<{ deleted: boolean }>(['delete', 'talk']);
  assert.equal(gone.deleted, true);
  await eventually('the route is gone', async () => (await fn('talk')).status === 404);
  assert.equal((await petrel.refused(['delete', 'talk'])).exit, 9);
  assert.equal((await petrel.refused(['describe', 'talk'])).exit, 9);

  // Another one of the name is told of what became of itself alone. Times of Events are whole seconds.
  const second = Math.floor(Date.now() / 1000);
  await eventually('the next second', async () => Date.now() / 1000 >= second + 1);
  await petrel.deploy(scratch.path('talk.js'));
  interface Described {
    function: { metadata: { creationTimestamp: string } };
    events: { lastTimestamp: string; reason: string }[];
  }
  let anew: Described | undefined;
  await eventually('an Event of the new one', async () => {
    anew = await petrel.json<Described>(['describe', 'talk']);
    return anew.events.some(({ reason }) => reason === 'RevisionReady');
  });
  const since = anew?.function.metadata.creationTimestamp ?? '';
  for (const { lastTimestamp } of anew?.events ?? []) assert.ok(lastTimestamp >= since, lastTimestamp);
  await petrel.run(['delete', 'talk']);
});

test('a load error is shown verbatim; the old revision keeps serving; the next good one takes over', async () => {
  const version = (text: string) =>
    scratch.write({ 'ver.ts': `export default { fetch: () => new Response('${text}') };\n` });
  version('one');
  await petrel.deploy(scratch.path('ver.ts'));
  assert.equal((await fn('ver')).body, 'one');
  scratch.write({ 'ver.ts': 'export default {\n  fetch() { return new Response("two") }\n}}\n' });
  const broken = await petrel.refused(['deploy', scratch.path('ver.ts')]);
  assert.equal(broken.exit, 11);
  assert.equal(broken.code, 'LoadError');
  assert.match(broken.message, /ver\.ts:3/);
  assert.match(broken.message, /SyntaxError/);
  assert.equal((await fn('ver')).body, 'one');
  // The text stands below its line, and the table of revisions is still one.
  const { stdout } = await petrel.run(['describe', 'ver']);
  assert.match(stdout, /\n {2}ready {5}False \(load_error: [^\n]*ver\.ts:3\n {12}/);
  assert.match(stdout, /\n {2}ver-00002 {2}False \(load_error\) {2}0 {10}\d/);
  // The next failure is told as its own, however soon it comes.
  scratch.write({ 'ver.ts': 'import "./nowhere.ts";\n' });
  assert.match((await petrel.refused(['deploy', scratch.path('ver.ts')])).message, /nowhere/);
  version('three');
  await petrel.deploy(scratch.path('ver.ts'));
  assert.equal((await fn('ver')).body, 'three');
});

test('a handler that is not exported: what was found, what was looked for', async () => {
  scratch.write({ 'nothing.mjs': 'export const answer = 42;\n' });
  const { exit, message } = await petrel.refused(['deploy', scratch.path('nothing.mjs')]);
  assert.equal(exit, 11);
  assert.match(message, /answer/);
  const named = await petrel.refused([
    'deploy',
    scratch.path('echo.mjs'),
    '--name',
    'named',
    '--handler',
    'missing',
  ]);
  assert.equal(named.exit, 11);
  assert.match(named.message, /missing/);
});

test('a broken first version answers with its error, not with silence', async () => {
  const { status, body } = await fn('nothing');
  assert.ok(status >= 500, `${status} ${body}`);
  assert.match(body, /requestId/);
});

const mistakes: [string, () => string[], number][] = [
  ['a file that is missing', () => ['deploy', scratch.path('nope.ts')], 3],
  ['an extension nobody knows', () => ['deploy', join(ROOT, 'README.md'), '--name', 'x'], 4],
  ['a runtime that is not there', () => ['deploy', scratch.path('echo.mjs'), '--runtime', 'cobol'], 10],
  ['the wrong runtime', () => ['deploy', scratch.path('echo.mjs'), '--runtime', 'python'], 4],
  ['a name that is no host name', () => ['deploy', scratch.path('echo.mjs'), '--name', 'Not_A_Name'], 7],
  ['an option that is not there', () => ['deploy', scratch.path('echo.mjs'), '--nmae', 'x'], 2],
  ['a namespace that is not there', () => ['deploy', scratch.path('echo.mjs'), '-n', 'nowhere'], 9],
];
for (const [what, args, exit] of mistakes) {
  test(`${what}: exit code ${exit} and a fix`, async () => {
    const refused = await petrel.refused(args());
    assert.equal(refused.exit, exit, JSON.stringify(refused));
    assert.notEqual(refused.fix, '');
  });
}

test('a name taken by a Service of somebody else', async () => {
  const api = await petrel.api();
  await api.create<UntypedObject>(KSERVICES, {
    apiVersion: 'serving.knative.dev/v1',
    kind: 'Service',
    metadata: { name: 'taken', namespace: 'default' },
    spec: { template: { spec: { containers: [{ image: 'petrel.dev/runtime/node' }] } } },
  });
  api.close();
  const refused = await petrel.refused(['deploy', scratch.path('echo.mjs'), '--name', 'taken']);
  assert.equal(refused.exit, 8, JSON.stringify(refused));
  assert.match(refused.fix, /--name/);
});

test('a package of 2 GB is refused before anything is uploaded', async () => {
  scratch.write({ 'huge/index.js': 'module.exports = () => {}' });
  truncateSync(scratch.path('huge/index.js'), 2 * 1024 ** 3);
  const refused = await petrel.refused(['deploy', scratch.path('huge')]);
  assert.ok(refused.exit === 5, JSON.stringify(refused));
  assert.equal((await petrel.run(['list', '-o', 'json'])).stdout.includes('"huge"'), false);
});

test('nothing of the failed deploys is left behind', async () => {
  const list = await petrel.json<{ kind: string; metadata: { name: string } }[]>(['list']);
  const functions = list.filter(({ kind }) => kind === 'Function');
  assert.deepEqual(functions.map(({ metadata }) => metadata.name).sort(), [
    'echo',
    'hello',
    'named',
    'nothing',
    'ver',
  ]);
  assert.deepEqual(readdirSync(join(petrel.home, 'packages/incoming')), []);
});
