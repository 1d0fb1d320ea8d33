/** Images: from a registry, and as a deploy has written them on this machine. */
import assert from 'node:assert/strict';
import { basename, dirname } from 'node:path';
import { after, before, type TestContext, test } from 'node:test';
import { startRegistry } from '../../src/functions/testing/registry.ts';
import type { Pod } from '../../src/kinds/pod.ts';
import type { Revision, Service } from '../../src/kinds/serving.ts';
import { KSERVICES, PODS, REVISIONS } from '../../src/kube/refs.ts';
import { folders, programs, pushImage } from '../lib/images.ts';
import { call, eventually, Petrel, Scratch, type Status } from '../lib/platform.ts';

const scratch = new Scratch();
const petrel = new Petrel(scratch.path('h'));
let platform: Status;
let api: Awaited<ReturnType<Petrel['api']>>;
before(async () => {
  platform = await petrel.up();
  api = await petrel.api();
});
after(async () => {
  api?.close();
  await petrel.stop();
  scratch.dispose();
});

/** Runs the command, which has to succeed. */
async function ok(...args: string[]) {
  const done = await petrel.run(args);
  assert.equal(done.code, 0, `petrel ${args.join(' ')}: ${done.stderr}`);
  return done;
}

const SERVER = `import { existsSync } from 'node:fs';
import { createServer } from 'node:http';
const where = existsSync('/usr/share') ? 'on the machine' : 'in the image';
const server = createServer((_, response) => response.end(\`\${process.env.WHO} \${process.env.K_SERVICE} \${where}\`));
server.listen(process.env.PORT);
process.on('SIGTERM', () => server.close());
`;
const NODE = process.execPath;

/** A registry with an image of Node and a shell, or why there is none. */
async function world(t: TestContext) {
  const files = programs('/bin/sh', NODE);
  if (!files) return void t.skip('this machine has no /bin/sh to make an image of');
  const registry = await startRegistry(t);
  const layer = [...folders('bin', 'tmp'), ...files];
  const env = [`PATH=${dirname(NODE)}:/bin`, 'WHO=nobody'];
  return { registry, layer, env };
}

test('an image answers; what an earlier deploy said of it stays; a mistake is told', async (t) => {
  const w = await world(t);
  if (!w) return;
  const { registry, layer, env } = w;
  const server = [{ name: 'srv/server.mjs', body: SERVER }];
  const config = { Entrypoint: [basename(NODE), '/srv/server.mjs'], Env: env };
  const { reference, digest } = pushImage(registry, 'team/shop:latest', [layer, server], config);
  const first = await ok('deploy', `oci://${reference}`, '--env', 'WHO=ada', '--max', '3', '-o', 'json');
  assert.match(JSON.parse(first.stdout).url, /shop\.default/);
  assert.equal(
    (await call(platform.gateway, '/', { host: 'shop.default.localhost' })).body,
    'ada shop in the image',
  );
  const url = { host: 'shop.default.localhost' };
  await eventually('the image of the first revision is settled', async () => {
    const { status } = await api.get<Revision>(REVISIONS, 'default', 'shop-00001');
    return status?.containerStatuses?.[0]?.imageDigest?.includes(digest);
  });
  const newer = [{ name: 'srv/server.mjs', body: SERVER.replace('process.env.WHO', "'new'") }];
  pushImage(registry, 'team/shop:latest', [layer, newer], config);
  for (const { metadata } of (await api.list<Pod>(PODS, { namespace: 'default' })).items)
    await api.delete(PODS, 'default', metadata.name);
  assert.equal(
    (await call(platform.gateway, '/', url)).body,
    'ada shop in the image',
    'a revision does not change',
  );
  await ok('deploy', `docker://${reference}`, '--concurrency', '7');
  assert.equal(
    (await call(platform.gateway, '/', url)).body,
    'new shop in the image',
    'a new one begins anew',
  );
  const { spec } = await api.get<Service>(KSERVICES, 'default', 'shop');
  assert.equal(spec.template.spec.containerConcurrency, 7);
  assert.equal(
    spec.template.spec.containers[0]?.resources?.limits?.memory,
    '1Gi',
    'bounded, as all functions',
  );
  assert.deepEqual(spec.template.spec.containers[0]?.env, [{ name: 'WHO', value: 'ada' }]);
  assert.equal(spec.template.metadata?.annotations?.['autoscaling.knative.dev/max-scale'], '3');
  const option = await petrel.run(['deploy', `oci://${reference}`, '--entry', 'x.ts']);
  assert.match(option.stderr, /--entry does not go with an image/);
  const { stdout } = await ok('list');
  assert.match(stdout, /shop\s.*team\/shop/, 'the list says what runs');
  scratch.write({ 'code.mjs': "export default { fetch: () => new Response('code again') };" });
  await ok('deploy', scratch.path('code.mjs'), '--name', 'shop');
  assert.equal((await call(platform.gateway, '/', url)).body, 'code again');
  await ok('deploy', `oci://${reference}`);
  assert.equal((await call(platform.gateway, '/', url)).body, 'new shop in the image');
  const absent = await petrel.run(['deploy', `oci://${registry.host}/team/absent:9`]);
  assert.notEqual(absent.code, 0);
  assert.match(absent.stderr, /there is no image/);
});

test('an image that a deploy has written on this machine runs on it', async (t) => {
  const w = await world(t);
  if (!w) return;
  const { reference: base } = pushImage(w.registry, 'base:22', [w.layer], { Env: w.env });
  scratch.write({ 'site/server.mjs': SERVER, 'site/Procfile': 'web: node server.mjs\n' });
  await ok('deploy', scratch.path('site'), '--image', 'site:1', '--base', base);
  await ok('deploy', 'oci://petrel.local/site:1', '--name', 'again', '--env', 'WHO=bob');
  const answer = await call(platform.gateway, '/', { host: 'again.default.localhost' });
  assert.equal(answer.body, 'bob again in the image');
});
