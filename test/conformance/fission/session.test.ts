/** Fission's quick start and what follows it, request by request as its CLI makes them, against a platform. */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { eventually, Petrel, Scratch, type Status } from '../../lib/platform.ts';
import { FissionCli, literal, strategy } from './cli.ts';

const HELLO = `module.exports = async function (context) {
  return { status: 200, body: "hello, world!\\n" };
};`;
/** Answers with what it got. */
const ECHO = `module.exports = async (context) => ({
  status: 200,
  headers: { 'content-type': 'application/json' },
  body: JSON.stringify({ url: context.request.url, method: context.request.method, headers: context.request.headers }),
});`;
const PYTHON = `from flask import request

def main():
    return "hello " + request.args.get("name", "nobody")

def other():
    return "other"
`;

describe('a session with the fission CLI', () => {
  const scratch = new Scratch();
  const petrel = new Petrel(scratch.path('h'));
  let platform: Status;
  let fission: FissionCli;
  before(async () => {
    platform = await petrel.up();
    fission = await FissionCli.open(petrel, platform);
  });
  after(async () => {
    fission?.close();
    await petrel.stop();
    scratch.dispose();
  });
  const ready = (name: string) => fission.wait('functions', name, 'Ready');
  const apply = async (kind: string, name: string, data: Record<string, string>) => {
    const plural = kind === 'Secret' ? 'secrets' : 'configmaps';
    const object = {
      apiVersion: 'v1',
      kind,
      metadata: { name },
      [kind === 'Secret' ? 'stringData' : 'data']: data,
    };
    const { code } = await fission.request('POST', `/api/v1/namespaces/default/${plural}`, object);
    assert.equal(code, 201);
    // The CLI looks whether it is there before it names it.
    assert.equal((await fission.request('GET', `/api/v1/namespaces/default/${plural}/${name}`)).code, 200);
  };

  test('before the first object the router has no paths', async () => {
    assert.equal((await fission.visit('/router-healthz')).status, 404);
    assert.deepEqual((await fission.list('functions')).body.items, []);
  });

  test('env create, fn create --code, fn test', async () => {
    await fission.envCreate('nodejs', 'ghcr.io/fission/node-env');
    await fission.fnCreate('hello', 'nodejs', HELLO);
    await ready('hello');
    const { status, body } = await fission.fnTest('hello');
    assert.deepEqual([status, body], [200, 'hello, world!\n']);
    assert.equal((await fission.visit('/router-healthz')).status, 200);
  });

  test('fn create, route create and a request at once: it waits for the function; one that fails says why', async () => {
    await fission.fnCreate('fresh', 'nodejs', HELLO);
    const functionref = { type: 'name', name: 'fresh' };
    await fission.routeCreate('fresh', { relativeurl: '/fresh', methods: ['GET', 'POST'], functionref });
    await fission.wait('httptriggers', 'fresh', 'RouteAdmitted');
    const answers = await Promise.all([
      fission.visit('/fresh'),
      fission.visit('/fresh', { method: 'POST', body: 'x'.repeat(100_000) }),
      fission.visit('/fission-function/fresh/a'),
    ]);
    assert.deepEqual(
      answers.map(({ status, body }) => [status, body]),
      answers.map(() => [200, 'hello, world!\n']),
    );
    await fission.fnCreate('broken', 'nodejs', 'module.exports = async (context) => {{;');
    const { status, body } = await eventually('an answer', async () => {
      const answer = await fission.visit('/fission-function/broken');
      return answer.status !== 404 && answer;
    });
    assert.equal(status, 503);
    const { component, reason, message } = JSON.parse(body);
    assert.deepEqual([component, reason], ['router', 'specialization_failed']);
    assert.match(message, /index\.js/);
  });

  test('pkg info: a package with nothing to build is done', async () => {
    const { body } = await fission.get('packages', 'hello-pkg');
    assert.equal(body.status.buildstatus, 'none');
    assert.match(body.status.contentHash, /^sha256:/);
    assert.ok(body.status.lastUpdateTimestamp);
  });

  test('route create --url: the function sees / and who it is', async () => {
    await fission.fnCreate('echo', 'nodejs', ECHO, { requestsPerPod: 10 });
    await ready('echo');
    await fission.routeCreate('echo', {
      relativeurl: '/echo',
      methods: ['GET', 'POST'],
      functionref: { type: 'name', name: 'echo', functionweights: null },
    });
    await fission.wait('httptriggers', 'echo', 'Ready');
    const { body } = await fission.visit('/echo?a=1');
    const seen = JSON.parse(body);
    assert.equal(seen.url, '/?a=1');
    assert.equal(seen.headers['x-fission-function-name'], 'echo');
    assert.equal(seen.headers['x-fission-function-namespace'], 'default');
    assert.equal(seen.headers['x-fission-full-url'], '/echo?a=1');
    const { body: object } = await fission.get('functions', 'echo');
    assert.equal(seen.headers['x-fission-function-uid'], object.metadata.uid);
    assert.equal((await fission.visit('/echo', { method: 'DELETE' })).status, 405);
    assert.equal((await fission.visit('/echo/more')).status, 404);
  });

  test('route create with variables, a prefix, a kept prefix, a host', async () => {
    const functionref = { type: 'name', name: 'echo' };
    await fission.routeCreate('vars', {
      relativeurl: '/guests/{id:[0-9]+}/{what}',
      methods: ['GET'],
      functionref,
    });
    await fission.routeCreate('pre', { prefix: '/api', methods: ['GET'], functionref });
    await fission.routeCreate('kept', { prefix: '/kept', keepPrefix: true, methods: ['GET'], functionref });
    await fission.routeCreate('host', {
      relativeurl: '/hosted',
      host: 'example.test',
      methods: ['GET'],
      functionref,
    });
    for (const name of ['vars', 'pre', 'kept', 'host'])
      await fission.wait('httptriggers', name, 'RouteAdmitted');
    const seen = async (url: string, host?: string) =>
      JSON.parse((await fission.visit(url, host ? { host } : {})).body);
    const { url, headers } = await seen('/guests/42/name');
    assert.deepEqual(
      [url, headers['x-fission-params-id'], headers['x-fission-params-what']],
      ['/', '42', 'name'],
    );
    assert.equal((await fission.visit('/guests/ada/name')).status, 404);
    assert.equal((await seen('/api/v1/x?y=1')).url, '/v1/x?y=1');
    assert.equal((await seen('/api')).url, '/');
    assert.equal((await seen('/kept/x')).url, '/kept/x');
    assert.equal((await fission.visit('/hosted')).status, 404);
    assert.equal((await seen('/hosted', 'example.test')).url, '/');
  });

  test('fn test with namespace, subpath, method and body; a function that is not there', async () => {
    const { body } = await fission.fnTest('echo', { subpath: '/a/b?c=d', method: 'POST', body: 'x' });
    assert.deepEqual([JSON.parse(body).url, JSON.parse(body).method], ['/a/b?c=d', 'POST']);
    assert.equal((await fission.visit('/fission-function/default/hello')).status, 200);
    const missing = await fission.visit('/fission-function/nobody');
    assert.equal(missing.status, 404);
    assert.equal(missing.headers['x-fission-route-miss'], 'true');
    assert.equal(JSON.parse(missing.body).component, 'router');
  });

  test('fn update --code: the next answer is the new one', async () => {
    assert.equal((await fission.get('functions', 'hello')).code, 200);
    const pkg = await fission.update('packages', 'hello-pkg', (object) => {
      object.spec.deployment = literal(HELLO.replace('world', 'fission'));
    });
    await fission.request('PUT', '/apis/fission.io/v1/namespaces/default/packages/hello-pkg/status', {
      ...pkg,
      status: { ...pkg.status, buildstatus: 'pending' },
    });
    await fission.update('functions', 'hello', (object) => {
      object.spec.package.packageref.resourceversion = pkg.metadata.resourceVersion;
    });
    await eventually(
      'the new code',
      async () => (await fission.fnTest('hello')).body === 'hello, fission!\n',
    );
    await eventually(
      'status',
      async () => (await fission.get('packages', 'hello-pkg')).body.status.buildstatus === 'none',
    );
  });

  test('fn update with a broken file: the error is the language’s own, and the old code answers', async () => {
    const code = literal('module.exports = async (context) => {{;');
    await fission.update('packages', 'hello-pkg', (object) => {
      object.spec.deployment = code;
    });
    const { status } = await fission.wait('functions', 'hello', 'Ready', 'False');
    const condition = status.conditions.find((c: { type: string }) => c.type === 'Ready');
    assert.match(condition.message, /index\.js/);
    assert.match(condition.message, /SyntaxError|Unexpected|Expected/);
    assert.equal((await fission.fnTest('hello')).body, 'hello, fission!\n');
    await fission.update('packages', 'hello-pkg', (object) => {
      object.spec.deployment = literal(HELLO);
    });
    await ready('hello');
  });

  test('python, entry points, env variables, secrets and configmaps', async () => {
    await fission.envCreate('python', 'fission/python-env:latest');
    await fission.fnCreate('py', 'python', PYTHON);
    await ready('py');
    assert.equal((await fission.fnTest('py', { subpath: '?name=ada' })).body, 'hello ada');
    const pkg = (await fission.get('packages', 'py-pkg')).body;
    await fission.fnOf('py-other', 'python', pkg, {
      package: { packageref: { namespace: 'default', name: 'py-pkg' }, functionName: 'main.other' },
    });
    await ready('py-other');
    assert.equal((await fission.fnTest('py-other')).body, 'other');
    await apply('Secret', 'keys', { token: 's3cret' });
    await apply('ConfigMap', 'conf', { 'a.txt': 'first' });
    const reading = `const { readFileSync } = require('node:fs');
      module.exports = async (context) => ({ status: 200, body: [
        readFileSync('/secrets/default/keys/token', 'utf8'),
        readFileSync('/configs/default/conf/a.txt', 'utf8'),
        process.env.GREETING, process.env.TOKEN ].join(' ') });`;
    await fission.fnCreate('reads', 'nodejs', reading, {
      secrets: [{ name: 'keys', namespace: 'default' }],
      configmaps: [{ name: 'conf', namespace: 'default' }],
      env: [
        { name: 'GREETING', value: 'hi' },
        { name: 'TOKEN', valueFrom: { secretKeyRef: { name: 'keys', key: 'token' } } },
      ],
    });
    await ready('reads');
    assert.equal((await fission.fnTest('reads')).body, 's3cret first hi s3cret');
  });

  test('newdeploy keeps its minimum; run-container runs an image', async () => {
    await fission.fnCreate('scaled', 'nodejs', HELLO, { InvokeStrategy: strategy('newdeploy', 1, 3) });
    await ready('scaled');
    assert.equal((await fission.fnTest('scaled')).body, 'hello, world!\n');
    await fission.absent('functions', 'boxed');
    await fission.create('Function', 'functions', 'boxed', {
      environment: { namespace: '' },
      InvokeStrategy: strategy('container', 0, 1),
      functionTimeout: 60,
      podspec: {
        containers: [
          {
            name: 'boxed',
            image: 'petrel.dev/host',
            command: [process.execPath, '-e'],
            args: [
              "require('node:http').createServer((q, a) => a.end('boxed ' + process.env.WHO)).listen(process.env.PORT)",
            ],
            env: [{ name: 'WHO', value: 'cat' }],
            ports: [{ name: 'http-env', containerPort: 8888 }],
            resources: {},
          },
        ],
      },
    });
    await ready('boxed');
    assert.equal((await fission.fnTest('boxed')).body, 'boxed cat');
  });

  test('fn pods, fn logs: by the labels that the CLI knows', async () => {
    const { body: fn } = await fission.get('functions', 'echo');
    assert.equal((await fission.fnTest('echo')).status, 200);
    const selector = `environmentName=nodejs,environmentNamespace=default,functionUid=${fn.metadata.uid}`;
    const pods = await eventually('the pod', async () => {
      const { body } = await fission.request(
        'GET',
        `/api/v1/namespaces/default/pods?labelSelector=${encodeURIComponent(selector)}`,
      );
      return body.items.length > 0 && body.items;
    });
    const pod = pods[0];
    const log = `/api/v1/namespaces/default/pods/${pod.metadata.name}/log?container=${pod.spec.containers[0].name}&tailLines=20`;
    assert.equal((await fission.request('GET', log)).code, 200);
  });

  test('env list, fn list, ht list, check: what the tables are made of', async () => {
    for (const plural of [
      'environments',
      'functions',
      'packages',
      'httptriggers',
      'functionaliases',
      'workflowruns',
    ])
      assert.equal((await fission.listAll(plural)).code, 200, plural);
    for (const url of [
      '/version',
      '/apis/apps/v1/deployments',
      '/api/v1/services?labelSelector=application%3Dfission-storage',
    ])
      assert.equal((await fission.request('GET', url)).code, 200, url);
    assert.match((await fission.visit('/_version')).body, /petrel-/);
  });

  test('an environment whose image nobody knows says how to name its runtime', async () => {
    await fission.envCreate('odd', 'example.com/cobol-env');
    await fission.wait('environments', 'odd', 'Ready', 'False');
    await fission.fnCreate('lost', 'odd', 'x');
    const { status } = await fission.wait('functions', 'lost', 'Ready', 'False');
    const { reason, message } = status.conditions.find((c: { type: string }) => c.type === 'Ready');
    assert.equal(reason, 'UnknownImage');
    assert.match(message, /petrel\.dev\/runtime/);
    await fission.update('environments', 'odd', (object) => {
      object.metadata.annotations = { 'petrel.dev/runtime': 'node' };
    });
    await fission.update('packages', 'lost-pkg', (object) => {
      object.spec.deployment = literal(HELLO);
    });
    await ready('lost');
    assert.equal((await fission.fnTest('lost')).body, 'hello, world!\n');
  });

  test('a name that somebody else has is left alone', async () => {
    const service = {
      apiVersion: 'serving.knative.dev/v1',
      kind: 'Service',
      metadata: { name: 'taken' },
      spec: {
        template: { spec: { containers: [{ image: 'petrel.dev/host', command: ['sleep'], args: ['1'] }] } },
      },
    };
    const url = '/apis/serving.knative.dev/v1/namespaces/default/services';
    assert.equal((await fission.request('POST', url, service)).code, 201);
    await fission.fnCreate('taken', 'nodejs', HELLO);
    const { status } = await fission.wait('functions', 'taken', 'Ready', 'False');
    assert.match(JSON.stringify(status.conditions), /NotOwned/);
    assert.equal((await fission.request('GET', `${url}/taken`)).body.metadata.ownerReferences, undefined);
  });

  test('ht delete, fn delete, env delete: nothing is left behind', async () => {
    assert.equal((await fission.delete('httptriggers', 'echo')).code, 200);
    await eventually('the route goes', async () => (await fission.visit('/echo')).status === 404);
    assert.equal((await fission.delete('functions', 'echo')).code, 200);
    await eventually(
      'the function goes',
      async () => (await fission.visit('/fission-function/echo')).status === 404,
    );
    const service = '/apis/serving.knative.dev/v1/namespaces/default/services/echo';
    await eventually('its service goes', async () => (await fission.request('GET', service)).code === 404);
    // `env delete` refuses by itself when the list of functions names it.
    const { body } = await fission.listAll('functions');
    assert.ok(body.items.every((fn: { metadata: { name: string } }) => fn.metadata.name !== 'echo'));
  });

  test('all of it outlives a restart of the platform', async () => {
    fission.close();
    await petrel.stop();
    platform = await petrel.up();
    fission = await FissionCli.open(petrel, platform);
    assert.equal((await fission.fnTest('hello')).body, 'hello, world!\n');
    assert.equal((await fission.visit('/api/after')).status, 404, 'its function is gone');
  });
});
