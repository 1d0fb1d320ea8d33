/** OpenFaaS' REST API: the requests that `faas-cli` sends, and faas-cli itself where it is installed. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { createServer, request } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { eventually, Petrel, Scratch, type Status } from '../../lib/platform.ts';

const scratch = new Scratch();
const petrel = new Petrel(scratch.path('h'));
const CLI = process.env.FAAS_CLI ?? 'faas-cli';
const cli =
  spawnSync(CLI, ['version', '--short-version']).status === 0 ? undefined : `${CLI} is not installed`;
let platform: Status;
let password: string;

/** Where callbacks are heard: allowed when the platform starts. */
let hookPort: number;

before(async () => {
  hookPort = await freePort();
  platform = await petrel.json<Status>(['up', '--detach', '--gateway', ':0', '--api', ':0'], {
    env: { PETREL_OPENFAAS: 'on', PETREL_CALLBACK_HOSTS: `127.0.0.1:${hookPort}` },
  });
  password = readFileSync(join(petrel.home, 'openfaas-password'), 'utf8').trim();
  scratch.write({
    'echo.mjs':
      "export default async (request) => new Response(request.method + ' ' + new URL(request.url).pathname + ' ' + (await request.text()));",
  });
  scratch.write({
    'talker.mjs': `export default async (request) => {
      console.log('said ' + (await request.text()));
      return new Response('');
    };`,
  });
  await petrel.deploy(scratch.path('echo.mjs'));
  await petrel.deploy(scratch.path('talker.mjs'));
});
after(async () => {
  await petrel.stop();
  scratch.dispose();
});

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  return port;
}

interface Answer {
  status: number;
  headers: NodeJS.Dict<string | string[]>;
  text: string;
}

function ask(
  method: string,
  path: string,
  body?: unknown,
  credentials = `admin:${password}`,
  fields: Record<string, string> = {},
): Promise<Answer> {
  const [host, port] = platform.gateway.split(':');
  const text = body === undefined ? undefined : typeof body === 'string' ? body : JSON.stringify(body);
  return new Promise((resolve, reject) => {
    const outgoing = request(
      {
        host,
        port,
        agent: false,
        method,
        path,
        headers: {
          authorization: `Basic ${Buffer.from(credentials).toString('base64')}`,
          ...fields,
          ...(text === undefined ? {} : { 'content-length': Buffer.byteLength(text) }),
        },
      },
      (response) => {
        let said = '';
        response.setEncoding('utf8').on('data', (chunk: string) => {
          said += chunk;
        });
        response.on('end', () =>
          resolve({ status: response.statusCode ?? 0, headers: response.headers, text: said }),
        );
      },
    );
    outgoing.on('error', reject);
    outgoing.end(text);
  });
}

test('what changes things asks for the password', async () => {
  const answer = await ask('GET', '/system/functions', undefined, 'admin:wrong');
  assert.equal(answer.status, 401);
  assert.match(String(answer.headers['www-authenticate']), /^Basic/);
  assert.equal((await ask('GET', '/healthz', undefined, '')).status, 200);
});

test('functions of every origin are listed and described', async () => {
  const list = JSON.parse((await ask('GET', '/system/functions')).text);
  assert.deepEqual(
    list.map(({ name }: { name: string }) => name),
    ['echo', 'talker'],
  );
  const one = JSON.parse((await ask('GET', '/system/function/echo?namespace=default')).text);
  assert.equal(one.name, 'echo');
  assert.equal(typeof one.replicas, 'number');
  assert.equal((await ask('GET', '/system/function/nothing')).status, 404);
});

test('a call passes path, query and body, the first and those after it', async () => {
  for (let round = 0; round < 3; round++) {
    const answer = await ask('POST', '/function/echo/there?x=1', `body ${round}`, '');
    assert.deepEqual([answer.status, answer.text], [200, `POST /there body ${round}`]);
  }
  assert.equal((await ask('POST', '/function/echo.default', 'x', '')).text, 'POST / x');
  assert.equal((await ask('GET', '/function/nothing', undefined, '')).status, 404);
});

test('an asynchronous call is accepted with its id and carried out', async () => {
  const answer = await ask('POST', '/async-function/echo', 'later', '');
  assert.equal(answer.status, 202, answer.text);
  assert.match(String(answer.headers['x-call-id']), /^[\w-]+$/);
  await eventually('it is carried out', async () => {
    const list = await petrel.json<{ status: string }[]>(['invocations', 'list']);
    return list.some(({ status }) => status === 'succeeded');
  });
});

test('logs are lines of JSON: of what is there, since a time, the last ones, and what comes', async () => {
  const log = async (query: string) => {
    const { status, text, headers } = await ask('GET', `/system/logs?name=talker${query}`);
    assert.equal(status, 200, text);
    assert.equal(headers['content-type'], 'application/x-ndjson');
    return text
      .split('\n')
      .filter(Boolean)
      .map((line) => JSON.parse(line))
      .filter(({ text: said }) => /^said/.test(said));
  };
  for (const word of ['one', 'two']) await ask('POST', '/function/talker', word, '');
  const lines = await eventually('two lines', async () => {
    const found = await log('');
    return found.length === 2 && found;
  });
  assert.deepEqual(
    lines.map(({ name, namespace, text }) => [name, namespace, text]),
    [
      ['talker', 'default', 'said one'],
      ['talker', 'default', 'said two'],
    ],
  );
  const { timestamp, instance } = lines[1];
  assert.match(timestamp, /^\d{4}-\d\d-\d\dT[\d:.]+Z$/);
  assert.deepEqual(await log('&tail=1'), [lines[1]]);
  assert.deepEqual(await log('&tail=-1&namespace=openfaas-fn'), lines);
  assert.deepEqual(await log(`&since=${timestamp}&instance=${instance}`), [lines[1]]);
  assert.deepEqual(await log('&since=2100-01-01T00:00:00Z'), []);
  assert.equal((await ask('GET', '/system/logs?name=nothing')).status, 404);
  assert.equal((await ask('GET', '/system/logs?name=talker&since=now')).status, 422);
  assert.equal((await ask('GET', '/system/logs?name=talker&tail=x')).status, 422);
  assert.equal((await ask('GET', '/system/logs?name=talker', undefined, '')).status, 401);

  const [host, port] = platform.gateway.split(':');
  let heard = '';
  const following = request({
    host,
    port,
    path: '/system/logs?name=talker&follow=true',
    headers: { authorization: `Basic ${Buffer.from(`admin:${password}`).toString('base64')}` },
  });
  following.on('response', (response) =>
    response.setEncoding('utf8').on('data', (part: string) => {
      heard += part;
    }),
  );
  following.on('error', () => {});
  following.end();
  await eventually('what was is told', async () => heard.includes('said two'));
  await ask('POST', '/function/talker', 'three', '');
  await eventually('what comes is told', async () => heard.includes('said three'));
  assert.equal(heard.split('"said two"').length, 2);
  following.destroy();
});

test('the outcome of an asynchronous call is posted to its callback', async () => {
  const got: { headers: NodeJS.Dict<string | string[]>; body: string }[] = [];
  const hook = createServer(async (incoming, response) => {
    let body = '';
    for await (const part of incoming.setEncoding('utf8')) body += part;
    // The first time it cannot be told: it is told again.
    response.statusCode = got.length === 0 ? 500 : 200;
    got.push({ headers: incoming.headers, body });
    response.end();
  }).listen(hookPort, '127.0.0.1');
  await once(hook, 'listening');
  try {
    const url = `http://127.0.0.1:${hookPort}/hook`;
    const accepted = await ask('POST', '/async-function/echo/x', 'later', '', { 'x-callback-url': url });
    assert.equal(accepted.status, 202, accepted.text);
    const told = await eventually('it is told', async () => got[1]);
    assert.equal(told.body, 'POST /x later');
    assert.deepEqual(
      ['x-call-id', 'x-function-name', 'x-function-status'].map((name) => told.headers[name]),
      [accepted.headers['x-call-id'], 'echo', '200'],
    );
    assert.match(String(told.headers['x-duration-seconds']), /^\d+\.\d{6}$/);
    assert.equal(told.headers['x-petrel-callback'], undefined);
  } finally {
    hook.close();
  }
  const chained = await ask('POST', '/async-function/echo', 'chain', '', {
    'x-callback-url': 'http://gateway.openfaas:8080/function/talker',
  });
  assert.equal(chained.status, 202, chained.text);
  await eventually('one function after the other', async () =>
    (await ask('GET', '/system/logs?name=talker')).text.includes('said POST / chain'),
  );
  for (const url of [
    'http://169.254.169.254/latest',
    'file:///etc/passwd',
    'http://127.0.0.1:22/',
    'nowhere',
  ]) {
    const refused = await ask('POST', '/async-function/echo', 'x', '', { 'x-callback-url': url });
    assert.equal(refused.status, 400, url);
    assert.match(refused.text, /X-Callback-Url/);
  }
});

test('namespaces come, change and go; those of others stay', async () => {
  const named = { name: 'dev', labels: { team: 'red' } };
  assert.equal((await ask('POST', '/system/namespace/', named)).status, 201);
  assert.equal((await ask('POST', '/system/namespace/', named)).status, 409);
  assert.equal(
    (await ask('PUT', '/system/namespace/dev', { name: 'dev', labels: { team: 'blue' } })).status,
    202,
  );
  const told = JSON.parse((await ask('GET', '/system/namespace/dev')).text);
  assert.deepEqual([told.name, told.labels.team, told.annotations.openfaas], ['dev', 'blue', '1']);
  assert.equal((await ask('DELETE', '/system/namespace/default')).status, 403);
  assert.equal((await ask('DELETE', '/system/namespace/dev')).status, 202);
  await eventually('it is gone', async () => (await ask('GET', '/system/namespace/dev')).status === 404);
  assert.equal((await ask('POST', '/system/namespace/', {})).status, 400);
  assert.equal((await ask('POST', '/system/namespace/', { name: 'x', labels: { a: 1 } })).status, 400);
});

test('deploy, update, scale and delete', async () => {
  const deployment = {
    service: 'figlet',
    image: 'dev.local/figlet',
    labels: { 'com.openfaas.scale.zero': 'true' },
  };
  assert.equal((await ask('PUT', '/system/functions', deployment)).status, 404);
  assert.equal((await ask('POST', '/system/functions', deployment)).status, 202);
  assert.equal((await ask('PUT', '/system/functions', { ...deployment, envVars: { A: '1' } })).status, 202);
  const one = JSON.parse((await ask('GET', '/system/function/figlet')).text);
  assert.deepEqual([one.image, one.envVars], ['dev.local/figlet', { A: '1' }]);
  const scaled = await ask('POST', '/system/scale-function/figlet', { serviceName: 'figlet', replicas: 2 });
  assert.equal(scaled.status, 202, scaled.text);
  assert.equal((await ask('DELETE', '/system/functions', { functionName: 'figlet' })).status, 202);
  assert.equal((await ask('DELETE', '/system/functions', { functionName: 'figlet' })).status, 404);
  assert.equal((await ask('DELETE', '/system/functions', { functionName: 'echo' })).status, 409);
});

const refused: [string, string, string, unknown, number][] = [
  ['no JSON', 'POST', '/system/functions', '{', 400],
  ['no name', 'POST', '/system/functions', { image: 'x' }, 400],
  ['no image', 'POST', '/system/functions', { service: 'x' }, 400],
  ['a name that is none', 'POST', '/system/functions', { service: 'No_Name', image: 'dev.local/x' }, 422],
  ['too much', 'POST', '/system/functions', `"${'x'.repeat(2_000_000)}"`, 413],
  ['an operation that there is not', 'GET', '/system/alert', undefined, 404],
];
for (const [title, method, path, body, status] of refused)
  test(`refused: ${title}`, async () => {
    const answer = await ask(method, path, body);
    assert.ok(
      answer.status === status || (status === 422 && answer.status === 400),
      `${answer.status} ${answer.text}`,
    );
    assert.ok(answer.text.length > 0);
  });

test('secrets come, change and go; those of others are not seen', async () => {
  const made = await ask('POST', '/system/secrets', { name: 'key', value: 'one' });
  assert.equal(made.status, 201, made.text);
  assert.equal((await ask('POST', '/system/secrets', { name: 'key', value: 'one' })).status, 409);
  assert.equal((await ask('PUT', '/system/secrets', { name: 'key', value: 'two' })).status, 202);
  assert.deepEqual(JSON.parse((await ask('GET', '/system/secrets')).text), [
    { name: 'key', namespace: 'default' },
  ]);
  assert.equal((await ask('DELETE', '/system/secrets', { name: 'key' })).status, 202);
  assert.equal((await ask('DELETE', '/system/secrets', { name: 'key' })).status, 404);
});

test('faas-cli: login, list, describe, invoke, deploy, remove, secrets, namespaces, version', {
  skip: cli ?? false,
}, () => {
  const gateway = `http://${platform.gateway}`;
  const run = (args: string[], input = '') => {
    const done = spawnSync(CLI, [...args, '--gateway', gateway], {
      input,
      encoding: 'utf8',
      env: { ...process.env, HOME: scratch.dir, OPENFAAS_CONFIG: scratch.path('faas') },
    });
    return { code: done.status, text: `${done.stdout}${done.stderr}` };
  };
  const ok = (args: string[], words: RegExp, input = '') => {
    const { code, text } = run(args, input);
    assert.equal(code, 0, `${args.join(' ')}: ${text}`);
    assert.match(text, words, args.join(' '));
  };
  ok(['login', '--username', 'admin', '--password-stdin'], /credentials saved/, password);
  ok(['list'], /echo\s/);
  ok(['describe', 'echo'], /Name:\s+echo/);
  ok(['invoke', 'echo'], /POST \/ hello/, 'hello');
  ok(['deploy', '--name', 'figlet', '--image', 'dev.local/figlet'], /Deployed|202/);
  ok(['list'], /figlet\s/);
  ok(['remove', 'figlet'], /Removing/);
  ok(['secret', 'create', 'key', '--from-literal', 'one'], /Created|201/);
  ok(['secret', 'list'], /key/);
  ok(['secret', 'remove', 'key'], /Removed|202/);
  ok(['namespaces'], /default/);
  ok(['logs', 'echo', '--tail=false'], /.*/);
  ok(['invoke', 'talker', '--async'], /.*/, 'from afar');
  ok(['logs', 'talker', '--tail=false', '--instance'], /said (one|from afar)/);
  ok(['namespace', 'create', 'qa', '--label', 'team=red'], /qa/);
  ok(['namespace', 'get', 'qa'], /team/);
  ok(['namespace', 'remove', 'qa'], /qa/, 'yes\n');
  ok(['ready', '--attempts', '1'], /is ready/);
  ok(['version', '--warn-update=false'], /petrel/);
});
