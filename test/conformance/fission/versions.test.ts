/** `versioning.mode: auto`: a version for each change that tells, kept as long as the function says and an alias has it. */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { after, before, describe, test } from 'node:test';
import { eventually, Petrel, Scratch, type Status } from '../../lib/platform.ts';
import { FissionCli, type Json, literal } from './cli.ts';

const says = (word: string) => `module.exports = async () => ({ status: 200, body: '${word}' });`;
const digestOf = (code: string) => `sha256:${createHash('sha256').update(code).digest('hex')}`;

describe('versions that are published by themselves', () => {
  const scratch = new Scratch();
  const petrel = new Petrel(scratch.path('h'));
  let platform: Status;
  let fission: FissionCli;
  before(async () => {
    platform = await petrel.up();
    fission = await FissionCli.open(petrel, platform);
    await fission.envCreate('nodejs', 'ghcr.io/fission/node-env');
  });
  after(async () => {
    fission?.close();
    await petrel.stop();
    scratch.dispose();
  });
  const versions = async (name: string): Promise<Json[]> =>
    (await fission.list('functionversions')).body.items
      .filter(({ spec }: Json) => spec.functionName === name)
      .sort((a: Json, b: Json) => a.spec.sequence - b.spec.sequence);
  const names = async (name: string) => (await versions(name)).map(({ metadata }) => metadata.name);
  const published = (name: string, expected: string[]) =>
    eventually(`versions ${expected.join(', ')} of ${name}`, async () => {
      const there = await names(name);
      if (there.join() === expected.join()) return true;
      throw new Error(there.join());
    });
  const code = (name: string, word: string) =>
    fission.update('packages', `${name}-pkg`, (pkg) => {
      pkg.spec.deployment = literal(says(word));
    });
  const answer = async (path: string) => (await fission.visit(path)).body;

  test('fn create --versioning auto, fn update --code: each code is a version, served as it was', async () => {
    await fission.fnCreate('auto', 'nodejs', says('one'), { versioning: { mode: 'auto', retain: 2 } });
    await published('auto', ['auto-v1']);
    await code('auto', 'two');
    await published('auto', ['auto-v1', 'auto-v2']);
    const [first, second] = await versions('auto');
    const fn = (await fission.get('functions', 'auto')).body;
    assert.deepEqual(
      [first.spec.packageDigest, second.spec.packageDigest],
      [digestOf(says('one')), digestOf(says('two'))],
    );
    assert.equal(first.spec.functionUID, fn.metadata.uid);
    assert.equal(first.spec.envRuntimeImage, 'ghcr.io/fission/node-env');
    assert.equal(first.spec.snapshot.versioning, undefined);
    assert.equal(first.spec.snapshot.package.packageref.name, 'auto-v1-pkg');
    assert.equal(first.metadata.ownerReferences[0].uid, fn.metadata.uid);
    assert.equal(first.metadata.labels['fission.io/function-name'], 'auto');
    const pods = async (version: string) => {
      const selector = encodeURIComponent(`fission.io/function-version=${version}`);
      return (await fission.request('GET', `/api/v1/namespaces/default/pods?labelSelector=${selector}`)).body
        .items.length;
    };
    await eventually('the second', async () => (await answer('/fission-function/auto:auto-v2')) === 'two');
    await eventually('its instance', async () => (await pods('auto-v2')) === 1);
    assert.equal(await pods('auto-v1'), 0, 'who is not called has no instance');
    await eventually('the first', async () => (await answer('/fission-function/auto:auto-v1')) === 'one');
  });

  test('what no caller notices makes no version; what an alias has stays, the rest goes', async () => {
    await fission.create('FunctionAlias', 'functionaliases', 'stable', {
      functionName: 'auto',
      packageDigest: digestOf(says('one')),
    });
    const alias = await fission.wait('functionaliases', 'stable', 'Resolved');
    assert.equal(alias.status.resolvedVersion, 'auto-v1');
    await fission.update('functions', 'auto', (fn) => {
      fn.spec.idletimeout = 300;
    });
    await fission.update('functions', 'auto', (fn) => {
      fn.spec.env = [{ name: 'A', value: '1' }];
    });
    await published('auto', ['auto-v1', 'auto-v2', 'auto-v3']);
    await code('auto', 'four');
    // Two are kept, and the one that the alias has.
    await published('auto', ['auto-v1', 'auto-v3', 'auto-v4']);
    await eventually(
      'its package goes with it',
      async () => (await fission.get('packages', 'auto-v2-pkg')).code === 404,
    );
    assert.equal(await answer('/fission-function/auto:stable'), 'one');
    const { body } = await fission.get('functionaliases', 'stable');
    assert.equal(body.metadata.ownerReferences[0].name, 'auto', 'the alias goes with its function');
  });

  test('an Environment that changes after the publication is told at the alias', async () => {
    await fission.wait('functionaliases', 'stable', 'EnvDrift', 'False');
    await fission.update('environments', 'nodejs', (env) => {
      env.spec.runtime.image = 'ghcr.io/fission/node-env-22';
    });
    const { status } = await eventually('the drift', async () => {
      const { body } = await fission.get('functionaliases', 'stable');
      return body.status.conditions.some((c: Json) => c.type === 'EnvDrift' && c.status === 'True') && body;
    });
    assert.match(JSON.stringify(status.conditions), /EnvGenerationDrift.*node-env-22/);
  });

  test("calls are counted under Fission's names, a version's as its own", async () => {
    await fission.routeCreate('counted', {
      relativeurl: '/counted',
      methods: ['GET'],
      functionref: { type: 'name', name: 'auto' },
    });
    await fission.wait('httptriggers', 'counted', 'Ready');
    for (const path of ['/counted', '/counted', '/fission-function/auto:auto-v1']) await answer(path);
    const own = 'function_namespace="default",function_name="auto"';
    await eventually('the counts', async () => {
      const text = await petrel.metrics();
      const value = (name: string, labels: string) =>
        Number(
          text
            .split('\n')
            .find((line) => line.startsWith(`${name}{${labels}} `))
            ?.split(' ')
            .at(-1),
        );
      const trigger = `${own},path="/counted",method="GET",code="200"`;
      const version = `${own},function_version="auto-v1",path="",method="GET",code="200"`;
      return (
        value('fission_function_calls_total', trigger) === 2 &&
        value('fission_function_calls_total', version) >= 2 &&
        value('fission_function_overhead_seconds_count', trigger) === 2 &&
        value('fission_function_cold_starts_total', 'function_name="auto",function_namespace="default"') >=
          0 &&
        value('fission_router_routes', 'listener="public"') === 1
      );
    });
  });

  test('versioning manual: nothing is published; retention counts all the same', async () => {
    await fission.fnCreate('hand', 'nodejs', says('one'), { versioning: { mode: 'manual' } });
    await fission.wait('functions', 'hand', 'Ready');
    await fission.update('functions', 'hand', (fn) => {
      fn.spec.versioning = { mode: 'auto' };
    });
    await published('hand', ['hand-v1']);
    await fission.update('functions', 'hand', (fn) => {
      fn.spec.versioning = { mode: 'manual' };
    });
    await code('hand', 'two');
    await eventually('the code', async () => (await answer('/fission-function/hand')) === 'two');
    assert.deepEqual(await names('hand'), ['hand-v1']);
    await fission.delete('functions', 'hand');
    await published('hand', []);
  });
});
