/** Lambda's Invoke operation as its clients send it, against functions of several shapes. */
import assert from 'node:assert/strict';
import { request } from 'node:http';
import { after, before, test } from 'node:test';
import { eventually, Petrel, Scratch, type Status } from '../../lib/platform.ts';

const scratch = new Scratch();
const petrel = new Petrel(scratch.path('h'));
let platform: Status;

before(async () => {
  platform = await petrel.up();
  scratch.write({
    'adder.mjs':
      "export const handler = async (event, context) => { if (event.fail) throw new TypeError('no luck'); if (event.exit) { console.log('leaving'); process.exit(1); } if (event.say) console.log(event.say); if (event.context) return { client: context.clientContext ?? null, id: context.awsRequestId }; return { sum: event.a + event.b, name: context.functionName }; };",
    'web.ts':
      'export default { async fetch(request: Request) { return Response.json({ got: await request.json(), method: request.method }); } };',
    'py.py':
      'def lambda_handler(event, context):\n    if "n" not in event:\n        return {"custom": context.client_context and context.client_context.custom}\n    return {"doubled": event["n"] * 2}\n',
    'streams.mjs': `export const handler = awslambda.streamifyResponse(async (event, stream) => {
      if (event.fail) throw new TypeError('no luck');
      for (const part of ['one ', 'two ', 'three']) stream.write(part);
      if (event.late) throw new Error('too late');
      stream.end();
    });`,
    'flow.ts':
      'export default { async fetch() { const { readable, writable } = new TransformStream(); const w = writable.getWriter(); (async () => { for (const part of ["one ", "two ", "three"]) { await w.write(new TextEncoder().encode(part)); await new Promise((r) => setTimeout(r, 20)); } await w.close(); })(); return new Response(readable, { headers: { "content-type": "text/plain" } }); } };',
  });
  await petrel.deploy(scratch.path('adder.mjs'));
  await petrel.deploy(scratch.path('web.ts'));
  await petrel.deploy(scratch.path('py.py'));
  await petrel.deploy(scratch.path('flow.ts'));
  await petrel.deploy(scratch.path('streams.mjs'));
  await petrel.json(['alias', 'adder', 'prod', '--to', '1']);
});
after(async () => {
  await petrel.stop();
  scratch.dispose();
});

interface Answer {
  status: number;
  headers: NodeJS.Dict<string | string[]>;
  text: string;
}

/** As AWS's SDKs send it, signature included. */
function invoke(
  name: string,
  event: unknown,
  headers: Record<string, string> = {},
  path = `/2015-03-31/functions/${name}/invocations`,
  method = 'POST',
): Promise<Answer> {
  const [host, port] = platform.gateway.split(':');
  return new Promise((resolve, reject) => {
    const outgoing = request(
      {
        host,
        port,
        method,
        path,
        headers: {
          authorization: 'AWS4-HMAC-SHA256 Credential=x/20261120/us-east-1/lambda/aws4_request, Signature=0',
          'x-amz-date': '20261120T000000Z',
          ...headers,
        },
      },
      (response) => {
        let text = '';
        response.setEncoding('latin1').on('data', (chunk: string) => {
          text += chunk;
        });
        response.on('end', () =>
          resolve({ status: response.statusCode ?? 0, headers: response.headers, text }),
        );
      },
    );
    outgoing.on('error', reject);
    outgoing.end(typeof event === 'string' ? event : JSON.stringify(event));
  });
}

test('a handler of Lambda gets the event itself, by name, ARN and alias', async () => {
  const arn = encodeURIComponent('arn:aws:lambda:us-east-1:000000000000:function:adder');
  for (const name of ['adder', arn, 'adder:prod']) {
    const { status, headers, text } = await invoke(name, { a: 1, b: 2 });
    assert.equal(status, 200, text);
    assert.equal(JSON.parse(text).sum, 3);
    assert.equal(headers['x-amz-function-error'], undefined);
    assert.equal(headers['x-amz-executed-version'], name === 'adder:prod' ? '1' : '$LATEST');
  }
  assert.deepEqual(JSON.parse((await invoke('py', { n: 21 })).text), { doubled: 42 });
});

test('a numbered version is that revision', async () => {
  const { status, headers, text } = await invoke('adder:1', { a: 1, b: 2 });
  assert.deepEqual([status, headers['x-amz-executed-version'], JSON.parse(text).sum], [200, '1', 3]);
  const event = await invoke('adder:1', {}, { 'x-amz-invocation-type': 'Event' });
  assert.equal(event.headers['x-amzn-errortype'], 'InvalidParameterValueException');
});

test('the log of an invocation comes with it when it is asked for', async () => {
  const { headers, text } = await invoke(
    'adder',
    { a: 1, b: 2, say: 'hello log' },
    { 'x-amz-log-type': 'Tail' },
  );
  assert.equal(JSON.parse(text).sum, 3);
  const log = Buffer.from(String(headers['x-amz-log-result']), 'base64').toString();
  const id = String(headers['x-amzn-requestid']);
  assert.match(
    log,
    new RegExp(`^START RequestId: ${id} Version: \\$LATEST\n[^]*hello log\n[^]*END RequestId: ${id}\n`),
  );
  assert.match(log, /REPORT RequestId: \S+\tDuration: [\d.]+ ms\tBilled Duration: \d+ ms/);
  assert.equal((await invoke('adder', {})).headers['x-amz-log-result'], undefined);
});

test('the caller and the function know an invocation by one id, and the function who calls', async () => {
  const context = Buffer.from(JSON.stringify({ custom: { who: 'zoë' } })).toString('base64');
  const given = { 'x-amz-client-context': context };
  const { headers, text } = await invoke('adder', { context: true }, given);
  const said = JSON.parse(Buffer.from(text, 'latin1').toString());
  assert.equal(said.id, headers['x-amzn-requestid']);
  assert.deepEqual(said.client, { custom: { who: 'zoë' } });
  assert.deepEqual(JSON.parse((await invoke('py', {}, given)).text), { custom: { who: 'zoë' } });
  assert.equal(JSON.parse((await invoke('adder', { context: true })).text).client, null);
  const bad = await invoke('adder', {}, { 'x-amz-client-context': 'bm8ganNvbg==' });
  assert.equal(bad.headers['x-amzn-errortype'], 'InvalidRequestContentException');
});

test('a function that ends in the middle of it is a failure of the function', async () => {
  const { status, headers, text } = await invoke('adder', { exit: true }, { 'x-amz-log-type': 'Tail' });
  assert.deepEqual([status, headers['x-amz-function-error']], [200, 'Unhandled']);
  assert.equal(JSON.parse(text).errorType, 'Runtime.ExitError');
  assert.match(Buffer.from(String(headers['x-amz-log-result']), 'base64').toString(), /leaving/);
  await eventually(
    'it works again',
    async () => JSON.parse((await invoke('adder', { a: 1, b: 1 })).text).sum === 2,
  );
});

test('an answer may come as a stream of events', async () => {
  const path = (name: string) => `/2021-11-15/functions/${name}/response-streaming-invocations`;
  const { status, headers, text } = await invoke('', {}, {}, path('flow'));
  assert.equal(status, 200, text);
  assert.equal(headers['content-type'], 'application/vnd.amazon.eventstream');
  const events = eventsOf(Buffer.from(text, 'latin1'));
  assert.equal(events.at(-1)?.type, 'InvokeComplete');
  assert.deepEqual(JSON.parse(events.at(-1)!.payload), {});
  const chunks = events.filter(({ type }) => type === 'PayloadChunk');
  assert.ok(chunks.length > 1, 'as it comes');
  assert.equal(chunks.map(({ payload }) => payload).join(''), 'one two three');
  const own = eventsOf(Buffer.from((await invoke('', {}, {}, path('streams'))).text, 'latin1'));
  assert.equal(own.map(({ payload }) => payload).join(''), 'one two three{}');
  const late = eventsOf(Buffer.from((await invoke('', { late: 1 }, {}, path('streams'))).text, 'latin1'));
  assert.equal(JSON.parse(late.at(-1)!.payload).ErrorCode, 'Unhandled');
  const early = await invoke('streams', { fail: 1 });
  assert.deepEqual(
    [early.headers['x-amz-function-error'], JSON.parse(early.text).errorType],
    ['Unhandled', 'TypeError'],
  );
  const failed = eventsOf(Buffer.from((await invoke('', { fail: true }, {}, path('adder'))).text, 'latin1'));
  assert.equal(JSON.parse(failed.at(-1)!.payload).ErrorCode, 'Unhandled');
  assert.equal(JSON.parse(failed[0]!.payload).errorType, 'TypeError');
  assert.equal(
    (await invoke('', {}, {}, path('nothing'))).headers['x-amzn-errortype'],
    'ResourceNotFoundException',
  );
});

/** Type and payload of each message. */
function eventsOf(bytes: Buffer): { type: string; payload: string }[] {
  const events: { type: string; payload: string }[] = [];
  for (let at = 0; at < bytes.length; at += bytes.readUInt32BE(at)) {
    const message = bytes.subarray(at, at + bytes.readUInt32BE(at));
    const head = 12 + message.readUInt32BE(4);
    const type = /:event-type\x07..(PayloadChunk|InvokeComplete)/s.exec(
      message.toString('latin1', 12, head),
    )?.[1];
    events.push({ type: type ?? '', payload: message.toString('utf8', head, message.length - 4) });
  }
  return events;
}

test('a function is described, without its variables', async () => {
  const get = (tail: string) => invoke('', '', {}, `/2015-03-31/functions/${tail}`, 'GET');
  const { status, text } = await get('adder/configuration');
  assert.equal(status, 200, text);
  const told = JSON.parse(text);
  assert.deepEqual(
    [told.FunctionName, told.Runtime, told.State, told.Version],
    ['adder', 'node', 'Active', '$LATEST'],
  );
  assert.equal(JSON.parse((await get('adder')).text).Configuration.FunctionName, 'adder');
  assert.equal((await get('nothing')).status, 404);
});

test('a handler of another shape gets the event as a body', async () => {
  const { text } = await invoke('web', { a: [1] });
  assert.deepEqual(JSON.parse(text), { got: { a: [1] }, method: 'POST' });
});

test('a failure of the function is a 200 that says so, with type and words', async () => {
  const { status, headers, text } = await invoke('adder', { fail: true });
  assert.equal(status, 200);
  assert.equal(headers['x-amz-function-error'], 'Unhandled');
  const { errorType, errorMessage } = JSON.parse(text);
  assert.deepEqual([errorType, errorMessage], ['TypeError', 'no luck']);
});

const refused: [string, string, unknown, Record<string, string>, number, string][] = [
  ['no such function', 'nothing', {}, {}, 404, 'ResourceNotFoundException'],
  ['no such alias', 'adder:dev', {}, {}, 404, 'ResourceNotFoundException'],
  ['no name', '..%2Fx', {}, {}, 400, 'InvalidParameterValueException'],
  ['no JSON', 'adder', '{', {}, 400, 'InvalidRequestContentException'],
  [
    'an unknown type',
    'adder',
    {},
    { 'x-amz-invocation-type': 'Later' },
    400,
    'InvalidParameterValueException',
  ],
  ['too long an event', 'adder', `"${'x'.repeat(6 * 1024 * 1024)}"`, {}, 413, 'RequestTooLargeException'],
];
for (const [title, name, event, headers, status, type] of refused)
  test(`refused as Lambda does: ${title}`, async () => {
    const answer = await invoke(name, event, headers);
    assert.deepEqual([answer.status, answer.headers['x-amzn-errortype']], [status, type], answer.text);
    assert.ok(JSON.parse(answer.text).message.length > 0);
  });

test('DryRun only looks, Event is accepted and carried out', async () => {
  assert.equal((await invoke('web', {}, { 'x-amz-invocation-type': 'DryRun' })).status, 204);
  assert.match(String((await invoke('nothing', {})).headers['x-amzn-requestid']), /^[0-9a-f-]{36}$/);
  const accepted = await invoke('web', { n: 7 }, { 'x-amz-invocation-type': 'Event' });
  assert.equal(accepted.status, 202, accepted.text);
  const done = await eventually('it is carried out', async () => {
    const list = await petrel.json<{ status: string }[]>(['invocations', 'list']);
    return list.find(({ status }) => status === 'succeeded');
  });
  assert.ok(done);
});

test('an Event reaches its handler as it is, and one that fails is tried again', async () => {
  const given = await invoke('adder', { a: 3, b: 4 }, { 'x-amz-invocation-type': 'Event' });
  assert.equal(given.status, 202, given.text);
  const of = (text: string) => JSON.parse(text).id as string;
  const result = await eventually('it is carried out', async () => {
    const url = `http://${platform.gateway}/.petrel/invocations/${of(given.text)}/result`;
    const answer = await fetch(url);
    return answer.status === 200 ? ((await answer.json()) as { sum: number }) : undefined;
  });
  assert.equal(result.sum, 7);
  const failing = await invoke('adder:prod', { fail: true }, { 'x-amz-invocation-type': 'Event' });
  const seen = await eventually('it has failed once and waits', async () => {
    const found = await petrel.json<{ status: string; attempts: { status?: number; error?: string }[] }>([
      'invocations',
      'get',
      of(failing.text),
    ]);
    return found.attempts.length > 0 ? found : undefined;
  });
  assert.deepEqual(
    [seen.attempts[0]?.status, seen.attempts[0]?.error],
    [200, 'the function failed (Unhandled)'],
  );
});

test('a client of the function itself cannot pass for the Invoke operation', async () => {
  const [host, port] = platform.gateway.split(':');
  const text = await new Promise<string>((resolve, reject) => {
    const outgoing = request(
      { host, port, method: 'POST', path: '/fn/default/adder/', headers: { 'x-petrel-lambda-event': 'raw' } },
      (response) => {
        let body = '';
        response.setEncoding('utf8').on('data', (chunk: string) => {
          body += chunk;
        });
        response.on('end', () => resolve(body));
      },
    );
    outgoing.on('error', reject);
    outgoing.end('{"a":1,"b":2}');
  });
  assert.doesNotMatch(text, /"sum":3/);
});
