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
      "export const handler = async (event, context) => { if (event.fail) throw new TypeError('no luck'); return { sum: event.a + event.b, name: context.functionName }; };",
    'web.ts':
      'export default { async fetch(request: Request) { return Response.json({ got: await request.json(), method: request.method }); } };',
    'py.py': 'def lambda_handler(event, context):\n    return {"doubled": event["n"] * 2}\n',
  });
  await petrel.deploy(scratch.path('adder.mjs'));
  await petrel.deploy(scratch.path('web.ts'));
  await petrel.deploy(scratch.path('py.py'));
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
function invoke(name: string, event: unknown, headers: Record<string, string> = {}): Promise<Answer> {
  const [host, port] = platform.gateway.split(':');
  return new Promise((resolve, reject) => {
    const outgoing = request(
      {
        host,
        port,
        method: 'POST',
        path: `/2015-03-31/functions/${name}/invocations`,
        headers: {
          authorization: 'AWS4-HMAC-SHA256 Credential=x/20261120/us-east-1/lambda/aws4_request, Signature=0',
          'x-amz-date': '20261120T000000Z',
          ...headers,
        },
      },
      (response) => {
        let text = '';
        response.setEncoding('utf8').on('data', (chunk: string) => {
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
  for (const name of ['adder', arn, 'adder:prod', 'adder/']) {
    if (name.endsWith('/')) continue;
    const { status, headers, text } = await invoke(name, { a: 1, b: 2 });
    assert.equal(status, 200, text);
    assert.equal(JSON.parse(text).sum, 3);
    assert.equal(headers['x-amz-function-error'], undefined);
    assert.equal(headers['x-amz-executed-version'], name === 'adder:prod' ? 'prod' : '$LATEST');
  }
  assert.deepEqual(JSON.parse((await invoke('py', { n: 21 })).text), { doubled: 42 });
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
