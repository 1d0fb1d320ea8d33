import assert from 'node:assert/strict';
import { createServer, get } from 'node:http';
import type { AddressInfo } from 'node:net';
import { test } from 'node:test';
import { createOutsidePolicy, isPublic } from './outside.ts';

test('addresses that everybody can reach, and those that are somebody’s own', () => {
  for (const address of ['8.8.8.8', '172.32.0.1', '1.1.1.1', '2606:4700::1111', '::ffff:8.8.8.8'])
    assert.equal(isPublic(address), true, address);
  for (const address of [
    '127.0.0.1',
    '10.1.2.3',
    '100.64.0.1',
    '169.254.169.254',
    '172.16.0.1',
    '192.168.1.1',
    '0.0.0.0',
    '224.0.0.1',
    '255.255.255.255',
    '::1',
    '::',
    'fe80::1',
    'fd00::1',
    '::ffff:127.0.0.1',
    '::ffff:7f00:1',
    '::127.0.0.1',
    '64:ff9b::a00:1',
    '2002:7f00:1::',
    '2001:db8::1',
    'ff02::1',
  ])
    assert.equal(isPublic(address), false, address);
});

test('what a stranger may name: everybody’s addresses, the own gateway, and what is allowed', () => {
  const policy = createOutsidePolicy(() => 8080, ['10.0.0.5', 'hooks.test:9000']);
  for (const url of [
    'http://example.com/x',
    'https://8.8.8.8/',
    'http://127.0.0.1:8080/function/b',
    'http://localhost:8080/',
    'http://10.0.0.5:1234/',
    'http://hooks.test:9000/',
  ])
    assert.equal(policy.problem(new URL(url)), undefined, url);
  for (const url of [
    'ftp://example.com/',
    'http://127.0.0.1/',
    'http://127.0.0.1:8081/',
    'https://127.0.0.1:8080/',
    'http://2130706433/',
    'http://0x7f.1/',
    'http://[::1]:22/',
    'http://[::ffff:127.0.0.1]/',
    'http://169.254.169.254/latest/meta-data/',
    'http://10.0.0.6/',
  ])
    assert.equal(typeof policy.problem(new URL(url)), 'string', url);
});

test('a name is judged by what it resolves to when the connection is made', async (t) => {
  const server = createServer((_request, response) => void response.end('secret'));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.after(() => server.close());
  const { port } = server.address() as AddressInfo;
  const policy = createOutsidePolicy(() => 1, []);
  const url = new URL(`http://localhost:${port}/`);
  assert.equal(policy.problem(url), undefined, 'a name says nothing by itself');
  const reach = (lookup: ReturnType<typeof policy.lookup>) =>
    new Promise<string>((resolve) => {
      get(url, { agent: false, ...(lookup ? { lookup } : {}) }, (response) => {
        response.resume();
        resolve('reached');
      }).on('error', (error) => resolve(error.message));
    });
  assert.match(await reach(policy.lookup(url)), /not an address that everybody can reach/);
  assert.equal(await reach(createOutsidePolicy(() => port, []).lookup(url)), 'reached');
});
