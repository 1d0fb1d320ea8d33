/** Functions as tools of MCP clients on the real platform: listed, called through the gateway, under the function's own rules of access. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { FUNCTIONS, SECRETS } from '../../src/kube/refs.ts';
import { call, eventually, Petrel, Scratch, type Status } from '../lib/platform.ts';

const scratch = new Scratch();
const petrel = new Petrel(scratch.path('h'));
let platform: Status;

before(async () => {
  platform = await petrel.up();
  scratch.write({
    'add.mjs':
      'export default { async fetch(request) { const { a, b } = await request.json(); if (b === 3 && request.headers.get("x-petrel-invocation-attempt") === "1") return new Response("later", { status: 503 }); return Response.json({ sum: a + b }); } };',
    'plain.mjs': 'export default { fetch: () => new Response("no tool") };',
  });
  await petrel.deploy(scratch.path('add.mjs'));
  await petrel.deploy(scratch.path('plain.mjs'));
});
after(async () => {
  await petrel.stop();
  scratch.dispose();
});

const inputSchema = {
  type: 'object',
  properties: { a: { type: 'number' }, b: { type: 'number' } },
  required: ['a', 'b'],
};

async function rpc(method: string, params: object = {}, headers: Record<string, string> = {}) {
  const answer = await call(platform.gateway, '/.petrel/mcp/default', {
    body: JSON.stringify({ jsonrpc: '2.0', id: 1, method, params }),
    headers: {
      'content-type': 'application/json',
      accept: 'application/json, text/event-stream',
      ...headers,
    },
  });
  return { status: answer.status, ...JSON.parse(answer.body) };
}

test('a function becomes a tool, is called, and ceases to be one', async () => {
  assert.equal((await call(platform.gateway, '/.petrel/mcp/default', { body: '{}' })).status, 404);
  const api = await petrel.api();
  const tool = { description: 'adds two numbers', inputSchema };
  await api.patch(FUNCTIONS, 'default', 'add', 'merge', { spec: { tool } });
  const { result } = await eventually('tools are offered', async () => {
    const answer = await call(platform.gateway, '/.petrel/mcp/default', { body: '{}' });
    if (answer.status === 404) return undefined;
    return rpc('tools/list');
  });
  assert.deepEqual(result.tools, [{ name: 'add', description: 'adds two numbers', inputSchema }]);
  const hello = await rpc('initialize', {
    protocolVersion: '2025-11-25',
    capabilities: {},
    clientInfo: { name: 't', version: '1' },
  });
  assert.equal(hello.result.protocolVersion, '2025-11-25');
  const sum = await rpc('tools/call', { name: 'add', arguments: { a: 1, b: 2 } });
  assert.deepEqual(sum.result, {
    content: [{ type: 'text', text: '{"sum":3}' }],
    structuredContent: { sum: 3 },
  });
  assert.equal((await rpc('tools/call', { name: 'add', arguments: { a: 1 } })).result.isError, true);
  assert.equal((await rpc('ping', {}, { origin: 'http://evil.example' })).status, 403);

  await api.create(SECRETS, {
    apiVersion: 'v1',
    kind: 'Secret',
    metadata: { name: 'keys', namespace: 'default' },
    stringData: { one: 'k1' },
  });
  await api.patch(FUNCTIONS, 'default', 'add', 'merge', {
    spec: { access: { auth: { apiKey: { secret: 'keys' } } } },
  });
  const called = (headers: Record<string, string>) =>
    rpc('tools/call', { name: 'add', arguments: { a: 1, b: 2 } }, headers);
  await eventually('the rules of access hold', async () => (await called({})).result.isError === true);
  assert.match((await called({})).result.content[0].text, /^401/);
  assert.deepEqual((await called({ 'x-api-key': 'k1' })).result.structuredContent, { sum: 3 });

  await api.patch(FUNCTIONS, 'default', 'add', 'merge', { spec: { tool: null } });
  await eventually('it is no tool any more', async () => (await rpc('tools/list')).result.tools.length === 0);
  api.close();
});

test('what was let in is carried out later although the key is not there any more', async () => {
  const headers = { prefer: 'respond-async', 'x-api-key': 'k1', 'content-type': 'application/json' };
  const body = '{"a":2,"b":3}';
  assert.equal(
    (await call(platform.gateway, '/fn/default/add', { body, headers: { ...headers, 'x-api-key': 'no' } }))
      .status,
    403,
  );
  const api = await petrel.api();
  await api.patch(FUNCTIONS, 'default', 'add', 'merge', { spec: { invocation: { backoffSeconds: 2 } } });
  const accepted = await call(platform.gateway, '/fn/default/add', { body, headers });
  assert.equal(accepted.status, 202);
  await eventually('it was tried once', async () => {
    const now = await call(platform.gateway, String(accepted.headers.location));
    return JSON.parse(now.body).attempts.length === 1;
  });
  await api.patch(SECRETS, 'default', 'keys', 'merge', { stringData: { one: 'k2' } });
  await eventually('the key is not valid any more', async () => {
    const now = await call(platform.gateway, '/fn/default/add', { body, headers: { 'x-api-key': 'k1' } });
    return now.status === 403;
  });
  const later = await call(platform.gateway, `${accepted.headers.location}?wait=20`);
  const told = JSON.parse(later.body);
  assert.equal(told.status, 'succeeded', later.body);
  assert.equal(told.result.body, '{"sum":5}');
  // Nobody finds the way past the rules by its name.
  assert.equal(
    (await call(platform.gateway, '/fn/default/add', { host: 'deliveries.petrel.internal', body })).status,
    401,
  );
  api.close();
});
