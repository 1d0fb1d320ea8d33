/** The MCP server over real HTTP, with a server in the place of gateway and functions. Cases: MCP 2026-07-28 and 2025-11-25, transports and tools. */
import assert from 'node:assert/strict';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { after, before, test } from 'node:test';
import { silentLogger } from '../../base/log.ts';
import { answerFailure } from '../invocations/answers.ts';
import { createCaller } from './call.ts';
import { type Tool, toolHandler } from './server.ts';

const TOOLS: Record<string, Tool[]> = {
  default: [
    {
      function: 'add',
      description: 'adds two numbers',
      inputSchema: {
        type: 'object',
        properties: {
          a: { type: 'number' },
          b: { type: 'number' },
          region: { type: 'string', 'x-mcp-header': 'Region' },
        },
        required: ['a', 'b'],
      },
    },
    { function: 'any', description: 'answers anything', name: 'any.thing', keyHeader: 'X-Key' },
    { function: 'zz', description: 'has the name of another', name: 'add' },
  ],
};

let answer: (request: IncomingMessage, body: string, response: ServerResponse) => void;
const functions = createServer((request, response) => {
  let body = '';
  request.on('data', (part) => {
    body += part;
  });
  request.on('end', () => answer(request, body, response));
});
const caller = createCaller();
const handle = toolHandler({
  caller,
  tools: (namespace) => TOOLS[namespace] ?? [],
  gateway: () => ({ host: '127.0.0.1', port: (functions.address() as AddressInfo).port }),
  origins: ['https://allowed.example'],
});
const server = createServer((request, response) => {
  handle(request, response).catch((error) => answerFailure(request, response, error, silentLogger));
});
before(async () => {
  for (const one of [functions, server])
    await new Promise<void>((resolve) => one.listen(0, '127.0.0.1', resolve));
});
after(async () => {
  caller.close();
  for (const one of [functions, server]) {
    one.closeAllConnections();
    await new Promise((resolve) => one.close(resolve));
  }
});

interface Reply {
  status: number;
  body: {
    id?: unknown;
    // biome-ignore lint/suspicious/noExplicitAny: JSON that the assertions look into
    result?: any;
    error?: { code: number; message: string; data?: unknown };
  };
}
async function post(
  message: unknown,
  headers: Record<string, string> = {},
  path = '/.petrel/mcp/default',
): Promise<Reply> {
  const response = await fetch(`http://127.0.0.1:${(server.address() as AddressInfo).port}${path}`, {
    method: 'POST',
    headers: {
      'content-type': 'application/json',
      accept: 'application/json, text/event-stream',
      ...headers,
    },
    body: typeof message === 'string' ? message : JSON.stringify(message),
  });
  const text = await response.text();
  return { status: response.status, body: text === '' ? {} : JSON.parse(text) };
}
const legacy = (method: string, params: object = {}, headers: Record<string, string> = {}) =>
  post({ jsonrpc: '2.0', id: 1, method, params }, { 'mcp-protocol-version': '2025-11-25', ...headers });
const META = {
  'io.modelcontextprotocol/protocolVersion': '2026-07-28',
  'io.modelcontextprotocol/clientCapabilities': {},
};
const modern = (method: string, params: Record<string, unknown> = {}, headers: Record<string, string> = {}) =>
  post(
    { jsonrpc: '2.0', id: 'x', method, params: { _meta: META, ...params } },
    {
      'mcp-protocol-version': '2026-07-28',
      'mcp-method': method,
      ...(method === 'tools/call' ? { 'mcp-name': String(params.name) } : {}),
      ...headers,
    },
  );

test('legacy: initialize agrees on a revision; then notifications, ping, list', async () => {
  for (const [asked, agreed] of [
    ['2025-06-18', '2025-06-18'],
    ['2025-03-26', '2025-03-26'],
    ['2024-11-05', '2025-11-25'],
    ['9999-01-01', '2025-11-25'],
  ]) {
    const { status, body } = await post({
      jsonrpc: '2.0',
      id: 0,
      method: 'initialize',
      params: { protocolVersion: asked, capabilities: {}, clientInfo: { name: 't', version: '1' } },
    });
    assert.equal(status, 200);
    assert.equal(body.id, 0);
    assert.equal(body.result?.protocolVersion, agreed);
    assert.deepEqual(body.result?.capabilities, { tools: {} });
  }
  assert.deepEqual(await post({ jsonrpc: '2.0', method: 'notifications/initialized' }), {
    status: 202,
    body: {},
  });
  assert.deepEqual((await legacy('ping')).body.result, {});
  const { result } = (await legacy('tools/list')).body;
  assert.deepEqual(
    result?.tools.map(({ name }: { name: string }) => name),
    ['add', 'any.thing'],
  );
  assert.deepEqual(result?.tools[1]?.inputSchema, { type: 'object' });
  assert.equal((await legacy('resources/list')).body.error?.code, -32601);
  assert.equal((await legacy('ping', {}, { 'mcp-protocol-version': '1999-01-01' })).status, 400);
  const batch = await post([
    { jsonrpc: '2.0', id: 1, method: 'ping' },
    { jsonrpc: '2.0', method: 'notifications/x' },
  ]);
  assert.deepEqual([batch.status, batch.body], [200, [{ jsonrpc: '2.0', id: 1, result: {} }]]);
  assert.equal(
    (await post([{ jsonrpc: '2.0', id: 1, method: 'ping' }], { 'mcp-protocol-version': '2025-06-18' }))
      .status,
    400,
  );
});

test('modern: every request stands for itself, and its headers say what its body says', async () => {
  const { status, body } = await modern('server/discover');
  assert.deepEqual(
    [status, body.id, body.result?.resultType, body.result?.supportedVersions],
    [200, 'x', 'complete', ['2026-07-28', '2025-11-25', '2025-06-18', '2025-03-26']],
  );
  assert.equal(body.result?._meta['io.modelcontextprotocol/serverInfo']?.name, 'petrel');
  assert.equal((await modern('tools/list')).body.result?.cacheScope, 'public');
  const codes = async (reply: Promise<Reply>) => {
    const { status: http, body: said } = await reply;
    return [http, said.error?.code];
  };
  assert.deepEqual(await codes(modern('initialize')), [404, -32601]);
  assert.deepEqual(await codes(modern('tools/list', {}, { 'mcp-method': 'tools/call' })), [400, -32020]);
  assert.deepEqual(
    await codes(modern('tools/list', {}, { 'mcp-protocol-version': '2025-11-25' })),
    [400, -32020],
  );
  assert.deepEqual(
    await codes(modern('tools/call', { name: 'add' }, { 'mcp-name': 'other' })),
    [400, -32020],
  );
  assert.deepEqual(
    await codes(
      modern('tools/list', { _meta: { ...META, 'io.modelcontextprotocol/clientCapabilities': undefined } }),
    ),
    [400, -32602],
  );
  assert.deepEqual(await codes(modern('tools/list', { _meta: {} })), [400, -32602]);
  const unknown = { ...META, 'io.modelcontextprotocol/protocolVersion': '2030-01-01' };
  const refused = await modern('tools/list', { _meta: unknown }, { 'mcp-protocol-version': '2030-01-01' });
  assert.deepEqual([refused.status, refused.body.error?.code], [400, -32022]);
  assert.deepEqual(refused.body.error?.data, {
    supported: ['2026-07-28', '2025-11-25', '2025-06-18', '2025-03-26'],
    requested: '2030-01-01',
  });
});

test('a call is a request with the arguments as its body; keys and traces reach the function', async () => {
  let got: { url?: string | undefined; body: string; headers: IncomingMessage['headers'] } | undefined;
  answer = (request, body, response) => {
    got = { url: request.url, body, headers: request.headers };
    response.writeHead(200, { 'content-type': 'application/json' }).end('{"sum":3}');
  };
  const traceparent = `00-${'a'.repeat(32)}-${'b'.repeat(16)}-01`;
  const { body } = await modern(
    'tools/call',
    { name: 'add', arguments: { a: 1, b: 2, region: 'é' }, _meta: { ...META, traceparent } },
    {
      authorization: 'Bearer k',
      'mcp-param-region': `=?base64?${Buffer.from('é').toString('base64')}?=`,
      cookie: 'x=1',
    },
  );
  assert.deepEqual(
    [body.result?.content, body.result?.structuredContent],
    [[{ type: 'text', text: '{"sum":3}' }], { sum: 3 }],
  );
  assert.deepEqual(
    [
      got?.url,
      got?.body,
      got?.headers.authorization,
      got?.headers.traceparent,
      got?.headers.cookie,
      got?.headers['x-petrel-tool'],
    ],
    ['/fn/default/add/', '{"a":1,"b":2,"region":"é"}', 'Bearer k', traceparent, undefined, 'add'],
  );
  assert.equal(
    (await modern('tools/call', { name: 'add', arguments: { a: 1, b: 2, region: 'x' } })).body.error?.code,
    -32020,
  );
  await legacy('tools/call', { name: 'any.thing' }, { 'x-key': 'secret' });
  assert.deepEqual([got?.headers['x-key'], got?.body], ['secret', '{}']);
});

test('answers of every kind, failures of functions, wrong arguments, unknown tools', async () => {
  const call = async (type: string, bytes: string | Buffer, status = 200, newest = false) => {
    answer = (_, __, response) => void response.writeHead(status, { 'content-type': type }).end(bytes);
    const { body } = await (newest ? modern : legacy)('tools/call', { name: 'any.thing', arguments: {} });
    return body.result;
  };
  assert.deepEqual(await call('text/plain', 'hi'), { content: [{ type: 'text', text: 'hi' }] });
  assert.deepEqual(await call('application/json', '[1]'), { content: [{ type: 'text', text: '[1]' }] });
  assert.deepEqual((await call('application/json', '[1]', 200, true))?.structuredContent, [1]);
  assert.deepEqual(await call('application/json', '{broken'), {
    content: [{ type: 'text', text: '{broken' }],
  });
  assert.deepEqual(await call('image/png', Buffer.from([1, 2])), {
    content: [{ type: 'image', data: 'AQI=', mimeType: 'image/png' }],
  });
  assert.deepEqual((await call('application/x', Buffer.from([255, 2])))?.content, [
    { type: 'resource', resource: { uri: 'result:', mimeType: 'application/x', blob: '/wI=' } },
  ]);
  assert.deepEqual(
    await call('application/json', '{"content":[{"type":"text","text":"own"}],"isError":true}'),
    { content: [{ type: 'text', text: 'own' }], isError: true },
  );
  assert.deepEqual(await call('text/plain', 'no such city', 422), {
    content: [{ type: 'text', text: '422: no such city' }],
    isError: true,
  });
  assert.deepEqual(await call('text/plain', ''), { content: [] });
  const wrong = await legacy('tools/call', { name: 'add', arguments: { a: 'x' } });
  assert.deepEqual(wrong.body.result, {
    content: [{ type: 'text', text: 'Invalid arguments: a must be number; b is missing.' }],
    isError: true,
  });
  assert.deepEqual((await legacy('tools/call', { name: 'nope' })).body.error, {
    code: -32602,
    message: 'Unknown tool: nope',
  });
  assert.equal((await legacy('tools/call', { name: '__proto__' })).body.error?.code, -32602);
});

test('a client that goes away takes its call with it', async () => {
  const arrived = Promise.withResolvers<void>();
  const closed = Promise.withResolvers<void>();
  answer = (_, __, response) => {
    response.on('close', () => closed.resolve());
    arrived.resolve();
  };
  const stop = new AbortController();
  const { port } = server.address() as AddressInfo;
  const calling = fetch(`http://127.0.0.1:${port}/.petrel/mcp`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'tools/call', params: { name: 'any.thing' } }),
    signal: stop.signal,
  });
  await arrived.promise;
  stop.abort();
  await assert.rejects(calling);
  await closed.promise;
});

test('pages of other origins, wrong methods, types and messages are refused', async () => {
  const ping = { jsonrpc: '2.0', id: 1, method: 'ping' };
  for (const [origin, status] of [
    ['http://localhost:3000', 200],
    ['http://app.localhost', 200],
    ['https://allowed.example', 200],
    ['http://evil.example', 403],
    ['http://localhost.evil.example', 403],
    ['null', 403],
  ] as const)
    assert.equal((await post(ping, { origin })).status, status, origin);
  const { port } = server.address() as AddressInfo;
  for (const method of ['GET', 'DELETE'])
    assert.equal((await fetch(`http://127.0.0.1:${port}/.petrel/mcp`, { method })).status, 405);
  assert.equal((await post(ping, { 'content-type': 'text/plain' })).status, 400);
  assert.deepEqual([(await post('{')).status, (await post('{')).body.error?.code], [400, -32700]);
  for (const message of [
    1,
    null,
    {},
    { jsonrpc: '2.0', id: null, method: 'ping' },
    { jsonrpc: '2.0', id: 1, method: 'ping', params: [] },
  ])
    assert.equal((await post(message)).status, 400, JSON.stringify(message));
  assert.equal((await post(ping, {}, '/.petrel/mcp/a/b')).status, 404);
  assert.deepEqual(
    (await post({ jsonrpc: '2.0', id: 1, method: 'tools/list' }, {}, '/.petrel/mcp/other')).body.result
      ?.tools,
    [],
  );
});
