import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { FunctionAlias } from '../../kinds/function.ts';
import type { Route } from '../../kinds/serving.ts';
import { FUNCTION_ALIASES, ROUTES } from '../../kube/refs.ts';
import { createWorld, until } from '../testing/world.ts';

const aliasOf = (spec: Partial<FunctionAlias['spec']>): FunctionAlias => ({
  apiVersion: 'petrel.dev/v1',
  kind: 'FunctionAlias',
  metadata: { name: 'hello-prod', namespace: 'default' },
  spec: { function: 'hello', ...spec },
});

async function started(t: import('node:test').TestContext) {
  const world = await createWorld(t);
  await world.functions.start();
  const { client } = world;
  const route = () => client.get<Route>(ROUTES, 'default', 'hello-prod').catch(() => undefined);
  const alias = () => client.get<FunctionAlias>(FUNCTION_ALIASES, 'default', 'hello-prod');
  const ready = async () => (await alias()).status?.conditions?.find(({ type }) => type === 'Ready');
  return { ...world, route, alias, ready };
}

const traffic = (route: Route) =>
  (route.spec.traffic ?? []).map(({ configurationName, revisionName, percent }) => [
    configurationName ?? revisionName,
    percent,
  ]);

test('an alias of no revision follows the newest one, and follows what it is given', async (t) => {
  const { client, route, alias } = await started(t);
  await client.create(FUNCTION_ALIASES, aliasOf({}));
  const made = await until(route, 'there is a Route');
  assert.deepEqual(traffic(made), [['hello', 100]]);
  assert.equal(made.metadata.ownerReferences?.[0]?.kind, 'FunctionAlias');
  const spec = { function: 'hello', revisionName: 'hello-00001' };
  await client.update(FUNCTION_ALIASES, {
    ...(await alias()),
    spec: { ...spec, secondary: { revisionName: 'hello-00002', percent: 10 } },
  } as FunctionAlias);
  await until(async () => {
    const now = await route();
    return now && JSON.stringify(traffic(now)) === '[["hello-00001",90],["hello-00002",10]]';
  }, 'the Route has the two revisions');
});

test("the Route's state and URL are the alias's; an older state of the Route is not", async (t) => {
  const { client, route, alias, ready } = await started(t);
  await client.create(FUNCTION_ALIASES, aliasOf({ revisionName: 'hello-00001' }));
  const made = await until(route, 'there is a Route');
  assert.equal((await until(ready, 'there is a condition')).status, 'Unknown');
  const status = (observedGeneration: number) => ({
    observedGeneration,
    url: 'http://hello-prod.default.example.com',
    conditions: [{ type: 'Ready', status: 'True' }],
  });
  await client.updateStatus(ROUTES, { ...made, status: status(made.metadata.generation ?? 1) } as never);
  await until(async () => (await ready())?.status === 'True', 'it is ready');
  assert.equal((await alias()).status?.url, 'http://hello-prod.default.example.com');
});

test("somebody else's Route of the name is left alone, and said", async (t) => {
  const { client, route, ready } = await started(t);
  const theirs = {
    apiVersion: 'serving.knative.dev/v1',
    kind: 'Route',
    metadata: { name: 'hello-prod', namespace: 'default' },
  };
  await client.create<Route>(ROUTES, { ...theirs, spec: { traffic: [] } } as Route);
  await client.create(FUNCTION_ALIASES, aliasOf({}));
  const condition = await until(async () => {
    const found = await ready();
    return found?.reason === 'NotOwned' && found;
  }, 'it says so');
  assert.match(condition.message ?? '', /kubectl delete routes.serving.knative.dev hello-prod/);
  assert.deepEqual((await route())?.spec.traffic, []);
});

test('a Route that was deleted comes back', async (t) => {
  const { client, route } = await started(t);
  await client.create(FUNCTION_ALIASES, aliasOf({}));
  const { uid } = (await until(route, 'there is a Route')).metadata;
  await client.delete(ROUTES, 'default', 'hello-prod');
  await until(async () => {
    const found = await route();
    return found !== undefined && found.metadata.uid !== uid;
  }, 'there is another');
});
