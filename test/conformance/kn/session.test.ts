/** A working day with the real `kn`: everything that it can do with services, revisions, routes and domains, against a platform. */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { call, eventually, Petrel, Scratch, type Status } from '../../lib/platform.ts';
import { findCommand, RealCommand } from '../../lib/real-command.ts';

const KN = findCommand('kn');
const MISSING = 'no kn on PATH; github.com/knative/client has releases, and $KN may name one';
const PROGRAM = `require('node:http')
  .createServer((request, response) => response.end(process.env.K_REVISION + ' ' + (process.env.WHO ?? '')))
  .listen(process.env.PORT, '127.0.0.1');`;

describe('kn session', { skip: KN === undefined ? MISSING : false }, () => {
  const scratch = new Scratch();
  const petrel = new Petrel(scratch.path('h'));
  let platform: Status;

  before(async () => {
    if (KN !== undefined) platform = await petrel.up();
  });
  after(async () => {
    if (KN !== undefined) await petrel.stop();
    scratch.dispose();
  });

  const { ok: kn, refused } = new RealCommand(
    'kn',
    KN ?? '',
    () => ({ cwd: scratch.dir, env: { HOME: scratch.dir, KUBECONFIG: platform.kubeconfig } }),
    () => petrel.log(),
  );
  const json = async <T>(...args: string[]): Promise<T> => JSON.parse(await kn(...args, '-o', 'json')) as T;
  const answer = async (name: string, host?: string) => {
    const options = host === undefined ? {} : { host };
    const path = host === undefined ? `/fn/default/${name}/` : '/';
    return (await call(platform.gateway, path, options)).body.trim();
  };
  const source = ['--image', 'petrel.dev/host', '--cmd', process.execPath, '--arg', '-e', '--arg', PROGRAM];

  test('version', async () => {
    assert.match(await kn('version'), /serving\.knative\.dev\/v1 /);
  });

  test('service create: waits, tells how it goes, prints the URL', async () => {
    const out = await kn('service', 'create', 'web', ...source, '--env', 'WHO=a', '--wait-timeout', '30');
    assert.match(out, /Creating service 'web' in namespace 'default':/);
    assert.match(out, /Ready to serve\./);
    assert.match(out, /Service 'web' created to latest revision 'web-00001' is available at URL:/);
    assert.ok(out.includes(`http://web.default.localhost:${platform.gateway.split(':')[1]}`), out);
    assert.equal(await answer('web'), 'web-00001 a');
  });

  test('service create: an existing name, an impossible one, and one that does not start are refused with the reason', async () => {
    assert.match(await refused('service', 'create', 'web', ...source), /'web'.*already exists/);
    assert.match(
      await refused('service', 'create', 'Web', ...source),
      /not a DNS 1035 label|RFC 1123|invalid/i,
    );
    const broken = ['--image', 'petrel.dev/host', '--cmd', '/bin/false', '--wait-timeout', '30'];
    assert.match(await refused('service', 'create', 'broken', ...broken), /RevisionFailed.*broken-00001/s);
    await kn('service', 'delete', 'broken', '--wait');
  });

  test('service list and describe', async () => {
    assert.match(await kn('service', 'list'), /^web +http:\S+ +web-00001 +\S+ +3 OK \/ 3 +True/m);
    const text = await kn('service', 'describe', 'web');
    assert.match(text, /URL: +http:\/\/web\.default/);
    assert.match(text, /100% +@latest \(web-00001\)/);
    assert.match(text, /\+\+ Ready/);
    assert.equal(
      await kn('service', 'describe', 'web', '-o', 'url'),
      `${(await json<{ status: { url: string } }>('service', 'describe', 'web')).status.url}\n`,
    );
    const list = await json<{ items: { metadata: { name: string } }[] }>('service', 'list');
    assert.deepEqual(
      list.items.map(({ metadata }) => metadata.name),
      ['web'],
    );
    assert.match(
      await refused('service', 'describe', 'nope'),
      /services\.serving\.knative\.dev "nope" not found/,
    );
  });

  test('service update: environment, resources, labels and annotations make a revision', async () => {
    const out = await kn(
      ...['service', 'update', 'web', '--env', 'WHO=b', '--label', 'team=x', '--annotation', 'note=y'],
      ...['--concurrency-limit', '5', '--timeout', '60', '--limit', 'memory=256Mi'],
    );
    assert.match(out, /Service 'web' updated to latest revision 'web-00002'/);
    assert.equal(await answer('web'), 'web-00002 b');
    const text = await kn('revision', 'describe', 'web-00002');
    assert.match(text, /Env: +WHO=b/);
    assert.match(text, /Service: +web/);
  });

  test('service update: scale, and the flags for it', async () => {
    await kn(
      ...['service', 'update', 'web', '--scale', '1..3', '--scale-target', '20', '--scale-window', '10s'],
      ...['--scale-utilization', '60', '--scale-init', '1', '--scale-metric', 'concurrency'],
    );
    assert.match(await kn('revision', 'describe', 'web-00003'), /Scale: +1 \.\.\. 3/);
    assert.match(await refused('service', 'update', 'web', '--scale', '3..1'), /min|max|between|less/i);
    await eventually('one instance', async () =>
      /Replicas: +1\/1/.test(await kn('revision', 'describe', 'web-00003')),
    );
  });

  test('service update: traffic and tags, without a new revision', async () => {
    await kn(
      'service',
      'update',
      'web',
      '--traffic',
      'web-00001=100',
      '--tag',
      'web-00001=old',
      '--tag',
      '@latest=new',
    );
    assert.equal(await answer('web'), 'web-00001 a');
    const port = platform.gateway.split(':')[1];
    assert.equal(await answer('web', `new-web.default.localhost:${port}`), 'web-00003 b');
    assert.match(await kn('service', 'describe', 'web'), /100% +web-00001 #old/);
    assert.match(await kn('route', 'describe', 'web'), /#old\s+URL: +http:\/\/old-web\.default/);
    await kn('service', 'update', 'web', '--untag', 'old', '--untag', 'new', '--traffic', '@latest=100');
    assert.equal(await answer('web'), 'web-00003 b');
    assert.match(
      await refused('service', 'update', 'web', '--traffic', 'web-00001=50'),
      /remaining traffic|100/,
    );
    assert.match(
      await refused('service', 'update', 'web', '--traffic', 'web-00009=100', '--wait-timeout', '5'),
      /web-00009/,
    );
    await kn('service', 'update', 'web', '--traffic', '@latest=100');
  });

  test('service update: a revision with a name of one’s own', async () => {
    await kn('service', 'update', 'web', '--revision-name', 'web-blue', '--env', 'WHO=blue');
    assert.equal(await answer('web'), 'web-blue blue');
    await kn('service', 'update', 'web', '--revision-name', 'web-green', '--env', 'WHO=c');
    assert.equal(await answer('web'), 'web-green c');
  });

  test('revision list, describe and delete', async () => {
    const list = await kn('revision', 'list', '-s', 'web');
    assert.match(list, /^web-green +web +100% +5 +\S+ +[34] OK \/ 4 +True/m);
    for (const name of ['web-blue', 'web-00003', 'web-00002', 'web-00001'])
      assert.match(list, new RegExp(`^${name} `, 'm'));
    assert.match(await kn('revision', 'delete', 'web-00002', '--wait'), /Revision 'web-00002' deleted/);
    assert.doesNotMatch(await kn('revision', 'list', '-s', 'web'), /web-00002/);
    assert.match(await refused('revision', 'describe', 'web-00002'), /not found/);
  });

  test('route list and describe', async () => {
    assert.match(await kn('route', 'list'), /^web +http:\S+ +True/m);
    assert.match(await kn('route', 'describe', 'web'), /100% +@latest \(web-green\)/);
  });

  test('service apply: creates, changes, leaves alone', async () => {
    const declared = (who: string) => ['service', 'apply', 'applied', ...source, '--env', `WHO=${who}`];
    assert.match(await kn(...declared('a')), /'applied-00001'/);
    assert.match(await kn(...declared('a')), /unchanged|No changes/);
    assert.match(await kn(...declared('b')), /'applied-00002'/);
    assert.equal(await answer('applied'), 'applied-00002 b');
  });

  test('from and to files: --filename, export, import', async () => {
    const yaml = await kn('service', 'export', 'applied', '--mode', 'replay', '-o', 'yaml');
    assert.match(yaml, /^kind: Service$/m);
    scratch.write({ 'applied.yaml': yaml });
    await kn('service', 'delete', 'applied', '--wait');
    assert.match(await kn('service', 'create', 'applied', '--filename', 'applied.yaml'), /'applied-00001'/);
    assert.match(
      await kn('service', 'apply', 'applied', '--filename', 'applied.yaml'),
      /unchanged|No changes|applied/,
    );
    assert.equal(await answer('applied'), 'applied-00001 b');
    const exported = await kn(
      'service',
      'export',
      'web',
      '--with-revisions',
      '--mode',
      'export',
      '-o',
      'yaml',
    );
    scratch.write({ 'web.yaml': exported });
    await kn('service', 'delete', 'web', '--wait');
    assert.match(await kn('service', 'import', 'web.yaml', '--wait'), /Service 'web' imported/);
    assert.equal(await answer('web'), 'web-green c');
  });

  test('domain create, list, describe, update and delete', async () => {
    await kn('domain', 'create', 'shop.example.com', '--ref', 'web');
    await eventually('the mapping', async () =>
      /^shop\.example\.com +http:\S+ +True +web$/m.test(await kn('domain', 'list')),
    );
    assert.equal(await answer('web', 'shop.example.com'), 'web-green c');
    assert.match(await kn('domain', 'describe', 'shop.example.com'), /\+\+ Ready/);
    await kn('domain', 'update', 'shop.example.com', '--ref', 'applied');
    await eventually(
      'the other service',
      async () => (await answer('applied', 'shop.example.com')) === 'applied-00001 b',
    );
    await kn('domain', 'delete', 'shop.example.com');
    await eventually(
      'the host is unknown',
      async () => (await call(platform.gateway, '/', { host: 'shop.example.com' })).status === 404,
    );
  });

  test('service delete: one, and all', async () => {
    assert.match(
      await kn('service', 'delete', 'applied', '--wait'),
      /Service 'applied' successfully deleted/,
    );
    assert.match(await refused('service', 'delete', 'applied'), /not found/);
    await kn('service', 'delete', '--all', '--wait');
    assert.match(await kn('service', 'list'), /No services found/);
    assert.equal((await call(platform.gateway, '/fn/default/web/')).status, 404);
  });
});
