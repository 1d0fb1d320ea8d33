import assert from 'node:assert/strict';
import { test } from 'node:test';
import { openApiIndex, openApiV3 } from './openapi.ts';
import { builtinRegistry } from './registry.ts';

const registry = builtinRegistry();
// biome-ignore lint/suspicious/noExplicitAny: a document of another's schema
const document = (groupVersion: string): any => JSON.parse(openApiV3(registry, groupVersion) ?? 'null');

test('the index names every group version, and its hash follows the content', () => {
  const { paths } = openApiIndex(registry);
  for (const path of ['api/v1', 'apis/apps/v1', 'apis/petrel.dev/v1', 'apis/serving.knative.dev/v1']) {
    assert.match(
      paths[path]?.serverRelativeURL ?? '',
      new RegExp(`^/openapi/v3/${path}\\?hash=[0-9A-F]{32}$`),
    );
  }
  assert.deepEqual(openApiIndex(builtinRegistry()), openApiIndex(registry));
  assert.equal(openApiV3(registry, 'nothing/v1'), undefined);
});

test('every PATCH lists what kubectl looks for', () => {
  for (const groupVersion of ['v1', 'apps/v1', 'petrel.dev/v1']) {
    const kinds = new Set();
    for (const path of Object.values<Record<string, never>>(document(groupVersion).paths)) {
      // biome-ignore lint/suspicious/noExplicitAny: a document of another's schema
      const patch: any = path.patch;
      if (patch === undefined) continue;
      kinds.add(patch['x-kubernetes-group-version-kind'].kind);
      const names = patch.parameters.map((p: { name: string }) => p.name);
      assert.ok(names.includes('fieldValidation') && names.includes('dryRun'));
    }
    for (const r of registry.all) {
      if ((r.group === '' ? r.version : `${r.group}/${r.version}`) === groupVersion)
        assert.ok(kinds.has(r.kind), r.kind);
    }
  }
});

test('schemas carry kinds, merge keys, list types and descriptions', () => {
  const { schemas } = document('v1').components;
  assert.deepEqual(schemas['io.k8s.api.core.v1.Pod']['x-kubernetes-group-version-kind'], [
    { group: '', version: 'v1', kind: 'Pod' },
  ]);
  const { containers } = schemas['io.k8s.api.core.v1.PodSpec'].properties;
  assert.equal(containers['x-kubernetes-patch-merge-key'], 'name');
  assert.equal(containers['x-kubernetes-patch-strategy'], 'merge');
  assert.deepEqual(containers['x-kubernetes-list-map-keys'], ['name']);
  assert.match(containers.description, /^List of containers/);
  assert.ok(schemas['io.k8s.api.core.v1.PodSpec'].required.includes('containers'));
  assert.match(schemas['io.k8s.api.core.v1.Volume'].properties.configMap.description, /configMap/);
});

test('every reference resolves', () => {
  for (const groupVersion of new Set(
    registry.all.map((r) => (r.group === '' ? r.version : `${r.group}/${r.version}`)),
  )) {
    const text = openApiV3(registry, groupVersion) ?? '';
    const { schemas } = JSON.parse(text).components;
    for (const [, name] of text.matchAll(/"#\/components\/schemas\/([^"]+)"/g)) {
      assert.ok(Object.hasOwn(schemas, name ?? ''), `${groupVersion}: ${name}`);
    }
  }
});
