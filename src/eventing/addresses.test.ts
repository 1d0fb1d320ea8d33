import assert from 'node:assert/strict';
import { test } from 'node:test';
import { addressUrl, EVENTS_HOSTS, localAddress, parseAddress } from './addresses.ts';

const BASE = 'http://127.0.0.1:8080/events';

const keyOf = (host: string, target: string) => {
  const found = parseAddress(host, target);
  return 'key' in found ? [found.key, found.rest] : found.status;
};

test('paths under /events/ are addresses on every host', () => {
  const rows: [target: string, found: unknown][] = [
    ['/events/broker/default/orders', ['broker/default/orders', '']],
    ['/events/broker/default/orders/', ['broker/default/orders', '']],
    ['/events/channel/a/b?x=1', ['channel/a/b', '?x=1']],
    ['/events/source/a/hook/in/here?x=1', ['source/a/hook', '/in/here?x=1']],
    ['/events/source/a/hook?x=/1', ['source/a/hook', '?x=/1']],
    ['/events/job/a/b/default/status', ['job/a/b', '/default/status']],
    ['/events/', 404],
    ['/events/queue/a/b', 404],
    ['/events/toString/a/b', 404],
    ['/events/broker', 400],
    ['/events/broker/default', 400],
    ['/events/broker/default/', 400],
    ['/events/broker/default/orders/more', 400],
    ['/events/broker/default/orders//', 400],
    ['/events/broker//orders', 400],
    ['/events/broker/../orders', 400],
    ['/events/broker/a/%2e%2e', 400],
    ['/events/broker/A/b', 400],
  ];
  for (const [target, found] of rows) assert.deepEqual(keyOf('any.example', target), found, target);
});

test('cluster-local names are addresses', () => {
  const broker = 'broker-ingress.knative-eventing.svc.cluster.local';
  const rows: [host: string, target: string, found: unknown][] = [
    [broker, '/default/orders', ['broker/default/orders', '']],
    ['Broker-Ingress.knative-eventing.svc:80', '/default/orders/', ['broker/default/orders', '']],
    [`${broker}.`, '/default/orders', ['broker/default/orders', '']],
    [broker, '/', 404],
    [broker, '/default', 400],
    [broker, '/default/orders/more', 400],
    ['pipe-kn-channel.shop.svc.cluster.local', '/', ['channel/shop/pipe', '']],
    ['pipe-kn-channel.shop.svc', '', ['channel/shop/pipe', '']],
    ['pipe-kn-channel.shop.svc', '/more', 404],
    ['imc-dispatcher.knative-eventing.svc.cluster.local', '/shop/pipe', ['channel/shop/pipe', '']],
    ['job-sink.knative-eventing.svc.cluster.local', '/shop/pipe/x', ['job/shop/pipe', '/x']],
    ['constructor.svc', '/a/b', 404],
    ['pipe.shop.svc.cluster.local', '/', 404],
  ];
  for (const [host, target, found] of rows) {
    assert.deepEqual(keyOf(host, target), found, `${host} ${target}`);
    const ours = host.toLowerCase().replace(/[:.]?(80)?$/, '');
    const named = /^(broker-ingress|imc|job-sink)|-kn-channel/i.test(host);
    assert.equal(EVENTS_HOSTS.test(ours), named, host);
  }
});

test('a URL of ours never leaves the process', () => {
  assert.equal(localAddress(`${BASE}/broker/default/orders`, BASE), 'broker/default/orders');
  assert.equal(localAddress(addressUrl(BASE, 'sink/a/b'), BASE), 'sink/a/b');
  assert.equal(
    localAddress('http://broker-ingress.knative-eventing.svc.cluster.local/default/orders', BASE),
    'broker/default/orders',
  );
  assert.equal(localAddress('http://a-kn-channel.b.svc.cluster.local', BASE), 'channel/b/a');
  assert.equal(localAddress('https://a-kn-channel.b.svc/?x#y', BASE), 'channel/b/a');
  for (const other of [
    'http://127.0.0.1:8080/fn/default/a',
    'http://127.0.0.1:8081/events/broker/default/orders',
    `${BASE}/source/default/hook`,
    `${BASE}/broker/default`,
    'http://me@a-kn-channel.b.svc/',
    'http://other.svc/default/orders',
    'no url',
  ])
    assert.equal(localAddress(other, BASE), undefined, other);
});
