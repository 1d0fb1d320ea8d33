/** Knative Serving API v1, as its conformance suite sees it: files that come from ConfigMaps, Secrets and tokens. */

import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { CONFIGMAPS, SECRETS } from '../../../../src/kube/refs.ts';
import { assertControlPlane } from '../checks.ts';
import { type Cluster, nameOf, suite, type Template } from '../cluster.ts';

/** Where the program looks for what it is to say: `/hello/world`. */
const DIRECTORY = '/hello';
const KEY = 'world';

interface Mounted extends Template {
  container: { volumeMounts: Record<string, unknown>[] };
  spec: { volumes: Record<string, unknown>[] };
}

const mounted = (
  volume: Record<string, unknown>,
  mount: Record<string, unknown> = { mountPath: DIRECTORY },
): Mounted => ({
  container: { volumeMounts: [{ name: 'projectedv', ...mount }] },
  spec: { volumes: [{ name: 'projectedv', ...volume }] },
});

/** The same with a volume, at another place, of something that is not there and need not be. */
function withOptional({ container, spec }: Mounted, absent: Record<string, unknown>): Template {
  return {
    container: { volumeMounts: [...container.volumeMounts, { name: 'blah', mountPath: '/does/not/matter' }] },
    spec: { volumes: [...spec.volumes, { name: 'blah', ...absent }] },
  };
}

async function assertServed(
  cluster: Cluster,
  t: TestContext,
  template: Template,
  files: Record<string, string>,
): Promise<void> {
  const { metadata, status } = await cluster.readyService(t, 'hellovolume', template);
  await assertControlPlane(cluster, metadata.name, status?.latestReadyRevisionName ?? '', '1');
  for (const [path, text] of Object.entries(files)) await cluster.assertServes(status?.url, text, path);
}

await suite('Knative Serving API v1: volumes', 6, (cluster) => {
  const configMap = (t: TestContext, data: Record<string, string>) =>
    cluster.create(t, CONFIGMAPS, { metadata: { name: nameOf(t) }, data });
  const secret = (t: TestContext, stringData: Record<string, string>) =>
    cluster.create(t, SECRETS, { metadata: { name: nameOf(t) }, stringData });

  test('TestConfigMapVolume', async (t) => {
    await configMap(t, { [KEY]: 'from a ConfigMap' });
    const template = withOptional(mounted({ configMap: { name: nameOf(t), optional: false } }), {
      configMap: { name: 'does-not-exist', optional: true },
    });
    await assertServed(cluster, t, template, { '/': 'from a ConfigMap' });
  });

  test('TestProjectedConfigMapVolume', async (t) => {
    await configMap(t, { [KEY]: 'from a projected ConfigMap' });
    const sources = [
      { configMap: { name: nameOf(t), optional: false } },
      { configMap: { name: 'does-not-matter', optional: true } },
    ];
    await assertServed(cluster, t, mounted({ projected: { sources } }), {
      '/': 'from a projected ConfigMap',
    });
  });

  test('TestSecretVolume', async (t) => {
    await secret(t, { [KEY]: 'from a Secret' });
    const template = withOptional(mounted({ secret: { secretName: nameOf(t), optional: false } }), {
      secret: { secretName: 'does-not-exist', optional: true },
    });
    await assertServed(cluster, t, template, { '/': 'from a Secret' });
  });

  test('TestProjectedSecretVolume', async (t) => {
    await secret(t, { [KEY]: 'from a projected Secret' });
    const sources = [{ secret: { name: nameOf(t), optional: false } }];
    const template = mounted({ projected: { sources } }, { mountPath: `${DIRECTORY}/${KEY}`, subPath: KEY });
    await assertServed(cluster, t, template, { '/': 'from a projected Secret' });
  });

  test('TestProjectedComplex', async (t) => {
    await configMap(t, { [KEY]: 'hidden', other: 'from another key' });
    await secret(t, { [KEY]: 'from the last source' });
    const sources = [
      { configMap: { name: nameOf(t), items: [{ key: 'other', path: 'another' }], optional: false } },
      { secret: { name: nameOf(t), items: [{ key: KEY, path: KEY }], optional: false } },
    ];
    await assertServed(cluster, t, mounted({ projected: { sources } }), {
      '/': 'from the last source',
      '/another': 'from another key',
    });
  });

  test('TestProjectedServiceAccountToken', async (t) => {
    const sources = [{ serviceAccountToken: { audience: 'api', path: 'token' } }];
    const projected = { sources, defaultMode: 0o444 };
    const template = mounted({ projected }, { mountPath: `${DIRECTORY}/token`, subPath: 'token' });
    const { metadata, status } = await cluster.readyService(t, 'hellovolume', template);
    await assertControlPlane(cluster, metadata.name, status?.latestReadyRevisionName ?? '', '1');
    const { body } = await cluster.ask(status?.url, { path: '/token' });
    assert.match(body, /^[\w=-]+\.[\w=-]+\.[\w.+/=-]*\n$/);
    const claims = JSON.parse(Buffer.from(body.split('.')[1] ?? '', 'base64url').toString());
    assert.deepEqual([claims.aud].flat(), ['api']);
  });
});
