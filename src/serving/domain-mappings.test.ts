import assert from 'node:assert/strict';
import test from 'node:test';
import type { UntypedObject } from '../kinds/object.ts';
import type { DomainMapping } from '../kinds/serving-internal.ts';
import { CLUSTER_DOMAIN_CLAIMS, CONFIGMAPS, DOMAIN_MAPPINGS, KSERVICES } from '../kube/refs.ts';
import { service, setUp } from './testing/platform.ts';

const mapping = (name: string, to = 'hello', namespace = 'default'): DomainMapping => ({
  apiVersion: 'serving.knative.dev/v1beta1',
  kind: 'DomainMapping',
  metadata: { name, namespace },
  spec: { ref: { kind: 'Service', name: to, apiVersion: 'serving.knative.dev/v1' } },
});

const states = (object: UntypedObject) =>
  object.status.conditions.map(
    ({ type, status, reason }: { type: string; status: string; reason?: string }) =>
      [type, status, reason].filter(Boolean).join(' '),
  );

test('a host of its own leads to the Service, and goes with the mapping', async (t) => {
  const { api, client, gateway, start, settle, one, ready, stop } = setUp();
  t.after(stop);
  await start();
  await client.create(DOMAIN_MAPPINGS, mapping('shop.example.com'));
  await settle();
  const missing = 'services.serving.knative.dev "hello" not found';
  assert.equal(ready('domainmappings', 'shop.example.com'), `False ResolveFailed ${missing}`);
  await client.create(KSERVICES, service('hello'));
  await settle();
  assert.ok(gateway.routes.get('default/hello')?.hosts.includes('shop.example.com'));
  const found = one('domainmappings', 'shop.example.com');
  assert.deepEqual(states(found), [
    'CertificateProvisioned True TLSNotEnabled',
    'DomainClaimed True',
    'IngressReady True',
    'Ready True',
    'ReferenceResolved True',
  ]);
  assert.equal(found.status.url, 'http://shop.example.com:8080');
  assert.equal(one('clusterdomainclaims', 'shop.example.com').spec.namespace, 'default');
  await client.delete(DOMAIN_MAPPINGS, 'default', 'shop.example.com');
  await settle();
  assert.equal(gateway.routes.get('default/hello')?.hosts.includes('shop.example.com'), false);
  assert.equal(api.objects('clusterdomainclaims').length, 0);
});

test('a name that another namespace has is refused, and free when that gives it up', async (t) => {
  const { client, gateway, start, settle, ready, stop } = setUp();
  t.after(stop);
  await start();
  await client.create(CLUSTER_DOMAIN_CLAIMS, {
    apiVersion: 'networking.internal.knative.dev/v1alpha1',
    kind: 'ClusterDomainClaim',
    metadata: { name: 'shop.example.com' },
    spec: { namespace: 'other' },
  } as UntypedObject);
  await client.create(KSERVICES, service('hello'));
  await client.create(DOMAIN_MAPPINGS, mapping('shop.example.com'));
  await settle();
  assert.equal(
    ready('domainmappings', 'shop.example.com'),
    'False DomainAlreadyClaimed The domain name is already in use by another DomainMapping',
  );
  assert.equal(gateway.routes.get('default/hello')?.hosts.includes('shop.example.com'), false);
  await client.delete(CLUSTER_DOMAIN_CLAIMS, undefined, 'shop.example.com');
  await settle();
  assert.equal(ready('domainmappings', 'shop.example.com'), 'True');
});

test('where claims are not made by themselves, somebody has to make one; it then outlives the mapping', async (t) => {
  const { api, client, start, settle, ready, stop } = setUp();
  t.after(stop);
  await client.create(CONFIGMAPS, {
    apiVersion: 'v1',
    kind: 'ConfigMap',
    metadata: { name: 'config-network', namespace: 'knative-serving' },
    data: { 'autocreate-cluster-domain-claims': 'false' },
  } as UntypedObject);
  await start();
  await client.create(KSERVICES, service('hello'));
  await client.create(DOMAIN_MAPPINGS, mapping('shop.example.com'));
  await settle();
  assert.match(ready('domainmappings', 'shop.example.com'), /^False DomainAlreadyClaimed/);
  await client.create(CLUSTER_DOMAIN_CLAIMS, {
    apiVersion: 'networking.internal.knative.dev/v1alpha1',
    kind: 'ClusterDomainClaim',
    metadata: { name: 'shop.example.com' },
    spec: { namespace: 'default' },
  } as UntypedObject);
  await settle();
  assert.equal(ready('domainmappings', 'shop.example.com'), 'True');
  await client.delete(DOMAIN_MAPPINGS, 'default', 'shop.example.com');
  await settle();
  assert.equal(api.objects('clusterdomainclaims').length, 1);
  await client.create(DOMAIN_MAPPINGS, mapping('other.example.com'));
  await settle();
  assert.match(ready('domainmappings', 'other.example.com'), /^False DomainAlreadyClaimed/);
  await client.patch(CONFIGMAPS, 'knative-serving', 'config-network', 'merge', {
    data: { 'autocreate-cluster-domain-claims': 'true' },
  });
  await settle();
  assert.equal(ready('domainmappings', 'other.example.com'), 'True');
});

test("a mapping takes no Route's own host, and leads to its own namespace only", async (t) => {
  const { client, gateway, start, settle, ready, stop } = setUp();
  t.after(stop);
  await start();
  await client.create(KSERVICES, service('hello'));
  await client.create(KSERVICES, service('victim'));
  await settle();
  await client.create(DOMAIN_MAPPINGS, mapping('victim.default.localhost'));
  const elsewhere = mapping('shop.example.com', 'hello', 'other');
  elsewhere.spec.ref.namespace = 'default';
  await client.create(DOMAIN_MAPPINGS, elsewhere);
  await settle();
  assert.equal(gateway.routes.get('default/hello')?.hosts.includes('victim.default.localhost'), false);
  assert.match(ready('domainmappings', 'victim.default.localhost'), /^False DomainInUse/);
  assert.equal(gateway.routes.get('default/hello')?.hosts.includes('shop.example.com'), false);
  assert.match(
    ready('domainmappings', 'shop.example.com'),
    /^False ResolveFailed resolved URI "http:\/\/hello.default.svc.cluster.local" must be in same namespace/,
  );
});
