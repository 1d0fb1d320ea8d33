/** OpenFaaS' REST API: the requests that `faas-cli` sends, and faas-cli itself where it is installed. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { request } from 'node:http';
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

before(async () => {
  platform = await petrel.json<Status>(['up', '--detach', '--gateway', ':0', '--api', ':0'], {
    env: { PETREL_OPENFAAS: 'on' },
  });
  password = readFileSync(join(petrel.home, 'openfaas-password'), 'utf8').trim();
  scratch.write({
    'echo.mjs':
      "export default async (request) => new Response(request.method + ' ' + new URL(request.url).pathname + ' ' + (await request.text()));",
  });
  await petrel.deploy(scratch.path('echo.mjs'));
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

function ask(
  method: string,
  path: string,
  body?: unknown,
  credentials = `admin:${password}`,
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
    ['echo'],
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
  ok(['version', '--warn-update=false'], /petrel/);
});
