/** Programs, YAML and traffic from the command line, on a real platform. */
import assert from 'node:assert/strict';
import { chmodSync } from 'node:fs';
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

const get = async (name: string, options: { namespace?: string; headers?: Record<string, string> } = {}) => {
  const { namespace = 'default', ...rest } = options;
  return (await call(platform.gateway, `/fn/${namespace}/${name}/`, rest)).body;
};
interface View {
  followsLatest: boolean;
  traffic: { revision: string; percent: number; tag: string | null; latest: boolean; url: string | null }[];
}
const split = ({ traffic }: View) =>
  traffic.map(({ revision, percent, tag }) => `${revision}=${percent}${tag ? `#${tag}` : ''}`).join(' ');
const version = (text: string) => {
  scratch.write({ 'web.ts': `export default { fetch: () => new Response('${text}') };` });
  return scratch.path('web.ts');
};

test('a program: a Procfile, a command, an executable', async () => {
  await petrel.deploy(join(ROOT, 'examples/program'));
  assert.equal(await get('program'), 'Hello from a program, /\n');
  scratch.write({
    'site/s.py': `import os, sys
from http.server import BaseHTTPRequestHandler, HTTPServer
class H(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(("%s in %s" % (os.environ["NAME"], os.path.basename(os.getcwd()) != "")).encode())
HTTPServer(("127.0.0.1", int(sys.argv[1])), H).serve_forever()
`,
  });
  await petrel.deploy(scratch.path('site'), '--command', 'python3 s.py $PORT', '--env', 'NAME=Ada');
  assert.equal(await get('site'), 'Ada in True');
  const list = await petrel.run(['list']);
  assert.match(list.stdout, /^site +program +True/m);
  scratch.write({ 'bin/tool': '#!/bin/sh\nexec python3 -c "$CODE"\n' });
  chmodSync(scratch.path('bin/tool'), 0o755);
  const code =
    'import os, http.server as h; h.ThreadingHTTPServer(("127.0.0.1", int(os.environ["PORT"])), h.SimpleHTTPRequestHandler).serve_forever()';
  await petrel.deploy(scratch.path('bin'), '--name', 'tool', '--env', `CODE=${code}`);
  assert.match(await get('tool'), /tool/);
});

test('a program that does not start is told in its own words', async () => {
  const broken = await petrel.refused([
    'deploy',
    scratch.path('site'),
    '--name',
    'broken',
    '--command',
    './nope --x',
  ]);
  assert.equal(broken.code, 'LoadError');
  assert.match(broken.message, /nope/);
});

test('YAML: several documents, applied twice, waited for', async () => {
  const yaml = (greeting: string) => `apiVersion: serving.knative.dev/v1
kind: Service
metadata: {name: greeter, namespace: shop}
spec:
  template:
    spec:
      containers:
      - image: petrel.dev/host
        command: [${process.execPath}, -e]
        args: ["require('node:http').createServer((q, r) => r.end(process.env.GREETING)).listen(process.env.PORT, '127.0.0.1')"]
        env: [{name: GREETING, value: ${greeting}}]
        envFrom: [{configMapRef: {name: conf}}]
---
apiVersion: v1
kind: ConfigMap
metadata: {name: conf, namespace: shop}
data: {A: b}
---
apiVersion: v1
kind: Namespace
metadata: {name: shop}
`;
  scratch.write({ 'all.yaml': yaml('hello') });
  interface Row {
    kind: string;
    outcome: string;
    url: string | null;
    ready: boolean;
  }
  const deploy = () => petrel.json<Row[]>(['deploy', scratch.path('all.yaml')]);
  const outcomes = (rows: Row[]) => rows.map(({ kind, outcome }) => `${kind} ${outcome}`);
  const first = await deploy();
  assert.deepEqual(outcomes(first), ['Namespace created', 'ConfigMap created', 'Service created']);
  assert.equal(first[2]?.ready, true);
  assert.match(first[2]?.url ?? '', /^http:\/\/greeter\.shop\.localhost:/);
  assert.equal(await get('greeter', { namespace: 'shop' }), 'hello');
  assert.deepEqual(outcomes(await deploy()), [
    'Namespace unchanged',
    'ConfigMap unchanged',
    'Service unchanged',
  ]);
  const stdin = await petrel.run(['deploy', '-', '-o', 'json'], { input: yaml('bye') });
  assert.equal(stdin.code, 0, stdin.stdout + stdin.stderr);
  assert.deepEqual(outcomes(JSON.parse(stdin.stdout)), [
    'Namespace unchanged',
    'ConfigMap unchanged',
    'Service configured',
  ]);
  assert.equal(await get('greeter', { namespace: 'shop' }), 'bye');
  assert.match((await petrel.run(['describe', 'greeter', '-n', 'shop'])).stdout, /greeter-00002 +True/);
  await petrel.json(['delete', 'greeter', '-n', 'shop']);
  await eventually(
    'the route is gone',
    async () => (await call(platform.gateway, '/fn/shop/greeter/')).status === 404,
  );
});

test('what is wrong with YAML is told with its place, before anything is written', async () => {
  scratch.write({
    'kind.yaml':
      'apiVersion: v1\nkind: ConfigMap\nmetadata: {name: first}\n---\napiVersion: v1\nkind: Secrt\nmetadata: {name: x}\n',
    'bad.yaml':
      'apiVersion: serving.knative.dev/v1\nkind: Service\nmetadata: {name: bad}\nspec: {template: {spec: {containers: [{image: x, nope: 1}]}}}\n',
  });
  const kind = await petrel.refused(['deploy', scratch.path('kind.yaml')]);
  assert.match(`${kind.message} ${kind.fix}`, /no kind Secrt.*did you mean Secret\?/);
  const bad = await petrel.refused(['deploy', scratch.path('bad.yaml')]);
  assert.match(bad.message, /bad\.yaml: Service bad: .*nope/s);
  assert.match((await petrel.refused(['deploy', scratch.path('bad.yaml'), '--env', 'A=b'])).message, /--env/);
  const api = await petrel.api();
  const { items } = await api.list(
    { group: '', version: 'v1', plural: 'configmaps', kind: 'ConfigMap', namespaced: true },
    { namespace: 'default' },
  );
  assert.ok(!items.some(({ metadata }) => metadata.name === 'first'));
  api.close();
});

test('traffic: moved, tagged, rolled back, and given to the latest again', async () => {
  for (const text of ['v1', 'v2', 'v3']) await petrel.deploy(version(text), '--name', 'web');
  assert.equal(await get('web'), 'v3');
  const rolled = await petrel.json<View>(['rollback', 'web']);
  assert.equal(split(rolled), 'web-00002=100');
  assert.equal(rolled.followsLatest, false);
  assert.equal(await get('web'), 'v2');
  assert.equal(await petrel.json<View>(['rollback', 'web']).then(split), 'web-00001=100');
  assert.match((await petrel.refused(['rollback', 'web'])).message, /no earlier revision/);
  const shared = await petrel.json<View>(['traffic', 'web', '--to', '2=30,latest=20', '--tag', 'old=1']);
  assert.deepEqual(split(shared).split(' ').sort(), ['web-00001=50#old', 'web-00002=30', 'web-00003=20']);
  assert.equal(await get('web', { headers: { 'Knative-Serving-Tag': 'old' } }), 'v1');
  assert.equal(await get('old-web'), 'v1');
  const latest = await petrel.json<View>(['traffic', 'web', '--to', 'latest', '--remove-tag', 'old']);
  assert.equal(split(latest), 'web-00003=100');
  assert.equal(latest.followsLatest, true);
  assert.match(
    (await petrel.refused(['traffic', 'web', '--to', 'web-0002'])).fix,
    /did you mean web-00002\?/,
  );
  assert.match((await petrel.refused(['traffic', 'wbe'])).fix, /did you mean web\?/);
});

test('a deploy after a rollback says that it gets nothing, and how it would', async () => {
  await petrel.json(['traffic', 'web', '--to', '1']);
  const { stderr } = await petrel.run(['deploy', version('v4'), '--name', 'web']);
  assert.match(stderr, /It gets 0 % of the requests[\s\S]*petrel traffic web --to latest/);
  assert.equal(await get('web'), 'v1');
  await petrel.json(['traffic', 'web', '--to', 'latest']);
  assert.equal(await get('web'), 'v4');
});

test('blue/green: deployed beside, promoted in one command', async () => {
  const green = await petrel.deploy(
    version('green'),
    '--name',
    'web',
    '--no-traffic',
    '--tag',
    'green',
    '--revision-name',
    'web-green',
  );
  assert.equal(green.revision, 'web-green');
  assert.equal(await get('web'), 'v4');
  assert.equal(await get('green-web'), 'green');
  await petrel.json(['traffic', 'web', '--promote', 'green']);
  assert.equal(await get('web'), 'green');
  const revisions = await petrel.json<{ name: string; percent: number; tags: string[] }[]>([
    'revisions',
    'web',
  ]);
  assert.deepEqual(
    revisions.map(({ name, percent, tags }) => [name, percent, tags.join()]),
    [
      ['web-green', 100, 'green'],
      ['web-00004', 0, ''],
      ['web-00003', 0, ''],
      ['web-00002', 0, ''],
      ['web-00001', 0, ''],
    ],
  );
  assert.match(
    (await petrel.refused(['deploy', version('x'), '--name', 'fresh', '--no-traffic'])).message,
    /no revision yet/,
  );
});

test('scale: at once, and without a new revision', async () => {
  const replicas = async () => {
    const { revisions } = await petrel.json<{ revisions: { name: string; replicas: number }[] }>([
      'scale',
      'web',
    ]);
    return revisions.find(({ name }) => name === 'web-green')?.replicas ?? 0;
  };
  await petrel.json(['scale', 'web', '--min', '2']);
  await eventually('two instances', async () => (await replicas()) >= 2);
  const revisions = await petrel.json<unknown[]>(['revisions', 'web']);
  assert.equal(revisions.length, 5);
  const { settings } = await petrel.json<{ settings: Record<string, unknown> }>([
    'scale',
    'web',
    '--min',
    'none',
  ]);
  assert.deepEqual(settings, {});
  assert.match((await petrel.refused(['scale', 'web', '--min', 'two'])).fix, /for example --min 1/);
});
