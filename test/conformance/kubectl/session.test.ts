/** A working day with the real kubectl: every command a user of Petrel's kinds and of the core kinds meets. */
import assert from 'node:assert/strict';
import type { ChildProcess } from 'node:child_process';
import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test, { after, before, describe } from 'node:test';
import { fileURLToPath } from 'node:url';
import { silentLogger } from '../../../src/base/log.ts';
import { type RunningApiServer, startApiServer } from '../../../src/engine/apiserver/serve.ts';
import { createNodeAgent, type NodeAgent } from '../../../src/engine/node/index.ts';
import { createScheduler, type Scheduler } from '../../../src/engine/scheduler/index.ts';
import { createGarbageCollector } from '../../../src/engine/workloads/garbage-collector.ts';
import { createNamespaceController } from '../../../src/engine/workloads/namespace-controller.ts';
import { createClient } from '../../../src/kube/rest.ts';
import { findKubectl, Session } from './kubectl.ts';

const ROOT = fileURLToPath(new URL('../../../', import.meta.url));
const found = findKubectl();

const FUNCTION = `apiVersion: petrel.dev/v1
kind: Function
metadata:
  name: hello
  labels: {team: a}
spec:
  runtime: node
  package: {digest: "sha256:${'0'.repeat(64)}"}
`;
const RUNTIME = `apiVersion: petrel.dev/v1
kind: Runtime
metadata: {name: node}
spec: {language: node, extensions: [.js], command: ["$(NODE)"]}
`;
const KSERVICE = `apiVersion: serving.knative.dev/v1
kind: Service
metadata: {name: web}
spec:
  template:
    spec:
      containers: [{image: petrel.dev/runtime/node}]
`;
const POD = `apiVersion: v1
kind: Pod
metadata: {name: talker, labels: {app: talker}}
spec:
  terminationGracePeriodSeconds: 1
  containers:
  - name: main
    image: petrel.dev/host
    command: [/bin/sh, -c, "echo one; echo two; exec sleep 1000"]
`;

describe('kubectl session', { skip: typeof found === 'string' ? found : false }, () => {
  if (typeof found === 'string') return;
  let directory: string;
  let api: RunningApiServer;
  let kubectl: Session;
  const controllers: { stop(): Promise<void> }[] = [];
  let scheduler: Scheduler;
  let agent: NodeAgent;
  /** Before 1.27 kubectl reads OpenAPI v2 alone, of which the server has an empty document. */
  const oldDocuments = found.minor < 27 && 'this kubectl is too old for OpenAPI v3';
  const background = new Set<ChildProcess>();

  before(async () => {
    directory = mkdtempSync(join(tmpdir(), 'pk-'));
    const home = join(directory, 'home');
    const runDir = join(directory, 'run');
    for (const path of [home, runDir, join(directory, 'user')]) mkdirSync(path, { mode: 0o700 });
    api = await startApiServer({ home, host: '127.0.0.1', port: 0, log: silentLogger, version: 'test' });
    const { store, registry } = api;
    for (const create of [createGarbageCollector, createNamespaceController]) {
      const client = createClient(api.transport('controllers'));
      const controller = create({ store, registry, client, log: silentLogger });
      await controller.start();
      controllers.push(controller);
    }
    scheduler = createScheduler({ client: createClient(api.transport('scheduler')), log: silentLogger });
    scheduler.start();
    agent = createNodeAgent({
      client: createClient(api.transport('node')),
      nodeName: 'here',
      home,
      runDir,
      node: process.execPath,
      runtimesDir: join(ROOT, 'runtimes'),
      log: silentLogger,
      sandbox: 'plain',
    });
    await agent.start();
    kubectl = new Session(found, api.kubeconfig, join(directory, 'user'));
  });

  after(async () => {
    for (const child of background) child.kill();
    await agent?.stop(1000);
    scheduler?.stop();
    for (const controller of controllers) await controller.stop();
    await api?.close();
    rmSync(directory, { recursive: true, force: true });
  });

  /** Starts a command that does not end, and resolves with its output once it contains the text. */
  async function prints(args: string[], text: string): Promise<string> {
    const child = kubectl.start(args);
    background.add(child);
    let output = '';
    await new Promise<void>((resolve, reject) => {
      child.stdout.on('data', (chunk) => {
        output += chunk;
        if (output.includes(text)) resolve();
      });
      child.once('close', () => reject(new Error(`ended before it printed ${text}: ${output}`)));
    });
    child.kill();
    background.delete(child);
    return output;
  }
  const json = async (args: string) => JSON.parse(await kubectl.ok(`${args} -o json`));

  test('version, cluster and resources are discovered', async () => {
    assert.match(await kubectl.ok('version'), /v1\.32\.\d+\+petrel\.test/);
    assert.match(await kubectl.ok('cluster-info'), /control plane.* is running at/);
    const resources = await kubectl.ok('api-resources');
    assert.match(resources, /^functions +fn +petrel\.dev\/v1 +true +Function$/m);
    assert.match(resources, /^pods +po +v1 +true +Pod$/m);
    assert.match(await kubectl.ok('api-versions'), /^serving\.knative\.dev\/v1$/m);
    assert.match(await kubectl.ok('auth can-i create functions'), /^yes$/m);
  });

  test('apply creates, leaves alone what has not changed, and changes what has', async () => {
    for (const [input, name] of [
      [FUNCTION, 'function.petrel.dev/hello'],
      [RUNTIME, 'runtime.petrel.dev/node'],
    ] as const) {
      assert.equal(await kubectl.ok('apply -f -', { input }), `${name} created\n`);
      assert.equal(await kubectl.ok('apply -f -', { input }), `${name} unchanged\n`);
    }
    await kubectl.ok('apply -f -', { input: KSERVICE });
    const { resourceVersion } = (await json('get ksvc web')).metadata;
    // kubectl cannot merge lists of custom resources: it sends the containers again, without the defaults in them.
    await kubectl.ok('apply -f -', { input: KSERVICE });
    assert.equal((await json('get ksvc web')).metadata.resourceVersion, resourceVersion);
    const input = FUNCTION.replace('runtime: node', 'runtime: node\n  concurrency: 7');
    assert.equal(await kubectl.ok('apply -f -', { input }), 'function.petrel.dev/hello configured\n');
    assert.equal((await json('get fn hello')).spec.concurrency, 7);
    assert.equal(
      await kubectl.ok('apply -f -', { input: FUNCTION }),
      'function.petrel.dev/hello configured\n',
    );
    assert.equal(
      (await json('get fn hello')).spec.concurrency,
      0,
      'what is gone from the file is the default',
    );
    assert.equal((await json('get fn hello')).metadata.generation, 3);
  });

  test('get prints the columns of each kind', async () => {
    assert.match(await kubectl.ok('get functions'), /^NAME +URL +READY +REASON +RUNTIME +AGE\nhello /);
    assert.match(
      await kubectl.ok('get ksvc,runtimes'),
      /service\.serving\.knative\.dev\/web[\s\S]*runtime\.petrel\.dev\/node/,
    );
    assert.match(await kubectl.ok('get ns'), /^default +Active/m);
    assert.equal(await kubectl.ok('get fn -l team=a -o name'), 'function.petrel.dev/hello\n');
    assert.equal(await kubectl.ok('get fn -l team!=a -o name'), '');
    assert.equal(await kubectl.ok(['get', 'fn', 'hello', '-o', 'jsonpath={.spec.runtime}']), 'node');
    assert.match(await kubectl.ok('get all -A'), /function\.petrel\.dev\/hello/);
    assert.match(
      await kubectl.fails('get fn nothing'),
      /NotFound.*functions\.petrel\.dev "nothing" not found/,
    );
  });

  test('create makes config maps, secrets and namespaces, and does not overwrite', async () => {
    await kubectl.ok('create configmap settings --from-literal=a=1 --from-literal=b=2');
    await kubectl.ok('create secret generic key --from-literal=token=hush');
    await kubectl.ok('create namespace team');
    assert.match(await kubectl.ok('get configmap settings'), /settings +2 /);
    assert.match(await kubectl.ok('get secret key'), /key +Opaque +1 /);
    assert.equal((await json('get secret key')).data.token, Buffer.from('hush').toString('base64'));
    assert.match(await kubectl.fails('create namespace team'), /AlreadyExists/);
    assert.match(
      await kubectl.fails('create configmap x --from-literal=a=b -n nowhere'),
      /namespaces "nowhere" not found/,
    );
    await kubectl.ok('create -f - -n team', { input: FUNCTION });
    assert.match(await kubectl.fails('create -f - -n team', { input: FUNCTION }), /AlreadyExists/);
  });

  test('what is wrong with an object is said with field and reason', async () => {
    const bad = FUNCTION.replace('name: hello', 'name: Not_A_Name');
    assert.match(await kubectl.fails('create -f -', { input: bad }), /metadata\.name: Invalid value/);
    if (found.minor >= 25) {
      const unknown = FUNCTION.replace('runtime: node', 'runtime: node\n  rntime: x').replace(
        'hello',
        'typo',
      );
      assert.match(await kubectl.fails('create -f -', { input: unknown }), /unknown field "spec\.rntime"/);
    }
  });

  test('label, annotate, edit and three kinds of patch change an object', async () => {
    await kubectl.ok('label fn hello stage=dev');
    await kubectl.ok('annotate cm settings owner=me');
    assert.equal((await json('get fn hello')).metadata.labels.stage, 'dev');
    await kubectl.ok('label fn hello stage-');
    assert.equal((await json('get fn hello')).metadata.labels.stage, undefined);

    await kubectl.ok(['patch', 'cm', 'settings', '-p', '{"data":{"c":"3"}}']);
    await kubectl.ok(['patch', 'fn', 'hello', '--type=merge', '-p', '{"spec":{"concurrency":2}}']);
    await kubectl.ok([
      'patch',
      'fn',
      'hello',
      '--type=json',
      '-p',
      '[{"op":"replace","path":"/spec/concurrency","value":3}]',
    ]);
    assert.equal((await json('get fn hello')).spec.concurrency, 3);
    assert.equal((await json('get cm settings')).data.c, '3');

    const editor = join(directory, 'editor.sh');
    writeFileSync(
      editor,
      '#!/bin/sh\nsed -i "s/concurrency: 3/concurrency: 4/; s/c: \\"3\\"/c: \\"5\\"/" "$1"\n',
    );
    chmodSync(editor, 0o700);
    await kubectl.ok('edit fn hello', { env: { EDITOR: editor } });
    await kubectl.ok('edit cm settings', { env: { EDITOR: editor } });
    assert.equal((await json('get fn hello')).spec.concurrency, 4);
    assert.equal((await json('get cm settings')).data.c, '5');
  });

  test('dry runs on the server change nothing', { skip: oldDocuments }, async () => {
    await kubectl.ok('create configmap ghost --from-literal=a=b --dry-run=server');
    assert.match(await kubectl.fails('get cm ghost'), /NotFound/);
    const input = FUNCTION.replace('runtime: node', 'runtime: other');
    assert.match((await kubectl.run(['diff', '-f', '-'], { input })).stdout, /^\+ +runtime: other$/m);
    assert.equal((await json('get fn hello')).spec.runtime, 'node');
  });

  test('a Pod is run, waited for, described, and its logs are read', async () => {
    assert.equal(await kubectl.ok('apply -f -', { input: POD }), 'pod/talker created\n');
    await kubectl.ok('wait --for=condition=Ready pod/talker --timeout=60s');
    assert.match(await kubectl.ok('get pods -o wide'), /talker +1\/1 +Running +0 .* here /);
    assert.equal(await kubectl.ok('logs talker'), 'one\ntwo\n');
    assert.equal(await kubectl.ok('logs talker -c main --tail=1'), 'two\n');
    assert.match(await prints(['logs', '-f', 'talker'], 'two\n'), /^one\ntwo\n/);
    const described = await kubectl.ok('describe pod talker');
    assert.match(described, /^Status: +Running$/m);
    assert.match(described, /Node: +here/);
    assert.match(await kubectl.ok('describe fn hello'), /^Kind: +Function$/m);
    assert.match(await kubectl.ok('describe node here'), /talker/);
    await kubectl.ok('label pod talker more=yes');
    assert.match(
      await kubectl.fails('logs talker -c nobody'),
      /container nobody is not valid for pod talker/,
    );
  });

  test('events are listed and belong to the Pod they are about', async () => {
    const list = await json('get events --field-selector involvedObject.name=talker');
    assert.ok(list.items.length > 0);
    assert.match(await kubectl.ok('get events'), /pod\/talker/);
    assert.match(await kubectl.ok('describe pod talker'), /^Events:\n +Type +Reason/m);
  });

  test('get -w shows what changes while it changes', async () => {
    const watching = prints(['get', 'fn', '-w'], 'late ');
    await kubectl.ok('apply -f -', { input: FUNCTION.replace('hello', 'late') });
    assert.match(await watching, /^NAME +URL +READY/);
    const deletion = kubectl.ok('wait --for=delete fn/late --timeout=30s');
    await kubectl.ok('delete fn late');
    await deletion;
  });

  test('explain knows our kinds and the built-in ones', { skip: oldDocuments }, async () => {
    assert.match(await kubectl.ok('explain function.spec'), /concurrency\s+<integer>/);
    assert.match(await kubectl.ok('explain pod.spec.containers.image'), /FIELD: image <string>/);
  });

  test('delete takes a Pod gracefully, a selection, a namespace with all in it, and what a file names', async () => {
    await kubectl.ok('delete pod talker --timeout=60s');
    assert.match(await kubectl.fails('get pod talker'), /NotFound/);
    await kubectl.ok('label cm settings gone=soon');
    await kubectl.ok('delete cm -l gone=soon');
    assert.equal(await kubectl.ok('get cm -o name'), '');
    await kubectl.ok('delete namespace team --timeout=60s');
    assert.match(await kubectl.fails('get fn hello -n team'), /NotFound/);
    assert.match(await kubectl.ok('delete -f -', { input: FUNCTION }), /"hello" deleted/);
    await kubectl.ok('delete ksvc --all');
    assert.match(await kubectl.fails('delete namespace default'), /Forbidden.*may not be deleted/);
  });
});
