import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { systemClock } from '../../base/clock.ts';
import { silentLogger } from '../../base/log.ts';
import type { Destination } from '../../kinds/eventing/objects.ts';
import type { UntypedObject } from '../../kinds/object.ts';
import {
  CONFIGMAPS,
  FUNCTION_ALIASES,
  FUNCTIONS,
  KSERVICES,
  ROUTES,
  SECRETS,
  SERVICES,
} from '../../kube/refs.ts';
import { createObjects, type Objects } from './objects.ts';
import { resolve } from './resolver.ts';
import { KNOWN_KINDS } from './resources.ts';
import { createWorld, type World } from './testing.ts';

let world: World;
let objects: Objects;
const observer = { changed() {} };

before(async () => {
  world = await createWorld();
  objects = createObjects({
    client: world.client,
    clock: systemClock,
    log: silentLogger,
    known: KNOWN_KINDS,
  });
  const { create, patchStatus } = world;
  const spec = { template: { spec: { containers: [{ image: 'dev.local/x' }] } } };
  await create(KSERVICES, 'fn', spec);
  await patchStatus(KSERVICES, 'fn', { address: { url: 'http://fn.default.svc.cluster.local' } });
  await create(FUNCTIONS, 'fn', { runtime: 'node', package: { digest: `sha256:${'0'.repeat(64)}` } });
  await create(FUNCTION_ALIASES, 'fn-live', { function: 'fn', revisionName: 'fn-00001' });
  await create(ROUTES, 'fn-live', { traffic: [{ revisionName: 'fn-00001', percent: 100 }] });
  await patchStatus(ROUTES, 'fn-live', { address: { url: 'http://fn-live.default.svc.cluster.local' } });
  await create(
    SERVICES,
    'held',
    { type: 'ExternalName', externalName: 'x', ports: [{ port: 80 }] },
    {
      labels: { 'serving.knative.dev/route': 'fn' },
    },
  );
  await create(SERVICES, 'elsewhere', {
    type: 'ExternalName',
    externalName: 'example.com',
    ports: [{ port: 8080 }],
  });
  await create(SERVICES, 'bare', { ports: [{ port: 80 }] });
});
after(async () => {
  objects.stop();
  await world.close();
});

const look = (destination: Destination | undefined, mapping?: Record<string, string>) =>
  resolve(destination, 'default', objects.reader(observer), mapping);
const ref = (apiVersion: string, kind: string, name: string, more: object = {}) => ({
  ref: { apiVersion, kind, name, ...more },
});
const FN = 'http://fn.default.svc.cluster.local';

const found: [what: string, destination: Destination, target: object][] = [
  ['a URI as it is', { uri: 'https://a.example.com/x?y' }, { url: 'https://a.example.com/x?y' }],
  [
    'certificates and audience of a URI',
    { uri: 'https://a.example.com', CACerts: 'PEM', audience: 'me' },
    { url: 'https://a.example.com', caCerts: 'PEM', audience: 'me' },
  ],
  ['a Function', ref('petrel.dev/v1', 'Function', 'fn'), { url: FN, route: 'default/fn', anyAnswer: true }],
  [
    'an alias of a Function, with a path',
    { ...ref('petrel.dev/v1', 'FunctionAlias', 'fn-live'), uri: 'hook?x=1' },
    { url: 'http://fn-live.default.svc.cluster.local/hook?x=1', route: 'default/fn-live', anyAnswer: true },
  ],
  ['a Knative Service', ref('serving.knative.dev/v1', 'Service', 'fn'), { url: FN, route: 'default/fn' }],
  [
    'a Route',
    ref('serving.knative.dev/v1', 'Route', 'fn-live'),
    { url: 'http://fn-live.default.svc.cluster.local', route: 'default/fn-live' },
  ],
  [
    'by group alone',
    { ref: { group: 'serving.knative.dev', kind: 'Service', name: 'fn' } },
    { url: FN, route: 'default/fn' },
  ],
  [
    'a Kubernetes Service that only holds the name of a Route',
    ref('v1', 'Service', 'held'),
    { url: 'http://held.default.svc.cluster.local', route: 'default/fn' },
  ],
  [
    'the same by its name in the cluster',
    { uri: 'http://held.default.svc.cluster.local/x' },
    { url: 'http://held.default.svc.cluster.local/x', route: 'default/fn' },
  ],
  [
    'a Kubernetes Service that stands for another host',
    ref('v1', 'Service', 'elsewhere'),
    { url: 'http://elsewhere.default.svc.cluster.local', endpoints: [{ host: 'example.com', port: 8080 }] },
  ],
  ['one without a selector', ref('v1', 'Service', 'bare'), { url: 'http://bare.default.svc.cluster.local' }],
];
for (const [what, destination, target] of found) {
  test(`resolves ${what}`, async () => {
    const result = await look(destination);
    assert.deepEqual(result.ok ? result.target : result.message, target);
  });
}

const refused: [what: string, destination: Destination | undefined, words: string | RegExp][] = [
  ['nothing', undefined, 'destination missing Ref and URI, expected at least one'],
  ['a relative URI', { uri: '/x' }, /^URI is not absolute/],
  [
    'an absolute URI with a reference',
    { ...ref('serving.knative.dev/v1', 'Service', 'fn'), uri: 'http://x' },
    'absolute URI is not allowed when Ref or [apiVersion, kind, name] exists',
  ],
  [
    'what is not there',
    ref('v1', 'Service', 'none'),
    'failed to get object default/none: services "none" not found',
  ],
  ['what has no address', ref('v1', 'Secret', 's'), 'failed to get object default/s: secrets "s" not found'],
  [
    'an address that it does not have',
    ref('serving.knative.dev/v1', 'Service', 'fn', { address: 'https' }),
    /^address with name "https" not found for Kind = Service/,
  ],
  [
    'a kind that the API does not have',
    ref('example.com/v1', 'Policy', 'p'),
    'failed to get lister: no matches for kind "Policy" in group "example.com"',
  ],
];
for (const [what, destination, words] of refused) {
  test(`does not resolve ${what}`, async () => {
    const result = await look(destination);
    const said = result.ok ? JSON.stringify(result.target) : result.message;
    if (typeof words === 'string') assert.equal(said, words);
    else assert.match(said, words);
  });
}

test('what config-kreference-mapping says of a kind without addresses', async () => {
  await world.client.create(SECRETS, {
    apiVersion: 'v1',
    kind: 'Secret',
    metadata: { name: 'mapped', namespace: 'default' },
  });
  const template = 'http://addressable-{{ .Name }}.{{ .SystemNamespace }}.svc/{{ .Namespace }}';
  await world.eventually('it', async () => {
    const result = await look(ref('v1', 'Secret', 'mapped'), { 'Secret.v1': template });
    return result.ok && result.target.url === 'http://addressable-mapped.knative-eventing.svc/default'
      ? true
      : undefined;
  });
  const broken = await look(ref('v1', 'Secret', 'mapped'), { 'Secret.v1': '{{ .Nope' });
  assert.match(broken.ok ? '' : broken.message, /the mapping of Secret\.v1 cannot be used/);
});

test('who looked is told of changes of what he looked at last, and of nothing else', async () => {
  const { patch, eventually } = world;
  const map = (name: string) =>
    world.client.create(CONFIGMAPS, {
      apiVersion: 'v1',
      kind: 'ConfigMap',
      metadata: { name, namespace: 'default' },
    } as UntypedObject);
  let told = 0;
  const me = { changed: () => void told++ };
  const first = objects.reader(me);
  assert.equal(await first.get(CONFIGMAPS, 'default', 'one'), undefined);
  first.done();
  await map('one');
  await eventually('news of one', () => (told === 1 ? true : undefined));
  const second = objects.reader(me);
  await second.get(CONFIGMAPS, 'default', 'two');
  await second.list(CONFIGMAPS, 'default', ({ metadata }) => metadata.labels?.mine === 'yes');
  second.done();
  await patch(CONFIGMAPS, 'one', { data: { a: 'b' } });
  await map('three');
  await map('two');
  await eventually('news of two', () => (told === 2 ? true : undefined));
  await patch(CONFIGMAPS, 'three', { metadata: { labels: { mine: 'yes' } } });
  await eventually('news of the list', () => (told === 3 ? true : undefined));
  objects.forget(me);
  await patch(CONFIGMAPS, 'two', { data: { a: 'c' } });
  await eventually('the cache', () =>
    objects.informer(CONFIGMAPS).get('default', 'two')?.data?.a === 'c' ? true : undefined,
  );
  assert.equal(told, 3);
});
