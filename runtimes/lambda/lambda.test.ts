/** The lambda runtime with clients of the Runtime API: one of the tests' own, and AWS's for Go where Go and its module proxy are there. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { chmodSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { header, type RequestOptions, ResetError } from '../contract-tests/client.ts';
import { type Files, Instance, until, withoutProgram } from '../contract-tests/instance.ts';

/** A client as AWS documents it: asks for the next invocation, and posts what `handle(event, post)` gives. */
const CLIENT = `#!${process.execPath}
const http = require('node:http');
const [host, port] = process.env.AWS_LAMBDA_RUNTIME_API.split(':');
const agent = new http.Agent({ keepAlive: true });
const ask = (method, path, body, headers = {}) => new Promise((resolve, reject) => {
  const request = http.request({ host, port, agent, method, path: '/2018-06-01/runtime/' + path, headers }, (response) => {
    let text = ''; response.setEncoding('utf8'); response.on('data', (d) => { text += d; }); response.on('end', () => resolve({ response, text }));
  });
  request.on('error', reject);
  if (typeof body === 'function') body(request); else request.end(body);
});
(async () => {
  INIT
  for (;;) {
    const { response, text } = await ask('GET', 'invocation/next');
    const id = response.headers['lambda-runtime-aws-request-id'];
    const context = { id, deadline: Number(response.headers['lambda-runtime-deadline-ms']), arn: response.headers['lambda-runtime-invoked-function-arn'], client: JSON.parse(response.headers['lambda-runtime-client-context'] ?? 'null') };
    const post = (what, body, headers) => ask('POST', 'invocation/' + id + '/' + what, body, headers);
    await handle(JSON.parse(text), post, context);
  }
})();
async function handle(event, post, context) { HANDLE }
`;

const client = (handle: string, init = ''): Files => ({
  bootstrap: CLIENT.replace('HANDLE', () => handle).replace('INIT', () => init),
});

/** Loads a package whose `bootstrap` may be run. */
async function started(t: TestContext, files: Files, params: object = {}, env: Record<string, string> = {}) {
  const instance = await Instance.start({ runtime: 'lambda', env });
  t.after(() => instance.stop());
  const code = instance.package(files);
  if (existsSync(join(code, 'bootstrap'))) chmodSync(join(code, 'bootstrap'), 0o755);
  const result = await instance.control.call('specialise', {
    namespace: 'default',
    function: 'hello',
    revision: 'hello-00001',
    code,
    development: true,
    env: {},
    ...params,
  });
  const data = await instance.connect();
  return { instance, result, data, ask: (options: RequestOptions = {}) => data.request(options) };
}

test('a request becomes an event of an HTTP API, and what is posted its answer', async (t) => {
  const handle = `await post('response', JSON.stringify({ statusCode: 201, headers: { 'x-path': event.rawPath }, cookies: ['a=1'], body: event.requestContext.http.method + ' ' + event.body + ' ' + event.queryStringParameters.n + ' ' + (context.deadline > Date.now()) + ' ' + context.arn }));`;
  const { ask, result } = await started(t, client(handle));
  assert.equal(result.shape, 'lambda');
  const answer = await ask({ method: 'POST', target: '/there?n=1', body: 'text' });
  assert.equal(answer.status, 201);
  assert.equal(answer.body.toString(), 'POST text 1 true arn:aws:lambda:local:000000000000:function:hello');
  assert.equal(header(answer, 'x-path'), '/there');
  assert.equal(header(answer, 'set-cookie'), 'a=1');
});

test('an event of its own comes as it is, and so does the result', async (t) => {
  const { ask } = await started(t, client(`await post('response', JSON.stringify({ got: event }));`));
  const answer = await ask({
    method: 'POST',
    body: '{"a":[1]}',
    headers: [['x-petrel-lambda-event', 'raw']],
  });
  assert.equal(answer.body.toString(), '{"got":{"a":[1]}}');
});

test('an event of the Invoke API has the id that its caller knows, and says who calls', async (t) => {
  const { ask } = await started(
    t,
    client(`await post('response', JSON.stringify({ id: context.id, client: context.client ?? null }));`),
  );
  const said = Buffer.from(JSON.stringify({ custom: { who: 'zoë' } })).toString('base64');
  const headers: [string, string][] = [['x-amz-client-context', said]];
  const answer = await ask({
    method: 'POST',
    body: '{}',
    headers: [['x-petrel-lambda-event', 'raw'], ...headers],
  });
  assert.deepEqual(JSON.parse(answer.body.toString()), {
    id: 'req-1',
    client: { custom: { who: 'zoë' } },
  });
  const plain = await ask({ method: 'POST', body: '{}', headers });
  assert.equal(JSON.parse(plain.body.toString()).client, null);
});

test('an error is a 500 of a request, and a told failure of an event', async (t) => {
  const handle = `await post('error', JSON.stringify({ errorType: 'Sad', errorMessage: 'no luck', stackTrace: ['at fn.js:1'] }));`;
  const { ask } = await started(t, client(handle));
  const answer = await ask();
  assert.equal(answer.status, 500);
  assert.match(JSON.parse(answer.body.toString()).message, /Sad: no luck/);
  const raw = await ask({ method: 'POST', body: '{}', headers: [['x-petrel-lambda-event', 'raw']] });
  assert.equal(raw.status, 200);
  assert.equal(header(raw, 'x-amz-function-error'), 'Unhandled');
  assert.deepEqual(JSON.parse(raw.body.toString()), {
    errorType: 'Sad',
    errorMessage: 'no luck',
    stackTrace: ['at fn.js:1'],
  });
});

test('a streamed response leaves piece by piece, with its head', async (t) => {
  const handle = `await post('response', (request) => { request.write(JSON.stringify({ statusCode: 203, headers: { 'x-mine': '1' } })); request.write(Buffer.alloc(8)); request.write('first '); setTimeout(() => request.end('second'), 20); }, { 'lambda-runtime-function-response-mode': 'streaming', 'content-type': 'application/vnd.awslambda.http-integration-response', 'transfer-encoding': 'chunked' });`;
  const { ask } = await started(t, client(handle));
  const answer = await ask();
  assert.deepEqual([answer.status, header(answer, 'x-mine')], [203, '1']);
  assert.equal(answer.body.toString(), 'first second');
});

test('a stream whose trailers tell of an error breaks off', async (t) => {
  const handle = `await post('response', (request) => { request.write('first '); request.addTrailers({ 'lambda-runtime-function-error-type': 'Broken', 'lambda-runtime-function-error-body': Buffer.from('no more').toString('base64') }); request.end(); }, { 'lambda-runtime-function-response-mode': 'streaming', 'transfer-encoding': 'chunked', trailer: 'Lambda-Runtime-Function-Error-Type, Lambda-Runtime-Function-Error-Body' });`;
  const { ask } = await started(t, client(handle));
  await assert.rejects(ask(), ResetError);
});

test('requests wait their turn; one whose client is gone is not handed out', async (t) => {
  const handle = `if (event.rawPath === '/slow') await new Promise((r) => setTimeout(r, 200)); global.seen = (global.seen ?? '') + event.rawPath; await post('response', JSON.stringify(global.seen));`;
  const { data, ask, instance } = await started(t, client(handle));
  const slow = ask({ target: '/slow' });
  await until(async () => (await instance.control.call('health')).inFlight === 1, 'the slow one to begin');
  const lost = data.open({ target: '/lost' });
  const last = ask({ target: '/last' });
  await until(async () => (await instance.control.call('health')).inFlight === 3, 'all to wait');
  lost.reset('cancelled');
  await slow;
  assert.equal((await last).body.toString(), '/slow/last');
});

const unloadable: [string, Files, object, string, RegExp][] = [
  [
    'an error at its start, in its own words',
    client(
      '',
      `await ask('POST', 'init/error', JSON.stringify({ errorType: 'Runtime.NoHandler', errorMessage: 'index.handler is not there' })); return;`,
    ),
    {},
    'LoadError',
    /Runtime\.NoHandler: index\.handler is not there/,
  ],
  [
    'a program that ends',
    { bootstrap: '#!/bin/sh\necho no licence >&2\nexit 7\n' },
    {},
    'LoadError',
    /bootstrap ended with exit code 7 before it asked for an invocation\n.*[\s\S]*no licence/,
  ],
  ['nothing to start', { 'index.js': '' }, {}, 'EntryNotFound', /no bootstrap.*the package has: index\.js/],
  ['an entry outside', { bootstrap: '' }, { entry: '../x' }, 'EntryNotFound', /outside the package/],
];
for (const [title, files, params, code, words] of unloadable)
  test(`cannot be loaded: ${title}`, async (t) => {
    const error = await started(t, files, params).then(
      () => assert.fail('it loaded'),
      (thrown) => thrown,
    );
    assert.equal(error.code, code, JSON.stringify(error));
    assert.match(`${error.message}\n${error.detail ?? ''}`, words);
  });

test('a program that never asks is ended in time', async (t) => {
  const files = { bootstrap: '#!/bin/sh\nexec sleep 60\n' };
  await assert.rejects(started(t, files, {}, { PETREL_LOAD_TIMEOUT_MS: '300' }), {
    code: 'LoadError',
    message: /did not finish loading/,
  });
});

test('a program that dies takes its requests along and is told', async (t) => {
  const { ask, instance } = await started(t, client(`console.error('out of luck'); process.exit(9);`));
  await assert.rejects(ask(), (error) => error instanceof ResetError && error.code === 'crashed');
  const { code } = await instance.exited;
  assert.notEqual(code, 0);
  assert.match(instance.output, /out of luck/);
});

test("AWS's own client for Go", { skip: withoutProgram('go') ?? false }, async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'petrel-lambda-go-'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  writeFileSync(
    join(folder, 'main.go'),
    `package main

import (
	"context"
	"github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-lambda-go/lambda"
)

func main() {
	lambda.Start(func(ctx context.Context, event events.APIGatewayV2HTTPRequest) (events.APIGatewayV2HTTPResponse, error) {
		return events.APIGatewayV2HTTPResponse{StatusCode: 200, Body: "go " + event.RawPath}, nil
	})
}
`,
  );
  writeFileSync(
    join(folder, 'go.mod'),
    'module example.test/fn\n\ngo 1.19\n\nrequire github.com/aws/aws-lambda-go v1.49.0\n',
  );
  const environment = { ...process.env, GOFLAGS: '-mod=mod', CGO_ENABLED: '0' };
  const built = spawnSync('go', ['build', '-o', 'bootstrap', '.'], {
    cwd: folder,
    env: environment,
    encoding: 'utf8',
    timeout: 240_000,
  });
  if (built.status !== 0) return t.skip(`it could not be built: ${built.stderr.trim().split('\n').at(-1)}`);
  const { ask } = await started(t, { bootstrap: readFileSync(join(folder, 'bootstrap')) });
  assert.equal((await ask({ target: '/x' })).body.toString(), 'go /x');
});
