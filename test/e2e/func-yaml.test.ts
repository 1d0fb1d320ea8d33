/** A function of Knative's `func`, deployed as it is. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import type { PetrelFunction } from '../../src/kinds/function.ts';
import { FUNCTIONS } from '../../src/kube/refs.ts';
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

test('a folder with func.yaml deploys under its name, with its variables and scale; options come first', async (t) => {
  scratch.write({
    'fn/func.yaml':
      'specVersion: 0.36.0\nname: greeter\nruntime: node\ninvoke: http\nrun:\n  envs: [{name: WHO, value: Ada}, {name: STAGE, value: test}]\ndeploy:\n  annotations: {team: red}\n  options: {scale: {max: 3, target: 40}}\n',
    'fn/package.json': '{"main":"index.js","scripts":{"test":"node --test"}}',
    'fn/index.js':
      "exports.handle = async (context, body) => ({ statusCode: 201, headers: { 'x-stage': process.env.STAGE }, body: `hello ${process.env.WHO} ${context.method}` });",
  });
  const deployed = await petrel.deploy(scratch.path('fn'), '--env', 'STAGE=prod');
  assert.equal(deployed.name, 'greeter');
  const answer = await call(platform.gateway, '/fn/default/greeter/', { method: 'POST' });
  assert.deepEqual([answer.status, answer.headers['x-stage'], answer.body], [201, 'prod', 'hello Ada POST']);
  const client = await petrel.api();
  t.after(() => client.close());
  const { metadata, spec } = await client.get<PetrelFunction>(FUNCTIONS, 'default', 'greeter');
  assert.equal(metadata.annotations?.team, 'red');
  assert.equal(metadata.annotations?.['autoscaling.knative.dev/target'], '40');
  assert.deepEqual(spec.scale, { max: 3 });
});

test('a mistake in the file is told with its place, before anything happens', async () => {
  scratch.write({ 'bad/func.yaml': 'runtime: node\nrun: {envs: [{value: x}]}\n', 'bad/index.js': '' });
  const { code, message } = await petrel.refused(['deploy', scratch.path('bad')]);
  assert.equal(code, 'InvalidArgument');
  assert.match(message, /func\.yaml: run\.envs\[0\]\.name/);
});
