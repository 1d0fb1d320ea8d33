import assert from 'node:assert/strict';
import test from 'node:test';
import type { ConfigData } from '../kinds/config/index.ts';
import type { Route } from '../kinds/serving.ts';
import { fixedConfig } from './config.ts';
import { createDomains, DomainError } from './domains.ts';

const route = (labels: Record<string, string> = {}): Route => ({
  apiVersion: 'serving.knative.dev/v1',
  kind: 'Route',
  metadata: { name: 'hello', namespace: 'shop', labels, annotations: { sub: 'eu', bad: '_' } },
  spec: {},
});

const names = (
  maps: Record<string, ConfigData>,
  labels?: Record<string, string>,
  local: string[] = [],
  port = 8080,
) =>
  createDomains({
    config: fixedConfig(maps),
    fallback: 'localhost',
    port,
    isLocal: (_, name) => local.includes(name),
  }).of(route(labels));

const DOMAINS = {
  'config-domain': {
    _example: 'selector:',
    'example.com': '',
    'example.org': 'selector:\n  app: nonprofit\n',
    'eu.example.org': 'selector:\n  app: nonprofit\n  region: "eu"\n',
    'svc.cluster.local': '# within the cluster only\nselector:\n  app: secret',
  },
};

test('the URL follows domain, template, scheme and visibility', () => {
  const visibility = { 'networking.knative.dev/visibility': 'cluster-local' };
  const table: [Record<string, ConfigData>, Record<string, string> | undefined, string][] = [
    [{}, undefined, 'http://hello.shop.localhost:8080'],
    [{}, visibility, 'http://hello.shop.svc.cluster.local'],
    [DOMAINS, {}, 'http://hello.shop.example.com:8080'],
    [DOMAINS, { app: 'nonprofit' }, 'http://hello.shop.example.org:8080'],
    [DOMAINS, { app: 'nonprofit', region: 'eu' }, 'http://hello.shop.eu.example.org:8080'],
    [DOMAINS, { app: 'secret' }, 'http://hello.shop.svc.cluster.local'],
    [{ 'config-network': { 'default-external-scheme': 'https' } }, {}, 'https://hello.shop.localhost'],
    [
      { 'config-network': { 'domain-template': '{{.Name}}-{{index .Annotations "sub"}}.{{ .Domain }}' } },
      {},
      'http://hello-eu.localhost:8080',
    ],
    // What the user makes of names does not apply within the cluster.
    [
      { 'config-network': { 'domain-template': '{{.Name}}.x.{{.Domain}}' } },
      visibility,
      'http://hello.shop.svc.cluster.local',
    ],
  ];
  for (const [maps, labels, url] of table) assert.equal(names(maps, labels).url(), url);
  assert.equal(names({}, {}, [], 80).url(), 'http://hello.shop.localhost');
});

test('a tag has names of its own, and may be local where its Route is not', () => {
  const plain = names({});
  assert.equal(plain.url('blue'), 'http://blue-hello.shop.localhost:8080');
  assert.deepEqual(plain.hosts('blue'), [
    'blue-hello.shop.localhost',
    'blue-hello.shop.svc.cluster.local',
    'blue-hello.shop.svc',
    'blue-hello.shop',
  ]);
  const local = names({ 'config-network': { 'tag-template': '{{.Name}}-{{.Tag}}' } }, {}, ['hello-blue']);
  assert.equal(local.url('blue'), 'http://hello-blue.shop.svc.cluster.local');
  assert.equal(local.url(), 'http://hello.shop.localhost:8080');
});

test('what is no host name is refused with what is wrong about it', () => {
  const bad = names({
    'config-network': { 'domain-template': '{{.Name}}{{index .Annotations "bad"}}x.{{.Domain}}' },
  });
  assert.throws(
    () => bad.url(),
    (error) => error instanceof DomainError && /invalid domain name "hello_x\.localhost"/.test(error.message),
  );
});
