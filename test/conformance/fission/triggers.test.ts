/** Timers, watches and queues, versions and aliases, weights and canaries: what calls functions besides clients, and which of them. */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { connect, jetstream, jetstreamManager } from '../../../src/clients/nats/index.ts';
import { createClient } from '../../../src/clients/redis/index.ts';
import { EVENT_SOURCES, SECRETS } from '../../../src/kube/refs.ts';
import { natsServer } from '../../lib/brokers/nats.ts';
import { redisServer } from '../../lib/brokers/redis.ts';
import { eventually, Petrel, Scratch, type Status } from '../../lib/platform.ts';
import { FissionCli, type Json, literal } from './cli.ts';

/** Remembers how it was called; `GET /calls` tells. */
const RECORDER = `const calls = [];
module.exports = async ({ request }) => {
  if (request.url === '/calls') return { status: 200, body: JSON.stringify(calls) };
  calls.push({ method: request.method, url: request.url, headers: request.headers, body: request.body });
  return { status: 200, body: 'noted' };
};`;
const says = (word: string) => `module.exports = async () => ({ status: 200, body: '${word}' });`;

describe('what calls functions', () => {
  const scratch = new Scratch();
  const petrel = new Petrel(scratch.path('h'));
  let platform: Status;
  let fission: FissionCli;
  before(async () => {
    platform = await petrel.up();
    fission = await FissionCli.open(petrel, platform);
    await fission.envCreate('nodejs', 'ghcr.io/fission/node-env');
    // One instance, so that what it remembers is everything.
    await fission.fnCreate('recorder', 'nodejs', RECORDER, { requestsPerPod: 50, concurrency: 1 });
    await fission.wait('functions', 'recorder', 'Ready');
  });
  after(async () => {
    fission?.close();
    await petrel.stop();
    scratch.dispose();
  });
  const functionref = { type: 'name', name: 'recorder', functionweights: null };
  const calls = async (): Promise<Json[]> =>
    JSON.parse((await fission.visit('/fission-function/recorder/calls')).body);
  const called = (what: string, matches: (call: Json) => boolean) =>
    eventually(what, async () => (await calls()).find(matches));

  test('timer create --cron, with method and subpath; a wrong schedule says so', async () => {
    await fission.absent('timetriggers', 'tick');
    await fission.create('TimeTrigger', 'timetriggers', 'tick', {
      cron: '@every 1s',
      functionref,
      method: 'PUT',
      subpath: '/tick/tock',
    });
    const { method, url } = await called(
      'the timer',
      (call) => call.headers['x-fission-timer-name'] === 'tick',
    );
    assert.deepEqual([method, url], ['PUT', '/tick/tock']);
    await fission.wait('timetriggers', 'tick', 'Scheduled');
    await fission.delete('timetriggers', 'tick');
    const { spec } = await fission.create('TimeTrigger', 'timetriggers', 'never', {
      cron: 'soon',
      functionref,
    });
    assert.deepEqual([spec.method, spec.subpath], ['POST', '/']);
    const { status } = await fission.wait('timetriggers', 'never', 'Ready', 'False');
    assert.match(JSON.stringify(status.conditions), /InvalidSchedule/);
  });

  test('watch create: changes of objects with the labels, in their order', async () => {
    await fission.create('KubernetesWatchTrigger', 'kuberneteswatchtriggers', 'services', {
      namespace: 'default',
      type: 'service',
      labelselector: { watched: 'yes' },
      functionref,
    });
    await fission.wait('kuberneteswatchtriggers', 'services', 'Subscribed');
    const url = '/api/v1/namespaces/default/services';
    const service = (name: string, labels: Json) => ({
      apiVersion: 'v1',
      kind: 'Service',
      metadata: { name, labels },
      spec: { ports: [{ port: 80 }] },
    });
    assert.equal((await fission.request('POST', url, service('unseen', {}))).code, 201);
    assert.equal((await fission.request('POST', url, service('seen', { watched: 'yes' }))).code, 201);
    assert.equal((await fission.request('DELETE', `${url}/seen`)).code, 200);
    await called('the deletion', (call) => call.headers['x-kubernetes-event-type'] === 'DELETED');
    const events = (await calls()).filter((call) => call.headers['x-kubernetes-object-type'] === 'Service');
    assert.deepEqual(
      events.map((call) => [call.headers['x-kubernetes-event-type'], call.body.metadata.name]),
      [
        ['ADDED', 'seen'],
        ['DELETED', 'seen'],
      ],
    );
    await fission.delete('kuberneteswatchtriggers', 'services');
  });

  test('fn test --async, and a trigger whose calls are all for later: 202 with an id, carried out once', async () => {
    const headers = { 'X-Fission-Invoke-Mode': 'async', 'X-Fission-Dedup-Key': 'k1' };
    const later = () => fission.fnTest('recorder', { subpath: '/later', method: 'POST', headers });
    const accepted = await later();
    assert.equal(accepted.status, 202, accepted.body);
    const id = accepted.headers['x-fission-invocation-id'];
    assert.ok(id);
    assert.equal(
      (await later()).headers['x-fission-invocation-id'],
      id,
      'the same key is the same invocation',
    );
    await called('the invocation', (call) => call.url === '/later');
    await fission.routeCreate('later', {
      relativeurl: '/for-later',
      methods: ['PUT'],
      invocationMode: 'async',
      functionref,
    });
    await fission.wait('httptriggers', 'later', 'Ready');
    const answer = await fission.visit('/for-later', { method: 'PUT', body: 'x' });
    assert.equal(answer.status, 202, answer.body);
    assert.ok(answer.headers['x-fission-invocation-id']);
    await called('the trigger', (call) => call.method === 'PUT' && call.url === '/');
    assert.equal((await calls()).filter((call) => call.url === '/later').length, 1);
  });

  test('mqt create: messages of a list call the function; what it never takes goes to errorTopic', async (t) => {
    const redis = await redisServer('hush');
    if (typeof redis === 'string') return t.skip(redis);
    t.after(() => redis.stop());
    const client = createClient({ url: redis.url, password: 'hush', RESP: 2 });
    client.on('error', () => {});
    await client.connect();
    t.after(() => client.destroy());
    const fails = `module.exports = async () => ({ status: 500, body: 'no' });`;
    await fission.fnCreate('failing', 'nodejs', fails, { requestsPerPod: 50, concurrency: 1 });
    const api = await petrel.api();
    t.after(() => api.close());
    const metadata = { name: 'redis', namespace: 'default' };
    const stringData = { password: 'hush' };
    await api.create(SECRETS, { apiVersion: 'v1', kind: 'Secret', metadata, stringData } as never);
    const queue = {
      messageQueueType: 'redis',
      mqtkind: 'keda',
      metadata: { address: `127.0.0.1:${redis.port}` },
      secret: 'redis',
    };
    await fission.create('MessageQueueTrigger', 'messagequeuetriggers', 'good', {
      ...queue,
      functionref,
      topic: 'in',
      respTopic: 'out',
      contentType: 'application/json',
    });
    await fission.wait('messagequeuetriggers', 'good', 'BindingReady');
    await client.sendCommand(['LPUSH', 'in', '{"n":1}']);
    const call = await called('the message', ({ headers }) =>
      headers['ce-type']?.startsWith('dev.petrel.redis'),
    );
    assert.deepEqual(call.body, { n: 1 }, 'it is what contentType says');
    assert.equal(call.url, '/');
    assert.equal(call.headers['x-fission-mqtrigger-topic'], 'in');
    assert.equal(call.headers['x-fission-mqtrigger-resptopic'], 'out');
    assert.equal(call.headers['x-fission-function-name'], 'recorder');
    const answer = () => client.sendCommand(['LRANGE', 'out', '0', '-1']);
    await eventually('the answer', async () => String(await answer()) === 'noted');

    await fission.create('MessageQueueTrigger', 'messagequeuetriggers', 'bad', {
      ...queue,
      functionref: { ...functionref, name: 'failing' },
      topic: 'poison',
      errorTopic: 'errors',
      maxRetries: 1,
    });
    await fission.wait('messagequeuetriggers', 'bad', 'BindingReady');
    await client.sendCommand(['LPUSH', 'poison', 'bad message']);
    await eventually('the error', async () => Number(await client.sendCommand(['LLEN', 'errors'])) === 1);
    await fission.delete('messagequeuetriggers', 'good');
    await fission.delete('messagequeuetriggers', 'bad');
    await eventually('its source goes with it', async () => {
      const { items } = await api.list(EVENT_SOURCES, { namespace: 'default' });
      return items.length === 0;
    });
  });

  test('mqt create with weights: messages of a JetStream go to functions, their answers to a subject', async (t) => {
    const nats = await natsServer({ user: 'alice', password: 'hush' });
    if (typeof nats === 'string') return t.skip(nats);
    t.after(() => nats.stop());
    const nc = await connect({ servers: nats.url, user: 'alice', pass: 'hush' });
    t.after(() => nc.close());
    await (await jetstreamManager(nc)).streams.add({ name: 'WORK', subjects: ['work.>'] });
    for (const word of ['left', 'right'])
      await fission.fnCreate(word, 'nodejs', says(word), { requestsPerPod: 50 });
    const api = await petrel.api();
    t.after(() => api.close());
    const stringData = { username: 'alice', password: 'hush' };
    const metadata = { name: 'nats', namespace: 'default' };
    await api.create(SECRETS, { apiVersion: 'v1', kind: 'Secret', metadata, stringData } as never);
    await fission.create('MessageQueueTrigger', 'messagequeuetriggers', 'weighted', {
      messageQueueType: 'nats-jetstream',
      mqtkind: 'keda',
      topic: 'work.in',
      respTopic: 'work.out',
      metadata: { natsServer: nats.url, stream: 'WORK', consumer: 'fission' },
      secret: 'nats',
      functionref: { type: 'function-weights', name: '', functionweights: { left: 50, right: 50 } },
    });
    await fission.wait('messagequeuetriggers', 'weighted', 'Ready');
    const heard = new Set<string>();
    const out = nc.subscribe('work.out');
    t.after(() => out.unsubscribe());
    for (let i = 0; i < 4; i++) await jetstream(nc).publish('work.in', `${i}`);
    for await (const message of out) if (heard.add(message.string()).size === 2) break;
    assert.deepEqual([...heard].sort(), ['left', 'right']);
    await fission.delete('messagequeuetriggers', 'weighted');
  });

  test('mqt create: what is lacking, or not fetched, is told', async () => {
    const queue = { functionref, topic: 'in', mqtkind: 'keda' };
    await fission.create('MessageQueueTrigger', 'messagequeuetriggers', 'lacking', {
      ...queue,
      messageQueueType: 'kafka',
    });
    const { status } = await fission.wait('messagequeuetriggers', 'lacking', 'BindingReady', 'False');
    assert.match(JSON.stringify(status.conditions), /InvalidMetadata.*metadata\.bootstrapServers/);
    await fission.create('MessageQueueTrigger', 'messagequeuetriggers', 'other', {
      ...queue,
      messageQueueType: 'aws-sqs-queue',
    });
    const other = await fission.wait('messagequeuetriggers', 'other', 'BindingReady', 'False');
    assert.match(JSON.stringify(other.status.conditions), /SourceNotAvailable/);
  });

  /** `fn publish` as the CLI does it: a snapshot of the function, and one of its package that the snapshot owns. */
  const publish = async (name: string): Promise<string> => {
    const fn = (await fission.get('functions', name)).body;
    const { namespace, name: pkgName } = fn.spec.package.packageref;
    const pkg = (await fission.get('packages', pkgName)).body;
    assert.ok(['none', 'succeeded'].includes(pkg.status.buildstatus), pkg.status.buildstatus);
    const selector = encodeURIComponent(`fission.io/function-name=${name}`);
    const list = await fission.request(
      'GET',
      `/apis/fission.io/v1/namespaces/${namespace}/functionversions?labelSelector=${selector}`,
    );
    const sequence = list.body.items.length + 1;
    const version = `${name}-v${sequence}`;
    const snapshot = structuredClone(fn.spec);
    snapshot.package.packageref.name = `${version}-pkg`;
    const created = await fission.create(
      'FunctionVersion',
      'functionversions',
      version,
      {
        functionName: name,
        functionUID: fn.metadata.uid,
        functionGeneration: fn.metadata.generation,
        sequence,
        snapshot,
        packageDigest: pkg.status.contentHash,
        publishedAt: new Date().toISOString().replace(/\.\d+Z$/, 'Z'),
      },
      {
        labels: { 'fission.io/function-name': name, 'fission.io/function-uid': fn.metadata.uid },
        ownerReferences: [{ apiVersion: 'fission.io/v1', kind: 'Function', name, uid: fn.metadata.uid }],
      },
    );
    await fission.create('Package', 'packages', `${version}-pkg`, pkg.spec, {
      ownerReferences: [
        { apiVersion: 'fission.io/v1', kind: 'FunctionVersion', name: version, uid: created.metadata.uid },
      ],
    });
    return version;
  };
  const answer = async (path: string) => (await fission.visit(path)).body;

  test('fn publish, alias create, update and rollback: traffic follows the alias, not the function', async () => {
    await fission.fnCreate('voice', 'nodejs', says('one'));
    await fission.wait('functions', 'voice', 'Ready');
    const first = await publish('voice');
    await fission.update('packages', 'voice-pkg', (pkg) => {
      pkg.spec.deployment = literal(says('two'));
    });
    await eventually('the second code', async () => (await answer('/fission-function/voice')) === 'two');
    const second = await publish('voice');
    assert.deepEqual([first, second], ['voice-v1', 'voice-v2']);
    await fission.create('FunctionAlias', 'functionaliases', 'prod', {
      functionName: 'voice',
      version: first,
    });
    await fission.wait('functionaliases', 'prod', 'Resolved');
    await eventually('the alias', async () => (await answer('/fission-function/voice:prod')) === 'one');
    await eventually(
      'the version',
      async () => (await answer(`/fission-function/default/voice:${second}`)) === 'two',
    );
    await fission.routeCreate('voice', {
      relativeurl: '/voice',
      methods: ['GET'],
      functionref: { type: 'name', name: 'voice', alias: 'prod' },
    });
    await fission.wait('httptriggers', 'voice', 'Ready');
    assert.equal(await answer('/voice'), 'one');
    await fission.update('functionaliases', 'prod', (alias) => {
      alias.spec.version = second;
    });
    await eventually('the alias moves', async () => (await answer('/voice')) === 'two');
    const moved = await eventually('the status of the alias', async () => {
      const { body } = await fission.get('functionaliases', 'prod');
      return body.status.resolvedVersion === second && body;
    });
    assert.deepEqual(
      moved.status.history.map((record: Json) => record.version),
      [first],
    );
    // A weighted alias serves both.
    await fission.update('functionaliases', 'prod', (alias) => {
      alias.spec.secondaryVersion = first;
      alias.spec.weight = 50;
    });
    const heard = new Set<string>();
    await eventually('both versions', async () => heard.add(await answer('/voice')).size === 2);
    assert.deepEqual([...heard].sort(), ['one', 'two']);
  });

  test('an alias of a version that is not there, and a trigger of a function that is not there', async () => {
    await fission.create('FunctionAlias', 'functionaliases', 'lost', {
      functionName: 'voice',
      version: 'voice-v9',
    });
    await fission.wait('functionaliases', 'lost', 'Resolved', 'False');
    await fission.create('HTTPTrigger', 'httptriggers', 'lost', {
      relativeurl: '/lost',
      functionref: { type: 'name', name: 'nobody' },
    });
    const { status } = await fission.wait('httptriggers', 'lost', 'RouteAdmitted', 'False');
    assert.match(JSON.stringify(status.conditions), /FunctionNotFound/);
    assert.equal((await fission.visit('/lost')).status, 404);
  });

  test('a route with weights shares requests between functions', async () => {
    for (const word of ['red', 'blue']) await fission.fnCreate(word, 'nodejs', says(word));
    for (const word of ['red', 'blue']) await fission.wait('functions', word, 'Ready');
    await fission.routeCreate('colour', {
      relativeurl: '/colour',
      methods: ['GET'],
      functionref: { type: 'function-weights', name: '', functionweights: { red: 50, blue: 50 } },
    });
    await fission.wait('httptriggers', 'colour', 'Ready');
    const seen = new Set<string>();
    await eventually('both colours', async () => seen.add(await answer('/colour')).size === 2);
  });

  const canary = async (name: string, code: string) => {
    await fission.fnCreate(`${name}-old`, 'nodejs', says('old'));
    await fission.fnCreate(`${name}-new`, 'nodejs', code);
    for (const part of ['old', 'new']) await fission.wait('functions', `${name}-${part}`, 'Ready');
    const functionweights = { [`${name}-old`]: 100, [`${name}-new`]: 0 };
    await fission.routeCreate(name, {
      relativeurl: `/${name}`,
      methods: ['GET'],
      functionref: { type: 'function-weights', name: '', functionweights },
    });
    await fission.wait('httptriggers', name, 'Ready');
    await fission.create('CanaryConfig', 'canaryconfigs', name, {
      trigger: name,
      newfunction: `${name}-new`,
      oldfunction: `${name}-old`,
      weightincrement: 50,
      duration: '1s',
      failurethreshold: 10,
      failureType: 'status-code',
    });
    return eventually(`the end of ${name}`, async () => {
      await fission.visit(`/${name}`);
      const { body } = await fission.get('canaryconfigs', name);
      return ['succeeded', 'failed'].includes(body.status?.status) && body;
    });
  };
  const weights = async (name: string) =>
    (await fission.get('httptriggers', name)).body.spec.functionref.functionweights;

  test('canary create: good answers bring all the traffic', async () => {
    const { status } = await canary('good', says('new'));
    assert.equal(status.status, 'succeeded');
    assert.deepEqual(await weights('good'), { 'good-old': 0, 'good-new': 100 });
    await eventually('all is new', async () => (await answer('/good')) === 'new');
  });

  test('canary create: bad answers take it back', async () => {
    const { status } = await canary('bad', "module.exports = async () => ({ status: 500, body: 'no' });");
    assert.equal(status.status, 'failed');
    assert.deepEqual(await weights('bad'), { 'bad-old': 100, 'bad-new': 0 });
    await eventually('all is old', async () => (await answer('/bad')) === 'old');
  });
});
